//! `depthwise_lane`: a window over each channel on its own, with a filter for each, on a processor.

use serde_json::json;

use super::lane::{STORE, TEXEL, images_fit, lane_bindings};
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, params,
    workgroups,
};
use crate::ops::{Conv, ConvSite, Filters, Op};
use crate::tensor::AxisWindow;

params! {
    /// Parameters of `depthwise_lane` and `shared_depthwise_lane`; channels in quads of four.
    struct Params {
        quads: u32,
        tile_columns: u32,
        tile_rows: u32,
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
/// Widths of strips. Each is a shader of its own; 7 leave nothing over of what networks for 224 x 224 pictures work on.
const STRIPS: [usize; 2] = [7, 4];
/// Sums that a strip carries from row to row; more than that cost more than they save.
const MOST_CARRIED: usize = 28;
/// Workgroups below which strips are cut into shorter ones.
const BUSY: usize = 64;
/// Rows of the shortest strips that others are cut into, and of the longest.
const STRIP_ROWS: [usize; 2] = [7, 1024];

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

/// The width of a strip that goes down the rows of a window without gaps, and loads each row of the input once. It is the one
/// that takes the fewest vector instructions.
fn strip(depth: &AxisWindow, rows: &AxisWindow, columns: &AxisWindow) -> Option<usize> {
    let dense = |axis: &AxisWindow| axis.dilation == 1 && axis.size <= LONGEST_ROW && axis.stride <= 2;
    if !depth.passes() || !dense(rows) || !dense(columns) || rows.size == 1 {
        return None;
    }
    let carried = |width: usize| width * (rows.size.div_ceil(rows.stride) - 1);
    let cost = |width: usize| {
        let texels = rows.stride * ((width - 1) * columns.stride + columns.size);
        let output = STORE + 8 * rows.size * columns.size;
        columns.output.div_ceil(width) * (texels * TEXEL + width * output)
    };
    STRIPS.into_iter().filter(|&width| carried(width) <= MOST_CARRIED).min_by_key(|&width| cost(width))
}

/// Neighbouring outputs of one work item, and the taps of a row that are unrolled for them: all of a row, or one where it is
/// long or has gaps, which keeps the shader short.
fn tile(columns: &AxisWindow) -> (usize, usize) {
    let dense = columns.dilation == 1 || columns.size == 1;
    let short = dense && columns.size <= LONGEST_ROW && columns.stride <= 2;
    if short { (8, columns.size) } else { (4, 1) }
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
    let strip = strip(&depth, &rows, &columns);
    let (outputs, unroll) = tile(&columns);
    let width = strip.unwrap_or(outputs);
    let mut bindings =
        vec![Binding::new("x", Operand::Input(0), Form::Image), Binding::new("w", Operand::Input(1), weights)];
    bindings.extend(lane_bindings(&conv.epilogue, 2));
    images_fit(case, &bindings, traits)?;
    let quads = site.in_channels / 4;
    let tile_columns = columns.output.div_ceil(width);
    let lanes = traits.lanes().unwrap_or(8);
    let (across, planes) = ((quads * tile_columns).div_ceil(lanes as usize), site.batch * depth.output);
    let tile_rows = match strip {
        Some(_) => {
            let [shortest, longest] = STRIP_ROWS;
            let strips = BUSY.div_ceil((across * planes).max(1)).min(rows.output / shortest);
            rows.output.div_ceil(strips.max(1)).clamp(1, longest)
        }
        None => 1,
    };
    let workgroups = workgroups([across, rows.output.div_ceil(tile_rows), planes], "tiles", traits)?;
    let shader = Shader::new(stem, Params::WGSL)
        .with("lanes", lanes)
        .with("strip", strip.is_some())
        .with("columns", width)
        .with("stride", json!([rows.stride, columns.stride]));
    let shader = match strip {
        Some(_) => shader.with("size", json!([rows.size, columns.size])),
        None => {
            shader.with("unroll", unroll).with("loops", json!([depth.size > 1, rows.size > 1, columns.size > unroll]))
        }
    };
    let params = Params {
        quads: quads as u32,
        tile_columns: tile_columns as u32,
        tile_rows: tile_rows as u32,
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
        workgroups,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::launches_on;
    use crate::tensor::{Padding, Window};

    /// The width of the strips for a window over pictures of `side`, with the rows of each strip, or 0 for single rows.
    fn strips(size: usize, stride: usize, side: usize) -> (usize, u32) {
        let window = Window { stride: vec![stride; 2], padding: Padding::Same, ..Window::unit(2) };
        let launches = launches_on(
            &DeviceTraits::lavapipe(),
            Conv::new(window, 32),
            &[&[1, side, side, 32], &[size, size, 1, 32]],
        );
        let (_, launch) = launches.into_iter().find(|(stem, _)| *stem == "depthwise_lane").unwrap();
        let dispatch = &launch.dispatches[0];
        let options = &dispatch.shader.options;
        let rows = if options["strip"].as_bool().unwrap() { dispatch.params[2] } else { 0 };
        (options["columns"].as_u64().unwrap() as usize, rows)
    }

    #[test]
    fn strips_leave_little_over_and_are_enough_for_all_cores() {
        assert_eq!(strips(3, 1, 112), (7, 28));
        assert_eq!(strips(3, 1, 14), (7, 7));
        assert_eq!(strips(3, 1, 16), (4, 8));
        assert_eq!(strips(5, 2, 28), (7, 7));
        assert_eq!(strips(7, 1, 14), (4, 7));
        assert_eq!(strips(9, 1, 14), (4, 0));
        assert_eq!(strips(1, 1, 14), (8, 0));
    }
}
