//! `unary`: a function of each element, four at a time.

use serde_json::json;

use super::lane::read_form;
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, linear, params};
use crate::ops::Op;

params! {
    /// Parameters of `unary`.
    struct Params { vectors: u32 }
}

/// Takes every element-wise function. Processors read through images.
pub(super) const KERNEL: Kernel = Kernel { stem: "unary", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::Unary(op) = case.op else { return Refusal::because("takes element-wise functions") };
    let elements = case.outputs[0].shape.elements();
    let (vectors, read) = (elements.div_ceil(4), read_form(Form::ReadVec4, elements, traits));
    let (params, workgroups) = linear(vectors, traits)?;
    Ok(Dispatch {
        shader: Shader::new("unary", Params::WGSL).with("form", json!(read)).with_activation(Some(op.function)),
        bindings: vec![
            Binding::new("x", Operand::Input(0), read),
            Binding::new("y", Operand::Output(0), Form::WriteVec4),
        ],
        params: Params { vectors: params }.words(),
        workgroups,
    }
    .into())
}
