//! `depthwise_grad_filter`: the gradient of a filter for each channel, all taps of it from a window in registers.

use serde_json::json;

use super::lane::{image_fits, lanes};
use super::layout::count;
use super::reduce::Slices;
use super::window::window_fits;
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, LINEAR_WORKGROUP, Launch, Operand, Refusal,
    Shader, ends, params, workgroups,
};
use crate::ops::{ConvGradFilterSite, Op};
use crate::tensor::AxisWindow;

params! {
    /// Parameters of `depthwise_grad_filter`: vectors of channels, tiles beside each other, rows of tiles of one plane and
    /// in all, rows of tiles of one slice, taps, groups of taps along rows and columns, and both maps with the window.
    struct Params {
        quads: u32,
        tile_columns: u32,
        tile_rows: u32,
        lines: u32,
        lines_per_slice: u32,
        taps: u32,
        row_groups: u32,
        column_groups: u32,
        in_depth: u32,
        in_rows: u32,
        in_columns: u32,
        out_depth: u32,
        out_rows: u32,
        out_columns: u32,
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

/// Takes filters with one input and one output channel each, over channels that divide by four.
///
/// An invocation walks down a column of tiles, and keeps the sums of a group of taps; sums of different invocations are
/// added up by a second dispatch. Processors read through images.
pub(super) const KERNEL: Kernel = Kernel { stem: "depthwise_grad_filter", accepts };

/// Taps whose sums one invocation keeps, as a rule.
const SUMS: usize = 15;
/// Invocations that keep a GPU busy.
const BUSY: usize = 1 << 15;
/// Workgroups that keep a processor's cores evenly busy.
const EVEN: usize = 32;
/// Rows of tiles that one invocation walks over at least, as far as there are that many.
const FEWEST_LINES: usize = 4;

/// How the window is cut: outputs of one step, and taps of one invocation, as `[rows, columns]`.
struct Cut {
    tile: [usize; 2],
    unroll: [usize; 2],
}

impl Cut {
    fn of(rows: &AxisWindow, columns: &AxisWindow, processor: bool) -> Cut {
        let dense = |axis: &AxisWindow| axis.dilation == 1 || axis.size == 1;
        let row = if dense(columns) && columns.size <= SUMS { columns.size } else { 1 };
        // Groups of about the same size: what the last one has beyond the window is thrown away.
        let groups = if dense(rows) { rows.size.div_ceil((SUMS / row).max(1)) } else { rows.size };
        let unroll = [rows.size.div_ceil(groups), row];
        let strided = rows.stride.max(columns.stride) > 1;
        // Larger tiles load less for each output; registers of GPUs hold less of them.
        let tile = match (processor, strided) {
            (true, false) => [4, 4],
            (true, true) => [2, 4],
            (false, _) if strided || unroll[0] * row > 9 => [2, 2],
            (false, _) => [4, 2],
        };
        Cut { tile: [tile[0].min(rows.output), tile[1].min(columns.output)], unroll }
    }
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::ConvGradFilter(op) = case.op else { return Refusal::because("takes gradients of filters") };
    case.fits(traits)?;
    let site = op.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    if site.groups != site.in_channels || site.groups != site.out_channels {
        return Refusal::because("takes windows over each channel on its own, with one output for each");
    }
    if !site.in_channels.is_multiple_of(4) {
        return Refusal::because(format!("takes channels that divide by 4, and these are {}", site.in_channels));
    }
    window_fits(&site.axes)?;
    let processor = traits.class == DeviceClass::Cpu;
    let threads = if processor { lanes(traits)? } else { LINEAR_WORKGROUP };
    launch(case, &site, threads as usize, traits)
}

fn launch(
    case: &Case<'_>,
    site: &ConvGradFilterSite,
    threads: usize,
    traits: &DeviceTraits,
) -> Result<Launch, Refusal> {
    let processor = traits.class == DeviceClass::Cpu;
    let images = processor && case.inputs.iter().all(|input| image_fits(input.shape.elements(), 4, traits));
    let [depth, rows, columns] = &site.axes;
    let cut = Cut::of(rows, columns, processor);
    let (tile_rows, tile_columns) = (rows.output.div_ceil(cut.tile[0]), columns.output.div_ceil(cut.tile[1]));
    let (row_groups, column_groups) = (rows.size.div_ceil(cut.unroll[0]), columns.size.div_ceil(cut.unroll[1]));
    let tap_groups = depth.size * row_groups * column_groups;
    let (quads, lines) = (site.in_channels / 4, site.batch * depth.output * tile_rows);
    let groups = (quads * tile_columns).div_ceil(threads);
    let wanted = if processor { EVEN } else { BUSY / threads };
    let lines_per_slice = lines.div_ceil(wanted.div_ceil(groups * tap_groups)).max(FEWEST_LINES.min(lines));
    let slices = lines.div_ceil(lines_per_slice);
    ends(lines_per_slice, traits)?;
    let workgroups = workgroups([groups, tap_groups, slices], "tiles", traits)?;
    let taps = depth.size * rows.size * columns.size;
    let parts = slices * tile_columns;
    let sum = Slices::of(parts, &case.outputs[0], traits)?;
    let params = Params {
        quads: count(quads)?,
        tile_columns: count(tile_columns)?,
        tile_rows: count(tile_rows)?,
        lines: count(lines)?,
        lines_per_slice: count(lines_per_slice)?,
        taps: count(taps)?,
        row_groups: count(row_groups)?,
        column_groups: count(column_groups)?,
        in_depth: count(depth.input)?,
        in_rows: count(rows.input)?,
        in_columns: count(columns.input)?,
        out_depth: count(depth.output)?,
        out_rows: count(rows.output)?,
        out_columns: count(columns.output)?,
        size_rows: count(rows.size)?,
        size_columns: count(columns.size)?,
        stride_depth: count(depth.stride)?,
        dilation_depth: count(depth.dilation)?,
        dilation_rows: count(rows.dilation)?,
        dilation_columns: count(columns.dilation)?,
        before_depth: count(depth.before)?,
        before_rows: count(rows.before)?,
        before_columns: count(columns.before)?,
    };
    let read = if images { Form::Image } else { Form::ReadVec4 };
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("threads", threads)
        .with("images", images)
        .with("tile", json!(cut.tile))
        .with("unroll", json!(cut.unroll))
        .with("stride", json!([rows.stride, columns.stride]))
        .with("tails", json!([rows.output % cut.tile[0] != 0, columns.output % cut.tile[1] != 0]))
        .with("spare_taps", !rows.size.is_multiple_of(cut.unroll[0]));
    let first = Dispatch {
        shader,
        bindings: vec![
            Binding::new("x", Operand::Input(0), read),
            Binding::new("dy", Operand::Input(1), read),
            Binding::new("dw", sum.target(), Form::WriteVec4),
        ],
        params: params.words(),
        workgroups,
    };
    sum.launch(first, traits)
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::{launches, launches_on, refusals};
    use crate::kernels::{DeviceTraits, Launch};
    use crate::ops::ConvGradFilter;
    use crate::tensor::{Padding, Window};

    fn op(size: usize, groups: usize) -> ConvGradFilter {
        let window = Window { padding: Padding::Same, ..Window::unit(2) };
        ConvGradFilter { window, size: vec![size; 2], groups }
    }

    #[test]
    fn windows_are_cut_into_groups_of_taps() {
        let launch = |size: usize, traits: &DeviceTraits| -> Launch {
            launches_on(traits, op(size, 8), &[&[2, 28, 28, 8][..]; 2]).remove(0).1
        };
        for (size, unroll) in [(1, [1, 1]), (3, [3, 3]), (5, [3, 5]), (7, [2, 7])] {
            let launch = launch(size, &DeviceTraits::lavapipe());
            assert_eq!(launch.dispatches[0].shader.options["unroll"], serde_json::json!(unroll));
            let parts = launch.scratch[0] / (4 * 8 * size * size) as u64;
            // As many partial sums as tiles beside each other, in each slice.
            assert_eq!(parts, 7 * u64::from(launch.dispatches[0].workgroups[2]));
        }
    }

    #[test]
    fn only_whole_vectors_of_single_channels() {
        assert_eq!(launches(op(3, 8), &[&[1, 9, 9, 8][..]; 2])[0].0, "depthwise_grad_filter");
        let why = |groups: usize, x: usize, y: usize| {
            let refused = refusals(op(3, groups), &[&[1, 9, 9, x], &[1, 9, 9, y]]);
            refused.into_iter().find(|(stem, _)| *stem == "depthwise_grad_filter").map(|(_, why)| why)
        };
        assert_eq!(why(8, 8, 8), None);
        assert!(why(6, 6, 6).is_some_and(|why| why.contains("divide by 4")));
        assert!(why(4, 4, 8).is_some_and(|why| why.contains("one output for each")));
        assert!(why(1, 8, 8).is_some_and(|why| why.contains("one output for each")));
    }
}
