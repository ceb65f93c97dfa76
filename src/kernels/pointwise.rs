//! `pointwise`: a convolution of one tap (or a dense layer) as a tiled matrix product.

use super::gemm::{Product, Tiling};
use super::layout::count;
use super::{Case, DeviceTraits, Dispatch, Kernel, Launch, Operand, Refusal, Shader, params};
use crate::ops::{Epilogue, Filters, Op};

params! {
    /// Parameters of `pointwise`: rows (pixels), columns (output channels) of a product and of all, input channels, tiles beside each
    /// other and of a product, slices of the sum, and terms of each.
    struct Params {
        rows: u32,
        columns: u32,
        all_columns: u32,
        reduction: u32,
        column_tiles: u32,
        tiles: u32,
        slices: u32,
        slice: u32,
    }
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
    let words = params(&product, &tiling)?.words();
    product.launch(Shader::new(KERNEL.stem, Params::WGSL), words, &tiling, case, conv, traits)
}

fn params(product: &Product, tiling: &Tiling) -> Result<Params, Refusal> {
    Ok(Params {
        rows: count(product.rows)?,
        columns: count(product.columns)?,
        all_columns: count(product.columns * product.groups)?,
        reduction: count(product.reduction)?,
        column_tiles: count(tiling.column_tiles)?,
        tiles: count(tiling.tiles)?,
        slices: count(tiling.slices)?,
        slice: count(tiling.slice)?,
    })
}

/// The dispatch for products that lie behind each other: `[groups, rows, reduction]` by `[groups, reduction, columns]`, into
/// `[groups, rows, columns]`.
pub(super) fn batched(product: &Product, operands: [Operand; 3], traits: &DeviceTraits) -> Result<Dispatch, Refusal> {
    let tiling = product.tiling(traits)?;
    let words = params(product, &tiling)?.words();
    let shader = Shader::new(KERNEL.stem, Params::WGSL);
    let dispatch = product.dispatch(shader, words, &tiling, operands, (&Epilogue::default(), &[]));
    Ok(Dispatch { shader: dispatch.shader.with("batched", true), ..dispatch })
}
