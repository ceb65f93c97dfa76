//! `gather`: elements along an axis by their positions.

use super::{
    Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, forms, linear, params,
};
use crate::ops::Op;

params! {
    /// Parameters of `gather`: elements or vectors of the output and of what lies behind the axis, positions, and the size
    /// of the axis.
    struct Params { count: u32, inner: u32, positions: u32, size: u32 }
}

/// Takes every lookup; in vectors where what lies behind the axis fills whole ones.
pub(super) const KERNEL: Kernel = Kernel { stem: "gather", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::Gather(op), [x, positions], [y]) = (case.op, case.inputs, case.outputs) else {
        return Refusal::because("takes lookups along an axis");
    };
    case.fits(traits)?;
    let [_, size, inner] = op.parts(&x.shape);
    let vectors = inner.is_multiple_of(4);
    let (read, write, element) = forms(vectors);
    let width = if vectors { 4 } else { 1 };
    let (count, workgroups) = linear(y.shape.elements() / width, traits)?;
    let params = Params {
        count,
        inner: (inner / width) as u32,
        positions: positions.shape.elements() as u32,
        size: size as u32,
    };
    Ok(Dispatch {
        shader: Shader::new("gather", Params::WGSL).with("T", element),
        bindings: vec![
            Binding::new("x", Operand::Input(0), read),
            Binding::new("positions", Operand::Input(1), Form::Read),
            Binding::new("y", Operand::Output(0), write),
        ],
        params: params.words(),
        workgroups,
    }
    .into())
}
