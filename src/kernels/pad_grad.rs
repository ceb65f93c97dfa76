//! `pad_grad`: the gradient of mirrored and repeated padding along one axis.

use super::layout::count;
use super::{
    Binding, Case, DeviceTraits, Dispatch, Kernel, Launch, Operand, Refusal, Shader, ends, forms, linear, params,
};
use crate::ops::{Op, PadMode};

params! {
    /// Parameters of `pad_grad`: elements or vectors of the output, those inside the axis, and the axis.
    struct Params { count: u32, inner: u32, size: u32, before: u32, after: u32 }
}

/// Takes every mirrored and repeated padding; in vectors where what lies inside the axis fills whole ones.
pub(super) const KERNEL: Kernel = Kernel { stem: "pad_grad", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::PadGrad(op), [dx]) = (case.op, case.outputs) else {
        return Refusal::because("takes gradients of padding");
    };
    case.fits(traits)?;
    ends(op.before.max(op.after).saturating_add(2).saturating_mul(2), traits)?;
    let inner: usize = dx.shape[op.axis + 1..].iter().product();
    let part = if inner.is_multiple_of(4) { 4 } else { 1 };
    let (items, workgroups) = linear(dx.shape.elements() / part, traits)?;
    let mode = match op.mode {
        PadMode::Reflect => "reflect",
        PadMode::Edge => "edge",
        PadMode::Constant(_) => return Refusal::because("takes mirrored and repeated padding"),
    };
    let params = Params {
        count: items,
        inner: count(inner / part)?,
        size: count(dx.shape[op.axis])?,
        before: count(op.before)?,
        after: count(op.after)?,
    };
    let (read, write, element) = forms(part == 4);
    Ok(Dispatch {
        shader: Shader::new("pad_grad", Params::WGSL).with("mode", mode).with("T", element),
        bindings: vec![Binding::new("dy", Operand::Input(0), read), Binding::new("dx", Operand::Output(0), write)],
        params: params.words(),
        workgroups,
    }
    .into())
}
