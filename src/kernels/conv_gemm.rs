//! `conv_gemm`: a convolution in one group as a tiled matrix product, its input gathered tap by tap.

use super::gemm::Product;
use super::layout::count;
use super::window::{axis_params, window_fits};
use super::{Case, DeviceTraits, Kernel, Launch, Refusal, params};
use crate::ops::{Filters, Op};

params! {
    /// Parameters of `conv_gemm`: rows (pixels), columns (output channels), taps times input channels, tiles beside each
    /// other, input channels, and the windows of the three axes.
    struct Params {
        rows: u32,
        columns: u32,
        reduction: u32,
        column_tiles: u32,
        channels: u32,
        depth_input: u32,
        depth_output: u32,
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

/// Output channels below which most of a tile would be empty.
const FEW_CHANNELS: usize = 8;

/// Takes any window in one group.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_gemm", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::Conv(conv) = case.op else { return Refusal::because("takes convolutions") };
    case.fits(traits)?;
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    if conv.filters != (Filters::PerGroup { groups: 1 }) {
        return Refusal::because("takes convolutions in one group");
    }
    if site.out_channels < FEW_CHANNELS {
        return Refusal::because(format!(
            "takes {FEW_CHANNELS} output channels or more, and these are {}",
            site.out_channels
        ));
    }
    let axes = site.axes3();
    window_fits(&axes)?;
    let [depth, height, width] = axis_params(&axes)?;
    let product = Product::of(&site);
    let tiling = product.tiling(traits)?;
    let params = Params {
        rows: count(product.rows)?,
        columns: count(product.columns)?,
        reduction: count(product.reduction)?,
        column_tiles: count(tiling.column_tiles)?,
        channels: count(site.in_channels)?,
        depth_input: depth[0],
        depth_output: depth[1],
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
    Ok(product.launch((KERNEL.stem, Params::WGSL), params.words(), &tiling, case, conv))
}
