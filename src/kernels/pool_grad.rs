//! `pool_grad`: the gradient of a pool, gathered by every element of the input.

use serde_json::json;

use super::layout::count;
use super::pool::kind_name;
use super::window::{AXES, Windows, axis_params, window_fits};
use super::{
    Binding, Case, DeviceTraits, Dispatch, Kernel, Launch, Operand, Refusal, Shader, ends, forms, linear, params,
};
use crate::ops::{Op, PoolKind};

params! {
    /// Parameters of `pool_grad`: elements or vectors of the input and of one pixel, and the windows of the three axes.
    struct Params {
        count: u32,
        channels: u32,
        windows: Windows,
    }
}

/// Takes every pool; in vectors where the channels fill whole ones.
pub(super) const KERNEL: Kernel = Kernel { stem: "pool_grad", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::PoolGrad(op) = case.op else { return Refusal::because("takes gradients of pools") };
    case.fits(traits)?;
    let site = op.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    window_fits(&site.axes)?;
    let part = if site.channels.is_multiple_of(4) { 4 } else { 1 };
    let (items, workgroups) = linear(op.input.elements() / part, traits)?;
    let taps = site.axes.iter().fold(1usize, |taps, axis| taps.saturating_mul(axis.size));
    // For each window that covers an element its earlier taps are looked at.
    let earlier = if op.pool.kind == PoolKind::Max { taps } else { site.axes.iter().map(|axis| axis.size).sum() };
    ends(taps.saturating_mul(2 + earlier), traits)?;
    let params = Params { count: items, channels: count(site.channels / part)?, windows: axis_params(&site.axes)? };
    let (read, write, element) = forms(part == 4);
    let mut bindings = vec![Binding::new("dy", Operand::Input(0), read)];
    if op.pool.kind == PoolKind::Max {
        bindings.push(Binding::new("x", Operand::Input(1), read));
        bindings.push(Binding::new("y", Operand::Input(2), read));
    }
    bindings.push(Binding::new("dx", Operand::Output(0), write));
    let shader = Shader::new("pool_grad", Params::WGSL)
        .with("kind", kind_name(op.pool.kind))
        .with("T", element)
        .with("axes", json!(AXES));
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}
