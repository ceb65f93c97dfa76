//! `depthwise`: a filter for each channel, several outputs per invocation from a window in registers.

use serde_json::json;

use super::epilogue::epilogue_bindings;
use super::layout::count;
use super::window::window_fits;
use super::{
    Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, forms, params,
    workgroups,
};
use crate::ops::{Conv, ConvSite, Filters, Op};
use crate::tensor::AxisWindow;

params! {
    /// Parameters of windows in registers: channels in elements or vectors, groups of them, both maps, and the depth.
    struct Params {
        channels: u32,
        channel_groups: u32,
        in_depth: u32,
        in_rows: u32,
        in_columns: u32,
        out_depth: u32,
        out_rows: u32,
        out_columns: u32,
        size_depth: u32,
        stride_depth: u32,
        dilation_depth: u32,
        before_depth: u32,
        before_rows: u32,
        before_columns: u32,
    }
}

/// Invocations of a workgroup.
const INVOCATIONS: usize = 64;
/// Longest row or column of taps that is unrolled.
const LONGEST: usize = 7;
/// Fewest outputs of a plane that are worth tiles of eight.
const LARGE_PLANE: usize = 14 * 14;

/// Takes filters of up to seven rows and columns with strides of 1 and 2, or of 1 and dilation, over channels that divide by
/// four.
pub(super) const KERNEL: Kernel = Kernel { stem: "depthwise", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (conv, site) = resolve(case, traits)?;
    if conv.filters == Filters::Shared {
        return Refusal::because("takes one filter for each channel");
    }
    if !site.in_channels.is_multiple_of(4) {
        return Refusal::because(format!("takes channels that divide by 4, and these are {}", site.in_channels));
    }
    launch(KERNEL.stem, Form::ReadVec4, true, case, conv, &site, traits)
}

/// The convolution, where each output channel sees the input channel of its own number.
pub(super) fn resolve<'a>(case: &Case<'a>, traits: &DeviceTraits) -> Result<(&'a Conv, ConvSite), Refusal> {
    let Op::Conv(conv) = case.op else { return Refusal::because("takes convolutions") };
    case.fits(traits)?;
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    if site.groups != site.in_channels || site.groups != site.out_channels {
        return Refusal::because("takes windows over each channel on its own, with one output for each");
    }
    Ok((conv, site))
}

/// Outputs of one invocation as `[rows, columns]`.
fn tile(rows: &AxisWindow, columns: &AxisWindow) -> Result<[usize; 2], Refusal> {
    for axis in [rows, columns] {
        if axis.size > LONGEST || axis.stride > 2 || (spread(axis) > 1 && axis.stride > 1) {
            return Refusal::because(format!(
                "takes windows of up to {LONGEST}, strides of 1 and 2, and dilation with stride 1; this one has size {}, stride {}, dilation {}",
                axis.size, axis.stride, axis.dilation
            ));
        }
    }
    // Eight outputs reuse most; strided and large windows already fill the registers with four.
    let small = rows.size <= 3 && columns.size <= 3 && rows.stride == 1 && columns.stride == 1;
    Ok(match rows.output {
        1 => [1, 4],
        outputs if small && outputs * columns.output >= LARGE_PLANE => [4, 2],
        _ => [2, 2],
    })
}

/// How far apart the taps lie, and the outputs of one invocation with them.
fn spread(axis: &AxisWindow) -> usize {
    if axis.size > 1 { axis.dilation } else { 1 }
}

/// Tiles of `tile` outputs along an axis.
fn tiles(axis: &AxisWindow, tile: usize) -> usize {
    axis.output.div_ceil(tile * spread(axis)) * spread(axis)
}

/// Invocations of a workgroup along channels, columns and rows: neighbours along channels, as far as those reach.
///
/// Divisions by these constants cost nothing, while dividing a linear index costs more than the arithmetic of a tile.
fn lanes(channels: usize, columns: usize) -> [usize; 3] {
    let along_channels = if channels < 4 {
        channels.next_power_of_two()
    } else {
        // The first of equally good divisions reads the longest rows.
        [64, 32, 16, 8, 4].into_iter().min_by_key(|&lanes| channels.next_multiple_of(lanes)).unwrap_or(4)
    };
    let along_columns = columns.next_power_of_two().min(INVOCATIONS / along_channels);
    [along_channels, along_columns, INVOCATIONS / along_channels / along_columns]
}

