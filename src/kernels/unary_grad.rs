//! `unary_grad`: the gradient of a function of each element, four at a time.

use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, linear, params};
use crate::ops::Op;

params! {
    /// Parameters of `unary_grad`.
    struct Params { vectors: u32 }
}

/// Takes the gradient of every element-wise function.
pub(super) const KERNEL: Kernel = Kernel { stem: "unary_grad", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::UnaryGrad(op) = case.op else { return Refusal::because("takes gradients of element-wise functions") };
    case.fits(traits)?;
    let (vectors, workgroups) = linear(case.outputs[0].shape.elements().div_ceil(4), traits)?;
    Ok(Dispatch {
        shader: Shader::new("unary_grad", Params::WGSL).with_activation(Some(op.function)),
        bindings: vec![
            Binding::new("x", Operand::Input(0), Form::ReadVec4),
            Binding::new("dy", Operand::Input(1), Form::ReadVec4),
            Binding::new("dx", Operand::Output(0), Form::WriteVec4),
        ],
        params: Params { vectors }.words(),
        workgroups,
    }
    .into())
}
