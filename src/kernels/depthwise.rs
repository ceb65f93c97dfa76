//! `depthwise`: filters of their own for each channel, several outputs per invocation from a window in registers.

use serde_json::json;

use super::conv_generic::epilogue_parts;
use super::layout::count;
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, linear, params};
use crate::ops::{Conv, ConvSite, Filters, Op};

params! {
    /// Parameters of windows in registers: invocations, channels in fours, tiles of outputs, and both maps.
    struct Params {
        count: u32,
        quads: u32,
        row_tiles: u32,
        column_tiles: u32,
        in_rows: u32,
        in_columns: u32,
        out_rows: u32,
        out_columns: u32,
        top: u32,
        left: u32,
    }
}

/// Longest side of a window that is unrolled.
const LONGEST: usize = 7;

/// Takes a filter for each channel, with strides of 1 and 2.
pub(super) const KERNEL: Kernel = Kernel { stem: "depthwise", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::Conv(conv) = case.op else { return Refusal::because("takes convolutions") };
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    let own = matches!(conv.filters, Filters::PerGroup { groups } if groups == site.in_channels);
    if !own || site.out_channels != site.in_channels {
        return Refusal::because("takes one filter for each channel");
    }
    launch(KERNEL.stem, Form::ReadVec4, case, conv, &site, traits)
}

/// The launch of `stem` with weights in the given form.
pub(super) fn launch(
    stem: &'static str,
    weights: Form,
    case: &Case<'_>,
    conv: &Conv,
    site: &ConvSite,
    traits: &DeviceTraits,
) -> Result<Launch, Refusal> {
    case.fits(traits)?;
    if !site.in_channels.is_multiple_of(4) {
        return Refusal::because(format!("takes channels that divide by 4, and these are {}", site.in_channels));
    }
    let [depth, rows, columns] = site.axes3();
    if site.axes.len() > 2 && depth.output * depth.size * depth.input != 1 {
        return Refusal::because("takes one or two spatial axes");
    }
    for axis in [rows, columns] {
        if axis.size > LONGEST || axis.stride > 2 || (axis.dilation > 1 && axis.size > 1) {
            return Refusal::because(format!(
                "takes windows of up to {LONGEST} without dilation and strides of 1 and 2; this one has size {}, stride {}, dilation {}",
                axis.size, axis.stride, axis.dilation
            ));
        }
    }
    // Two rows of four outputs reuse most; strided and large windows already fill the registers with two by two.
    let small = rows.size <= 3 && columns.size <= 3 && rows.stride == 1 && columns.stride == 1;
    let tile = [if rows.output > 1 { 2 } else { 1 }, if small { 4 } else { 2 }];
    let quads = site.in_channels / 4;
    let (row_tiles, column_tiles) = (rows.output.div_ceil(tile[0]), columns.output.div_ceil(tile[1]));
    let (items, workgroups) = linear(site.batch * row_tiles * column_tiles * quads, traits)?;
    let params = Params {
        count: items,
        quads: count(quads)?,
        row_tiles: count(row_tiles)?,
        column_tiles: count(column_tiles)?,
        in_rows: count(rows.input)?,
        in_columns: count(columns.input)?,
        out_rows: count(rows.output)?,
        out_columns: count(columns.output)?,
        top: count(rows.before)?,
        left: count(columns.before)?,
    };
    let (bias, epilogue) = epilogue_parts(case, &conv.epilogue, true);
    let mut bindings = vec![
        Binding::new("x", Operand::Input(0), Form::ReadVec4),
        Binding::new("w", Operand::Input(1), weights),
        Binding::new("y", Operand::Output(0), Form::WriteVec4),
    ];
    bindings.extend(epilogue);
    let shader = Shader::new(stem, Params::WGSL)
        .with("T", "vec4<f32>")
        .with("rows", tile[0])
        .with("columns", tile[1])
        .with("size_rows", rows.size)
        .with("size_columns", columns.size)
        .with("stride_rows", rows.stride)
        .with("stride_columns", columns.stride)
        .with("bias", bias)
        .with("residual", json!(conv.epilogue.residual))
        .with_activation(conv.epilogue.activation);
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}
