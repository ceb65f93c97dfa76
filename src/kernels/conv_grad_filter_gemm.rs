//! `conv_grad_filter_gemm`: the gradient of a convolution's weights as a tiled matrix product summed over pixels.

use super::layout::count;
use super::reduce::Slices;
use super::window::{AXES, Windows, axis_params, window_fits};
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, params};
use crate::ops::Op;

params! {
    /// Parameters of `conv_grad_filter_gemm`: rows (taps times input channels) and columns (output channels) of the filter,
    /// tiles beside each other and in all, pixels and those of one slice, channels of `x`, and the three axes.
    struct Params {
        rows: u32,
        columns: u32,
        column_tiles: u32,
        tiles: u32,
        pixels: u32,
        pixels_per_slice: u32,
        channels: u32,
        windows: Windows,
    }
}

/// Takes filters in one group. The pixels are cut into slices, so that small filters keep a device busy as well; their sums
/// are added up by a second dispatch.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_grad_filter_gemm", accepts };

/// Invocations along one side of a tile.
const SIDE: usize = 8;
/// Workgroups that keep a device busy.
const BUSY: usize = 256;
/// Pixels that are worth a workgroup of its own.
const FEWEST_PIXELS: usize = 256;

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::ConvGradFilter(op) = case.op else { return Refusal::because("takes gradients of filters") };
    case.fits(traits)?;
    let site = op.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    if site.groups != 1 {
        return Refusal::because("takes convolutions in one group");
    }
    window_fits(&site.axes)?;
    let taps: usize = site.axes.iter().map(|axis| axis.size).product();
    let (rows, columns, pixels) = (taps * site.in_channels, site.out_channels, site.pixels());
    // Vectors that an invocation owns along each side, and pixels in workgroup memory at once.
    let (own, step) = if rows.min(columns) > 4 * SIDE { (2, 16) } else { (1, 16) };
    let side = 4 * SIDE * own;
    let bytes = 2 * step * side * 4;
    if bytes > traits.max_workgroup_bytes as usize {
        let most = traits.max_workgroup_bytes;
        return Refusal::because(format!("needs {bytes} bytes of workgroup memory, and the device has {most}"));
    }
    let tiles = rows.div_ceil(side) * columns.div_ceil(side);
    let slices = BUSY.div_ceil(tiles).min(pixels.div_ceil(FEWEST_PIXELS));
    let pixels_per_slice = pixels.div_ceil(slices).next_multiple_of(step);
    let slices = pixels.div_ceil(pixels_per_slice);
    ends(pixels_per_slice / step, traits)?;
    let Some(workgroups) = traits.fold((tiles * slices) as u64) else {
        return Refusal::because(format!("{tiles} tiles in {slices} slices are more than one dispatch can count"));
    };
    let sum = Slices::of(slices, &case.outputs[0], traits)?;
    let params = Params {
        rows: count(rows)?,
        columns: count(columns)?,
        column_tiles: count(columns.div_ceil(side))?,
        tiles: count(tiles)?,
        pixels: count(pixels)?,
        pixels_per_slice: count(pixels_per_slice)?,
        channels: count(site.in_channels)?,
        windows: axis_params(&site.axes)?,
    };
    let (x_vectors, y_vectors) = (site.in_channels.is_multiple_of(4), site.out_channels.is_multiple_of(4));
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("side", SIDE)
        .with("own", own)
        .with("step", step)
        .with("x_vectors", x_vectors)
        .with("y_vectors", y_vectors)
        .with("plain", site.is_plain())
        .with("axes", serde_json::json!(AXES));
    let bindings = vec![
        Binding::new("x", Operand::Input(0), Form::read(x_vectors)),
        Binding::new("dy", Operand::Input(1), Form::read(y_vectors)),
        Binding::new("dw", sum.target(), Form::write(y_vectors)),
    ];
    let first = Dispatch { shader, bindings, params: params.words(), workgroups };
    sum.launch(first, traits)
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::{launches, refusals};
    use crate::ops::ConvGradFilter;
    use crate::tensor::{Padding, Window};

    fn op(size: usize, groups: usize) -> ConvGradFilter {
        let window = Window { padding: Padding::Same, ..Window::unit(2) };
        ConvGradFilter { window, size: vec![size; 2], groups }
    }

    #[test]
    fn small_filters_are_cut_into_slices_of_pixels() {
        let slices = |size: usize, x: [usize; 4], to: usize| {
            let launch = launches(op(size, 1), &[&x, &[x[0], x[1], x[2], to]]).remove(0);
            assert_eq!(launch.0, "conv_grad_filter_gemm");
            let bytes = (4 * size * size * x[3] * to) as u64;
            launch.1.scratch.first().map_or(1, |scratch| scratch / bytes)
        };
        assert_eq!(slices(3, [64, 28, 28, 1], 16), 196);
        assert_eq!(slices(1, [64, 28, 28, 16], 32), 196);
        assert_eq!(slices(3, [8, 28, 28, 64], 64), 25);
        assert_eq!(slices(1, [1, 7, 7, 512], 512), 1);
        assert_eq!(slices(3, [1, 5, 7, 3], 10), 1);
    }

    #[test]
    fn groups_are_refused() {
        let refused = refusals(op(3, 2), &[&[1, 9, 9, 8], &[1, 9, 9, 8]]);
        assert!(refused.iter().any(|(stem, why)| *stem == "conv_grad_filter_gemm" && why.contains("one group")));
    }
}
