//! `pointwise_lane`: a window of one tap, or a dense layer, as a matrix product on a processor.

use super::gemm::Product;
use super::lane::{Rounds, TEXEL, Tile, images_fit, lane_bindings, lanes, tile};
use super::layout::count;
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, params};
use crate::ops::{Conv, ConvSite, Epilogue, Filters, Op};

params! {
    /// Parameters of `pointwise_lane` and `dense_lane`; channels in quads of four.
    struct Params { pixels: u32, in_quads: u32, in_channels: u32, out_quads: u32, out_tiles: u32 }
}

/// Takes ungrouped windows of one tap whose channels divide by four, on processors.
pub(super) const KERNEL: Kernel = Kernel { stem: "pointwise_lane", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let lanes = lanes(traits)?;
    let (conv, site) = resolve(case)?;
    let (shader, tile) = tiled([1, site.pixels(), site.in_channels / 4, site.out_channels / 4], lanes as usize);
    launch(shader, [tile.pixels * lanes as usize, tile.quads], case, conv, &site, traits)
}

/// The shader for some products of pixels, and channels in quads, with its tile.
fn tiled([planes, pixels, in_quads, out_quads]: [usize; 4], lanes: usize) -> (Shader, Tile) {
    let step = if in_quads.is_multiple_of(2) { 2 } else { 1 };
    let tile = tile(
        &Rounds { count: in_quads / step, rows: 4 * step },
        lanes,
        |tile| planes * pixels.div_ceil(tile.pixels * lanes) * out_quads.div_ceil(tile.quads),
        |tile| tile.pixels * step * TEXEL,
    );
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("lanes", lanes)
        .with("pixels", tile.pixels)
        .with("out_quads", tile.quads)
        .with("in_quads", step)
        .with("planes", planes > 1);
    (shader, tile)
}

/// The dispatch for products that lie behind each other: `[groups, rows, reduction]` by `[groups, reduction, columns]`, into
/// `[groups, rows, columns]`, all of whole vectors.
pub(super) fn batched(product: &Product, operands: [Operand; 3], traits: &DeviceTraits) -> Result<Dispatch, Refusal> {
    let lanes = lanes(traits)? as usize;
    let &Product { groups, rows, reduction, columns, .. } = product;
    let (shader, tile) = tiled([groups, rows, reduction / 4, columns / 4], lanes);
    let out_tiles = (columns / 4).div_ceil(tile.quads);
    let workgroups = traits.fold((rows.div_ceil(tile.pixels * lanes) * out_tiles) as u64);
    let Some([x, y, 1]) = workgroups.filter(|_| groups <= traits.max_workgroups as usize) else {
        return Refusal::because(format!("{groups} products of {rows} rows are more than one dispatch can count"));
    };
    let [a, b, sums] = operands;
    let params = Params {
        pixels: count(rows)?,
        in_quads: count(reduction / 4)?,
        in_channels: count(reduction)?,
        out_quads: count(columns / 4)?,
        out_tiles: count(out_tiles)?,
    };
    let mut bindings = vec![Binding::new("x", a, Form::Image), Binding::new("w", b, Form::Image)];
    bindings.push(Binding::new("y", sums, Form::WriteVec4));
    let shader = shader.with_epilogue(&Epilogue::default(), &[], 0);
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups: [x, y, groups as u32] })
}

/// The convolution as a matrix product of whole vectors.
pub(super) fn resolve<'a>(case: &Case<'a>) -> Result<(&'a Conv, ConvSite), Refusal> {
    let Op::Conv(conv) = case.op else { return Refusal::because("takes convolutions") };
    let site = conv.site(case.inputs).map_err(|e| Refusal(e.to_string()))?;
    if !site.is_pointwise() || site.groups != 1 || conv.filters == Filters::Shared {
        return Refusal::because("takes windows of one tap in one group");
    }
    if !site.in_channels.is_multiple_of(4) || !site.out_channels.is_multiple_of(4) {
        let (from, to) = (site.in_channels, site.out_channels);
        return Refusal::because(format!("takes channels that divide by 4, and these are {from} to {to}"));
    }
    Ok((conv, site))
}

/// The launch of `shader` for tiles of `[pixels, output quads]`.
pub(super) fn launch(
    shader: Shader,
    tile: [usize; 2],
    case: &Case<'_>,
    conv: &Conv,
    site: &ConvSite,
    traits: &DeviceTraits,
) -> Result<Launch, Refusal> {
    let mut bindings =
        vec![Binding::new("x", Operand::Input(0), Form::Image), Binding::new("w", Operand::Input(1), Form::Image)];
    bindings.extend(lane_bindings(&conv.epilogue, 2));
    images_fit(case, &bindings, traits)?;
    let (pixels, out_quads) = (site.pixels(), site.out_channels / 4);
    let out_tiles = out_quads.div_ceil(tile[1]);
    let groups = (pixels.div_ceil(tile[0]) * out_tiles) as u64;
    let Some(workgroups) = traits.fold(groups) else {
        return Refusal::because(format!("{groups} tiles are more than one dispatch can count"));
    };
    let params = Params {
        pixels: pixels as u32,
        in_quads: site.in_channels as u32 / 4,
        in_channels: site.in_channels as u32,
        out_quads: out_quads as u32,
        out_tiles: out_tiles as u32,
    };
    Ok(Dispatch {
        shader: shader.with_epilogue(&conv.epilogue, case.inputs, 2),
        bindings,
        params: params.words(),
        workgroups,
    }
    .into())
}
