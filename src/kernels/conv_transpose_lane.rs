//! `conv_transpose_lane`: a transposed convolution in one group, phase by phase of its stride, on a processor.

use super::lane::{images_fit, lane_bindings, lanes};
use super::layout::count;
use super::window::{AXES, transposed_densely};
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, params};
use crate::ops::{Op, TransposeAxis};

params! {
    /// Parameters of `conv_transpose_lane`: strips of neighbouring inputs, vectors of input channels, output channels, their
    /// vectors and tiles, phases in all, and the three axes: sizes, the input under the first tap of the first output, how
    /// far that output lies behind a multiple of the stride, and the steps of a phase.
    struct Params {
        strips: u32,
        strips_per_row: u32,
        in_quads: u32,
        out_channels: u32,
        out_quads: u32,
        out_tiles: u32,
        phases: u32,
        depth_input: u32,
        depth_output: u32,
        depth_size: u32,
        depth_stride: u32,
        depth_first: u32,
        depth_lead: u32,
        depth_steps: u32,
        height_input: u32,
        height_output: u32,
        height_size: u32,
        height_stride: u32,
        height_first: u32,
        height_lead: u32,
        height_steps: u32,
        width_input: u32,
        width_output: u32,
        width_size: u32,
        width_stride: u32,
        width_first: u32,
        width_lead: u32,
    }
}

/// Takes ungrouped transposed convolutions without dilation whose channels divide by four, on processors.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_transpose_lane", accepts };

/// Outputs of one lane, a stride apart in a row.
const PIXELS: usize = 4;

/// The outputs of an axis in each of its phases.
fn steps(axis: &TransposeAxis) -> usize {
    (axis.before % axis.stride + axis.output).div_ceil(axis.stride)
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let lanes = lanes(traits)?;
    let Op::ConvTranspose(conv) = case.op else { return Refusal::because("takes transposed convolutions") };
    case.fits(traits)?;
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    if site.groups != 1 {
        return Refusal::because("takes transposed convolutions in one group");
    }
    if !site.in_channels.is_multiple_of(4) || !site.out_channels.is_multiple_of(4) {
        let (from, to) = (site.in_channels, site.out_channels);
        return Refusal::because(format!("takes channels that divide by 4, and these are {from} to {to}"));
    }
    transposed_densely(&site.axes)?;
    let mut bindings =
        vec![Binding::new("x", Operand::Input(0), Form::Image), Binding::new("w", Operand::Input(1), Form::Image)];
    bindings.extend(lane_bindings(&conv.epilogue, 2));
    images_fit(case, &bindings, traits)?;
    let in_quads = site.in_channels / 4;
    let step_quads = if in_quads.is_multiple_of(2) { 2 } else { 1 };
    let taps: usize = site.axes.iter().map(|axis| axis.size.div_ceil(axis.stride)).product();
    ends(taps * (in_quads / step_quads + 3), traits)?;
    let out_quads = site.out_channels / 4;
    let tile_quads = if out_quads <= 2 { 2 } else { 4 };
    let out_tiles = out_quads.div_ceil(tile_quads);
    let [depth, height, width] = &site.axes;
    let strips_per_row = steps(width).div_ceil(PIXELS);
    let strips = site.batch * steps(depth) * steps(height) * strips_per_row;
    let phases = depth.stride * height.stride * width.stride;
    let groups = (strips.div_ceil(lanes as usize) * out_tiles).saturating_mul(phases) as u64;
    let Some(workgroups) = traits.fold(groups) else {
        return Refusal::because(format!("{groups} tiles are more than one dispatch can count"));
    };
    let words = |axis: &TransposeAxis| -> Result<[u32; 6], Refusal> {
        let (first, lead) = (axis.before / axis.stride, axis.before % axis.stride);
        let values = [axis.input, axis.output, axis.size, axis.stride, first, lead];
        let mut words = [0; 6];
        for (word, value) in words.iter_mut().zip(values) {
            *word = count(value)?;
        }
        Ok(words)
    };
    let (depth_words, height_words, width_words) = (words(depth)?, words(height)?, words(width)?);
    let params = Params {
        strips: count(strips)?,
        strips_per_row: count(strips_per_row)?,
        in_quads: count(in_quads)?,
        out_channels: count(site.out_channels)?,
        out_quads: count(out_quads)?,
        out_tiles: count(out_tiles)?,
        phases: count(phases)?,
        depth_input: depth_words[0],
        depth_output: depth_words[1],
        depth_size: depth_words[2],
        depth_stride: depth_words[3],
        depth_first: depth_words[4],
        depth_lead: depth_words[5],
        depth_steps: count(steps(depth))?,
        height_input: height_words[0],
        height_output: height_words[1],
        height_size: height_words[2],
        height_stride: height_words[3],
        height_first: height_words[4],
        height_lead: height_words[5],
        height_steps: count(steps(height))?,
        width_input: width_words[0],
        width_output: width_words[1],
        width_size: width_words[2],
        width_stride: width_words[3],
        width_first: width_words[4],
        width_lead: width_words[5],
    };
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("lanes", lanes)
        .with("pixels", PIXELS)
        .with("out_quads", tile_quads)
        .with("quads", step_quads)
        .with("axes", serde_json::json!(AXES));
    let shader = shader.with_epilogue(&conv.epilogue, case.inputs, 2);
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}
