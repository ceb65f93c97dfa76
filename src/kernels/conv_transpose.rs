//! `conv_transpose`: any transposed convolution, gathered: no zeros are put between the inputs.

use serde_json::json;

use super::conv_generic::epilogue_parts;
use super::layout::count;
use super::window::AXES;
use super::{
    Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, linear, params,
};
use crate::ops::Op;

params! {
    /// Parameters of `conv_transpose`: elements of the output and of a pixel, channels of a group, and the three axes.
    struct Params {
        count: u32,
        in_channels: u32,
        out_channels: u32,
        per_group: u32,
        outs_per_group: u32,
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

/// Takes every transposed convolution; the channels summed over are read in vectors where they fill whole ones.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_transpose", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::ConvTranspose(conv) = case.op else { return Refusal::because("takes transposed convolutions") };
    case.fits(traits)?;
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    let (per_group, outs_per_group) = (site.in_channels / site.groups, site.out_channels / site.groups);
    let vectors = per_group.is_multiple_of(4);
    let taps: usize = site.axes.iter().map(|axis| axis.size).product();
    ends(taps * (per_group / if vectors { 4 } else { 1 } + 2), traits)?;
    let (items, workgroups) = linear(site.output.elements(), traits)?;
    let mut words = [[0; 6]; 3];
    for (words, axis) in words.iter_mut().zip(&site.axes) {
        let values = [axis.input, axis.output, axis.size, axis.stride, axis.dilation, axis.before];
        for (word, value) in words.iter_mut().zip(values) {
            *word = count(value)?;
        }
        let reach = axis.size.saturating_mul(axis.dilation).saturating_add(axis.output).saturating_add(axis.before);
        count(reach)?;
    }
    let [depth, height, width] = words;
    let params = Params {
        count: items,
        in_channels: count(site.in_channels)?,
        out_channels: count(site.out_channels)?,
        per_group: count(per_group)?,
        outs_per_group: count(outs_per_group)?,
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
    let (bias, epilogue) = epilogue_parts(case, &conv.epilogue, false);
    let read = if vectors { Form::ReadVec4 } else { Form::Read };
    let mut bindings = vec![
        Binding::new("x", Operand::Input(0), read),
        Binding::new("w", Operand::Input(1), read),
        Binding::new("y", Operand::Output(0), Form::Write),
    ];
    bindings.extend(epilogue);
    Ok(Dispatch {
        shader: Shader::new("conv_transpose", Params::WGSL)
            .with("T", "f32")
            .with("vectors", vectors)
            .with("axes", json!(AXES))
            .with("bias", bias)
            .with("residual", json!(conv.epilogue.residual))
            .with_activation(conv.epilogue.activation),
        bindings,
        params: params.words(),
        workgroups,
    }
    .into())
}
