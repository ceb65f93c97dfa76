//! `resize_grad`: the gradient of linear upsampling along one axis.

use super::layout::count;
use super::{
    Binding, Case, DeviceTraits, Dispatch, Kernel, Launch, Operand, Refusal, Shader, ends, forms, linear, params,
};
use crate::ops::Op;

params! {
    /// Parameters of `resize_grad`: elements or vectors of the output, those inside the axis, and the axis.
    struct Params { count: u32, inner: u32, size: u32, factor: u32 }
}

/// Takes every linear upsampling; in vectors where what lies inside the axis fills whole ones.
pub(super) const KERNEL: Kernel = Kernel { stem: "resize_grad", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::ResizeGrad(op), [dx]) = (case.op, case.outputs) else {
        return Refusal::because("takes gradients of linear upsampling");
    };
    case.fits(traits)?;
    ends(op.factor.saturating_mul(3), traits)?;
    let inner: usize = dx.shape[op.axis + 1..].iter().product();
    let part = if inner.is_multiple_of(4) { 4 } else { 1 };
    let (items, workgroups) = linear(dx.shape.elements() / part, traits)?;
    let params = Params {
        count: items,
        inner: count(inner / part)?,
        size: count(dx.shape[op.axis])?,
        factor: count(op.factor)?,
    };
    let (read, write, element) = forms(part == 4);
    Ok(Dispatch {
        shader: Shader::new("resize_grad", Params::WGSL).with("T", element),
        bindings: vec![Binding::new("dy", Operand::Input(0), read), Binding::new("dx", Operand::Output(0), write)],
        params: params.words(),
        workgroups,
    }
    .into())
}
