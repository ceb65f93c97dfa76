//! `select`: a choice between two operands, with broadcasting.

use super::layout::{Axes, form, signed};
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, linear, params};
use crate::ops::Op;

params! {
    /// Parameters of `select`: elements or vectors of the output, and how its axes run through the operands.
    struct Params { count: u32, sizes: [u32; 8], c_strides: [u32; 8], a_strides: [u32; 8], b_strides: [u32; 8] }
}

/// Takes every choice; in vectors under the conditions of `binary`.
pub(super) const KERNEL: Kernel = Kernel { stem: "select", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::Select(_), [_, _, _], [y]) = (case.op, case.inputs, case.outputs) else {
        return Refusal::because("takes choices");
    };
    case.fits(traits)?;
    let strides: Option<Vec<Vec<i64>>> =
        case.inputs.iter().map(|input| Some(signed(&input.shape.broadcast_strides(&y.shape)?))).collect();
    let Some(strides) = strides else { return Refusal::because(format!("an operand does not broadcast to {y}")) };
    let mut axes = Axes::merged(&y.shape, &strides);
    let vectors = axes.vectorize(true);
    let read = |name, operand| Binding::new(name, Operand::Input(operand), form(vectors.as_ref(), operand));
    let (count, workgroups) = linear(axes.positions(), traits)?;
    let params = Params {
        count,
        sizes: axes.size_words()?,
        c_strides: axes.stride_words(0),
        a_strides: axes.stride_words(1),
        b_strides: axes.stride_words(2),
    };
    let (write, element) = match vectors {
        Some(_) => (Form::WriteVec4, "vec4<f32>"),
        None => (Form::Write, "f32"),
    };
    Ok(Dispatch {
        shader: Shader::new("select", Params::WGSL).with("T", element).with("rank", axes.rank()),
        bindings: vec![read("c", 0), read("a", 1), read("b", 2), Binding::new("y", Operand::Output(0), write)],
        params: params.words(),
        workgroups,
    }
    .into())
}
