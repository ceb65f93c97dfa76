//! `pointwise`: a convolution of one tap (or a dense layer) as a tiled matrix product.

use super::gemm::Product;
use super::layout::count;
use super::{Case, DeviceTraits, Kernel, Launch, Refusal, Shader, params};
use crate::ops::{Filters, Op};

params! {
    /// Parameters of `pointwise`: rows (pixels), columns (output channels), input channels, tiles beside each other, slices of the
    /// sum, and terms of each.
    struct Params { rows: u32, columns: u32, reduction: u32, column_tiles: u32, slices: u32, slice: u32 }
}

/// Takes windows of one tap in one group.
pub(super) const KERNEL: Kernel = Kernel { stem: "pointwise", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::Conv(conv) = case.op else { return Refusal::because("takes convolutions") };
    case.fits(traits)?;
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    if !site.is_pointwise() || conv.filters != (Filters::PerGroup { groups: 1 }) {
        return Refusal::because("takes windows of one tap in one group");
    }
    let product = Product::of(&site);
    let tiling = product.tiling(traits)?;
    let params = Params {
        rows: count(product.rows)?,
        columns: count(product.columns)?,
        reduction: count(product.reduction)?,
        column_tiles: count(tiling.column_tiles)?,
        slices: count(tiling.slices)?,
        slice: count(tiling.slice)?,
    };
    product.launch(Shader::new(KERNEL.stem, Params::WGSL), params.words(), &tiling, case, conv, traits)
}
