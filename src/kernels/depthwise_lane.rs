//! `depthwise_lane`: a window over each channel on its own, with a filter for each, on a processor.

use serde_json::json;

use super::lane::{images_fit, lane_bindings};
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, params,
};
use crate::ops::{Conv, ConvSite, Filters, Op};
use crate::tensor::AxisWindow;

params! {
    /// Parameters of `depthwise_lane` and `shared_depthwise_lane`; channels in quads of four.
    struct Params {
        quads: u32,
        tile_columns: u32,
        in_depth: u32,
        in_rows: u32,
        in_columns: u32,
        out_depth: u32,
        out_rows: u32,
        out_columns: u32,
        size_depth: u32,
        size_rows: u32,
        size_columns: u32,
        stride_depth: u32,
        dilation_depth: u32,
        dilation_rows: u32,
        dilation_columns: u32,
        before_depth: u32,
        before_rows: u32,
        before_columns: u32,
    }
}

/// Takes depthwise convolutions whose channels divide by four, on processors.
pub(super) const KERNEL: Kernel = Kernel { stem: "depthwise_lane", accepts };

/// Longest row of taps that is unrolled.
const LONGEST_ROW: usize = 7;

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (conv, site) = resolve(case, traits)?;
    if conv.filters == Filters::Shared || site.groups != site.in_channels || site.groups != site.out_channels {
        return Refusal::because("takes one filter for each channel");
    }
    launch(KERNEL.stem, Form::Image, case, conv, &site, traits)
}

/// The convolution, where channels are whole vectors.
pub(super) fn resolve<'a>(case: &Case<'a>, traits: &DeviceTraits) -> Result<(&'a Conv, ConvSite), Refusal> {
    if traits.class != DeviceClass::Cpu {
        return Refusal::because("the lane family is for adapters that are processors");
    }
    let Op::Conv(conv) = case.op else { return Refusal::because("takes convolutions") };
    let site = conv.site(case.inputs).map_err(|e| Refusal(e.to_string()))?;
    if !site.in_channels.is_multiple_of(4) {
        return Refusal::because(format!("takes channels that divide by 4, and these are {}", site.in_channels));
    }
    Ok((conv, site))
}

/// Outputs of one work item and the taps that are unrolled for them, as `[rows, columns]`.
///
/// A small square window is unrolled whole, so that each input is loaded once for all outputs under it; of others one
/// row at a time, and of long or dilated rows one tap at a time, which keeps the shader short.
fn tile(rows: &AxisWindow, columns: &AxisWindow) -> ([usize; 2], [usize; 2]) {
    let dense = |axis: &AxisWindow| axis.dilation == 1 || axis.size == 1;
    if !dense(columns) || columns.size > LONGEST_ROW || columns.stride > 2 {
        return ([1, 4], [1, 1]);
    }
    if dense(rows) && rows.size == 3 && columns.size == 3 && rows.stride <= 2 && rows.output > 1 {
        return if rows.stride == 1 { ([4, 4], [3, 3]) } else { ([2, 4], [3, 3]) };
    }
    ([1, 8], [1, columns.size])
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
    let [depth, rows, columns] = site.axes3();
    let (tile, unroll) = tile(&rows, &columns);
    let mut bindings =
        vec![Binding::new("x", Operand::Input(0), Form::Image), Binding::new("w", Operand::Input(1), weights)];
    bindings.extend(lane_bindings(&conv.epilogue, 2));
    images_fit(case, &bindings, traits)?;
    let quads = site.in_channels / 4;
    let tile_columns = columns.output.div_ceil(tile[1]);
    let lanes = traits.lanes().unwrap_or(8);
    let grid =
        [(quads * tile_columns).div_ceil(lanes as usize), rows.output.div_ceil(tile[0]), site.batch * depth.output];
    if grid.iter().any(|&groups| groups > traits.max_workgroups as usize) {
        return Refusal::because(format!("a grid of {grid:?} tiles is more than one dispatch can count"));
    }
    let shader = Shader::new(stem, Params::WGSL)
        .with("lanes", lanes)
        .with("tile", json!(tile))
        .with("unroll", json!(unroll))
        .with("stride", json!([rows.stride, columns.stride]))
        .with("loops", json!([depth.size > 1, rows.size > unroll[0], columns.size > unroll[1]]));
    let params = Params {
        quads: quads as u32,
        tile_columns: tile_columns as u32,
        in_depth: depth.input as u32,
        in_rows: rows.input as u32,
        in_columns: columns.input as u32,
        out_depth: depth.output as u32,
        out_rows: rows.output as u32,
        out_columns: columns.output as u32,
        size_depth: depth.size as u32,
        size_rows: rows.size as u32,
        size_columns: columns.size as u32,
        stride_depth: depth.stride as u32,
        dilation_depth: depth.dilation as u32,
        dilation_rows: rows.dilation as u32,
        dilation_columns: columns.dilation as u32,
        before_depth: depth.before as u32,
        before_rows: rows.before as u32,
        before_columns: columns.before as u32,
    };
    Ok(Dispatch {
        shader: shader.with_epilogue(&conv.epilogue, case.inputs, 2),
        bindings,
        params: params.words(),
        workgroups: grid.map(|groups| groups as u32),
    }
    .into())
}
