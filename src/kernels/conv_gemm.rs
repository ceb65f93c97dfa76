//! `conv_gemm`: a convolution as tiled matrix products, one for each group, its input gathered tap by tap.

use super::gemm::Product;
use super::layout::count;
use super::window::{Windows, axis_params, window_fits};
use super::{Case, DeviceTraits, Kernel, Launch, Refusal, Shader, params};
use crate::ops::{Filters, Op};
use crate::tensor::AxisWindow;

params! {
    /// Parameters of `conv_gemm`: rows (pixels), output channels of a group and of all, taps times input channels, tiles beside
    /// each other and of a group, slices of the sum, terms of each, and input channels of a group and of a pixel, in elements or
    /// vectors; from the end of a tap, a row of taps
    /// and a plane of taps to the beginning of the next; where rows and columns of taps end; and the windows of the axes.
    struct Params {
        rows: u32,
        columns: u32,
        all_columns: u32,
        reduction: u32,
        column_tiles: u32,
        tiles: u32,
        slices: u32,
        slice: u32,
        channels: u32,
        pitch: u32,
        tap_hop: u32,
        row_hop: u32,
        plane_hop: u32,
        width_end: u32,
        height_end: u32,
        windows: Windows,
    }
}

/// Output channels below which most of a tile would be empty: of one group, and of each of several.
const FEW_CHANNELS: [usize; 2] = [4, 8];

/// Takes any window with filters for several output channels.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_gemm", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::Conv(conv) = case.op else { return Refusal::because("takes convolutions") };
    case.fits(traits)?;
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    let product = Product::of(&site);
    let few = FEW_CHANNELS[usize::from(site.groups > 1)];
    if conv.filters == Filters::Shared || product.columns < few {
        return Refusal::because(format!(
            "takes {few} output channels or more in a group, and here are {}",
            product.columns
        ));
    }
    let axes = site.axes3();
    window_fits(&axes)?;
    let tiling = product.tiling(traits)?;
    let part = if product.vectors { 4 } else { 1 };
    let pitch = site.in_channels / part;
    let (channels, step) = (pitch / site.groups, tiling.tile.depth / part);
    let [tap_hop, row_hop, plane_hop] = hops(&axes, pitch, channels);
    let [depth, height, width] = &axes;
    let params = Params {
        rows: count(product.rows)?,
        columns: count(product.columns)?,
        all_columns: count(site.out_channels)?,
        reduction: count(product.reduction)?,
        column_tiles: count(tiling.column_tiles)?,
        tiles: count(tiling.tiles)?,
        slices: count(tiling.slices)?,
        slice: count(tiling.slice)?,
        channels: count(channels)?,
        pitch: count(pitch)?,
        tap_hop,
        row_hop,
        plane_hop,
        width_end: count(width.size * width.dilation)?,
        height_end: count(height.size * height.dilation)?,
        windows: axis_params(&axes)?,
    };
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("deep", !depth.passes())
        .with("padded", axes.iter().any(leaves))
        .with("uniform", channels.is_multiple_of(step))
        .with("wraps", step.div_ceil(channels));
    product.launch(shader, params.words(), &tiling, case, conv, traits)
}

/// Whether a window ever leaves the input.
fn leaves(axis: &AxisWindow) -> bool {
    axis.before > 0 || (axis.output - 1) * axis.stride + axis.extent() > axis.input
}

/// What to add to a position behind the last channel of a tap so as to come to the next tap, on top of that at the end of a
/// row of taps, and on top of that at the end of a plane; negative hops wrap as the shader's numbers do.
fn hops([depth, height, width]: &[AxisWindow; 3], pitch: usize, channels: usize) -> [u32; 3] {
    let signed = |value: usize| value as i64;
    let reach = |axis: &AxisWindow| signed(axis.size * axis.dilation);
    let row = signed(width.input * pitch);
    let hops = [
        signed(width.dilation * pitch) - signed(channels),
        signed(height.dilation) * row - reach(width) * signed(pitch),
        (signed(depth.dilation * height.input) - reach(height)) * row,
    ];
    hops.map(|hop| hop as u32)
}
