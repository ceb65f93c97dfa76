//! `pool_grad`: the gradient of a pool, gathered by every element of the input.

use serde_json::json;

use super::layout::count;
use super::window::{AXES, axis_params, window_fits};
use super::{
    Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, linear, params,
};
use crate::ops::{Op, PoolKind};

params! {
    /// Parameters of `pool_grad`: elements or vectors of the input and of one pixel, and the windows of the three axes.
    struct Params {
        count: u32,
        channels: u32,
        depth_input: u32,
        depth_output: u32,
        depth_size: u32,
        depth_stride: u32,
        depth_dilation: u32,
        depth_before: u32,
        height_input: u32,
        height_output: u32,
        height_size: u32,
        height_stride: u32,
        height_dilation: u32,
        height_before: u32,
        width_input: u32,
        width_output: u32,
        width_size: u32,
        width_stride: u32,
        width_dilation: u32,
        width_before: u32,
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
    let [depth, height, width] = axis_params(&site.axes)?;
    let taps = site.axes.iter().fold(1usize, |taps, axis| taps.saturating_mul(axis.size));
    // For each window that covers an element its earlier taps are looked at.
    let earlier = if op.pool.kind == PoolKind::Max { taps } else { site.axes.iter().map(|axis| axis.size).sum() };
    ends(taps.saturating_mul(2 + earlier), traits)?;
    let params = Params {
        count: items,
        channels: count(site.channels / part)?,
        depth_input: depth[0],
        depth_output: depth[1],
        depth_size: depth[2],
        depth_stride: depth[3],
        depth_dilation: depth[4],
        depth_before: depth[5],
        height_input: height[0],
        height_output: height[1],
        height_size: height[2],
        height_stride: height[3],
        height_dilation: height[4],
        height_before: height[5],
        width_input: width[0],
        width_output: width[1],
        width_size: width[2],
        width_stride: width[3],
        width_dilation: width[4],
        width_before: width[5],
    };
    let (read, write, element) = match part {
        4 => (Form::ReadVec4, Form::WriteVec4, "vec4<f32>"),
        _ => (Form::Read, Form::Write, "f32"),
    };
    let kind = match op.pool.kind {
        PoolKind::Max => "max",
        PoolKind::Average { count_include_pad: true } => "padded average",
        PoolKind::Average { count_include_pad: false } => "average",
    };
    let mut bindings = vec![Binding::new("dy", Operand::Input(0), read)];
    if op.pool.kind == PoolKind::Max {
        bindings.push(Binding::new("x", Operand::Input(1), read));
        bindings.push(Binding::new("y", Operand::Input(2), read));
    }
    bindings.push(Binding::new("dx", Operand::Output(0), write));
    let shader = Shader::new("pool_grad", Params::WGSL).with("kind", kind).with("T", element).with("axes", json!(AXES));
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}