/// The launch of `stem` with weights in the given form, and all else in elements or `vectors`.
pub(super) fn launch(
    stem: &'static str,
    weights: Form,
    vectors: bool,
    case: &Case<'_>,
    conv: &Conv,
    site: &ConvSite,
    traits: &DeviceTraits,
) -> Result<Launch, Refusal> {
    let axes = site.axes3();
    window_fits(&axes)?;
    let [depth, rows, columns] = axes;
    let tile = tile(&rows, &columns)?;
    ends(depth.size, traits)?;
    let channels = site.in_channels / if vectors { 4 } else { 1 };
    let (row_tiles, column_tiles) = (tiles(&rows, tile[0]), tiles(&columns, tile[1]));
    let lanes = lanes(channels, column_tiles);
    let channel_groups = channels.div_ceil(lanes[0]);
    let grid =
        [channel_groups * column_tiles.div_ceil(lanes[1]), row_tiles.div_ceil(lanes[2]), site.batch * depth.output];
    let workgroups = workgroups(grid, "tiles", traits)?;
    let params = Params {
        channels: count(channels)?,
        channel_groups: count(channel_groups)?,
        in_depth: count(depth.input)?,
        in_rows: count(rows.input)?,
        in_columns: count(columns.input)?,
        out_depth: count(depth.output)?,
        out_rows: count(rows.output)?,
        out_columns: count(columns.output)?,
        size_depth: count(depth.size)?,
        stride_depth: count(depth.stride)?,
        dilation_depth: count(depth.dilation)?,
        before_depth: count(depth.before)?,
        before_rows: count(rows.before)?,
        before_columns: count(columns.before)?,
    };
    let (read, write, element) = forms(vectors);
    let mut bindings = vec![
        Binding::new("x", Operand::Input(0), read),
        Binding::new("w", Operand::Input(1), weights),
        Binding::new("y", Operand::Output(0), write),
    ];
    bindings.extend(epilogue_bindings(&conv.epilogue, case.inputs, 2, vectors));
    let shader = Shader::new(stem, Params::WGSL)
        .with("T", element)
        .with("lanes", json!(lanes))
        .with("tile", json!(tile))
        .with("size", json!([rows.size, columns.size]))
        .with("stride", json!([rows.stride, columns.stride]))
        .with("dilation", json!([spread(&rows), spread(&columns)]))
        .with("deep", !depth.passes())
        .with_epilogue(&conv.epilogue, case.inputs, 2);
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}

#[cfg(test)]
mod tests {
    use super::lanes;
    use crate::kernels::check::launches;
    use crate::ops::Conv;
    use crate::tensor::{Padding, Window};

    #[test]
    fn lanes_run_along_channels_first() {
        assert_eq!(lanes(1, 28), [1, 32, 2]);
        assert_eq!(lanes(3, 28), [4, 16, 1]);
        assert_eq!(lanes(16, 28), [16, 4, 1]);
        assert_eq!(lanes(18, 28), [4, 16, 1]);
        assert_eq!(lanes(24, 7), [8, 8, 1]);
        assert_eq!(lanes(64, 7), [64, 1, 1]);
        assert_eq!(lanes(16, 2), [16, 2, 2]);
    }

    fn first(conv: Conv, x: &[usize], w: &[usize]) -> &'static str {
        launches(conv, &[x, w])[0].0
    }

    #[test]
    fn windows_in_registers_are_short() {
        let dilated = || Window { dilation: vec![2, 2], padding: Padding::Same, ..Window::unit(2) };
        let strided = || Window { stride: vec![2, 2], ..dilated() };
        assert_eq!(first(Conv::new(Window::unit(2), 8), &[1, 9, 9, 8], &[3, 3, 1, 8]), "depthwise");
        assert_eq!(first(Conv::new(Window::unit(2), 6), &[1, 9, 9, 6], &[3, 3, 1, 6]), "conv_generic");
        assert_eq!(first(Conv::new(dilated(), 8), &[1, 9, 9, 8], &[3, 3, 1, 8]), "depthwise");
        assert_eq!(first(Conv::new(strided(), 8), &[1, 9, 9, 8], &[3, 3, 1, 8]), "conv_generic");
        assert_eq!(first(Conv::shared(Window::unit(2)), &[1, 9, 9, 6], &[3, 3, 1, 1]), "shared_depthwise");
        assert_eq!(first(Conv::shared(dilated()), &[1, 9, 9, 8], &[3, 3, 1, 1]), "shared_depthwise");
        assert_eq!(first(Conv::shared(Window::unit(2)), &[1, 9, 9, 8], &[9, 9, 1, 1]), "conv_generic");
    }
}
