//! `conv_winograd`: a 3x3 convolution on transformed filters: tiles of the input transformed, 16 products, and their results
//! transformed back.

use super::epilogue::{bindings_as, epilogue_bindings};
use super::gemm::Product;
use super::layout::count;
use super::window::window_fits;
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader,
    conv_winograd_lane, forms, linear, params, pointwise,
};
use crate::ops::{ConvSite, Op, Winograd};
use crate::tensor::{AxisWindow, TensorType};

params! {
    /// Parameters of `conv_winograd`: elements or vectors of one plane and of a tile, tiles along both axes, and the map that tiles
    /// are cut from or written to, with the padding in front of it.
    struct Params {
        count: u32,
        channels: u32,
        down: u32,
        across: u32,
        height: u32,
        width: u32,
        height_before: u32,
        width_before: u32,
    }
}

/// Takes every such convolution whose transformed tiles can be bound.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_winograd", accepts };

/// Planes of transformed tiles, and products.
const PLANES: usize = 16;
/// Multiply-adds that cards do while a byte goes through their last cache.
const MACS_PER_BYTE: f64 = 8.0;
/// Multiply-adds that cards could do while one dispatch waits for another to end: two microseconds or so.
const MACS_PER_DISPATCH: f64 = 16e6;

/// Whether a device gains from it, or why it does not.
///
/// Fewer multiplications are bought with more traffic and two more dispatches; the times of both kinds of products are those that
/// their tiles are chosen by.
pub fn pays(case: &Case<'_>, traits: &DeviceTraits) -> Result<(), Refusal> {
    if traits.class == DeviceClass::Cpu {
        return conv_winograd_lane::pays(case, traits);
    }
    accepts(case, traits)?;
    let site = site(case)?;
    let product = product(&site);
    let (direct, fewer) = (Product::of(&site).time(traits)?, product.time(traits)?);
    let (ins, outs) = (site.in_channels as f64, site.out_channels as f64);
    // Planes are written and read; transformed filters are read in place of the original ones.
    let values = 2.0 * (PLANES * product.rows) as f64 * (ins + outs) + (PLANES - site.taps()) as f64 * ins * outs;
    let costs = 4.0 * values * MACS_PER_BYTE + 2.0 * MACS_PER_DISPATCH;
    if direct - fewer < costs {
        let million = |macs: f64| macs / 1e6;
        return Refusal::because(format!(
            "it would save the time of {:.0} million multiply-adds, and moving its tiles takes that of {:.0} million",
            million((direct - fewer).max(0.0)),
            million(costs)
        ));
    }
    Ok(())
}

pub(super) fn site(case: &Case<'_>) -> Result<ConvSite, Refusal> {
    let Op::Winograd(op) = case.op else { return Refusal::because("takes convolutions on transformed filters") };
    op.site(case.inputs).map_err(|error| Refusal(error.to_string()))
}

/// The products of a plane each: tiles by output channels.
pub(super) fn product(site: &ConvSite) -> Product {
    let [down, across] = Winograd::tiles(site);
    Product { groups: PLANES, rows: site.batch * down * across, reduction: site.in_channels, ..Product::of(site) }
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    launch(KERNEL.stem, case, traits, |product, operands| pointwise::batched(product, operands, traits))
}

/// The launch whose stages have the shader `stem`, with what computes the products in between. Lanes read through images.
pub(super) fn launch(
    stem: &'static str,
    case: &Case<'_>,
    traits: &DeviceTraits,
    products: impl Fn(&Product, [Operand; 3]) -> Result<Dispatch, Refusal>,
) -> Result<Launch, Refusal> {
    let lane = stem != KERNEL.stem;
    case.fits(traits)?;
    let site = site(case)?;
    let axes = site.axes3();
    window_fits(&axes)?;
    let [_, height, width] = axes;
    let product = product(&site);
    let planes = |channels: usize| TensorType::f32([PLANES, product.rows, channels]);
    let scratch = [planes(site.in_channels), planes(site.out_channels)];
    scratch.iter().try_for_each(|ty| traits.binds(ty))?;
    let Op::Winograd(Winograd { conv }) = case.op else { return Refusal::because("takes transformed filters") };
    let input = |axis: &AxisWindow| (axis.input, axis.before);
    let output = |axis: &AxisWindow| (axis.output, 0);
    let stage =
        |stage: &'static str, [x, y]: [Operand; 2], channels: usize, map: &dyn Fn(&AxisWindow) -> (usize, usize)| {
            let vectors = channels.is_multiple_of(4);
            let (read, write, element) = forms(vectors);
            let channels = channels / if vectors { 4 } else { 1 };
            let (items, workgroups) = linear(product.rows * channels, traits)?;
            let [down, across] = Winograd::tiles(&site);
            let params = Params {
                count: items,
                channels: count(channels)?,
                down: count(down)?,
                across: count(across)?,
                height: count(map(&height).0)?,
                width: count(map(&width).0)?,
                height_before: count(map(&height).1)?,
                width_before: count(map(&width).1)?,
            };
            let read = if lane { Form::Image } else { read };
            let mut bindings = vec![Binding::new("x", x, read), Binding::new("y", y, write)];
            let mut shader = Shader::new(stem, Params::WGSL).with("stage", stage).with("T", element);
            if stage == "output" {
                bindings.extend(match lane {
                    true => bindings_as(&conv.epilogue, 2, |_| Form::Image),
                    false => epilogue_bindings(&conv.epilogue, case.inputs, 2, vectors),
                });
                shader = shader.with_epilogue(&conv.epilogue, case.inputs, 2);
            }
            Ok(Dispatch { shader, bindings, params: params.words(), workgroups })
        };
    let [tiles, sums] = [Operand::Scratch(0), Operand::Scratch(1)];
    let first = stage("input", [Operand::Input(0), tiles], site.in_channels, &input)?;
    let products = products(&product, [tiles, Operand::Input(1), sums])?;
    let last = stage("output", [sums, Operand::Output(0)], site.out_channels, &output)?;
    Ok(Launch {
        dispatches: vec![first, products, last],
        scratch: scratch.iter().map(|ty| ty.bytes() as u64).collect(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kernels::check::launches;
    use crate::ops::Conv;
    use crate::tensor::{Padding, Window};

    pub(in crate::kernels) fn op() -> Op {
        let window = Window { padding: Padding::Same, ..Window::unit(2) };
        Winograd { conv: Conv::new(window, 1) }.into()
    }

    /// Why a device gains nothing for a map of `side` by `side`, if so.
    pub(in crate::kernels) fn why(traits: &DeviceTraits, side: usize, channels: usize) -> Option<String> {
        let inputs = [[1, side, side, channels], [4, 4, channels, channels]].map(TensorType::f32);
        let op = op();
        let outputs = op.spec().infer(&inputs).unwrap();
        pays(&Case { op: &op, inputs: &inputs, outputs: &outputs }, traits).err().map(|why| why.0)
    }

    #[test]
    fn tiles_go_through_sixteen_products() {
        let (stem, launch) = launches(op(), &[&[2, 7, 9, 12], &[4, 4, 12, 20]]).remove(0);
        assert_eq!(stem, "conv_winograd");
        let [_, products, _] = &launch.dispatches[..] else { panic!("{launch:?}") };
        assert_eq!((products.shader.stem, &products.shader.options["batched"]), ("pointwise", &true.into()));
        // Two pictures of 4 x 5 tiles.
        assert_eq!(launch.scratch, [16 * 40 * 12 * 4, 16 * 40 * 20 * 4]);
    }

    #[test]
    fn it_pays_where_products_are_large_and_a_device_has_caches_for_tiles() {
        let why = |class, side, channels| why(&DeviceTraits::portable(class), side, channels);
        let card = DeviceClass::Discrete;
        for (side, channels) in [(112, 128), (56, 128), (56, 256), (28, 256)] {
            assert_eq!(why(card, side, channels), None, "{side} {channels}");
        }
        assert!(why(card, 112, 32).unwrap().contains("million"));
        assert!(why(card, 7, 512).unwrap().contains("million"));
        assert!(why(card, 224, 256).unwrap().contains("binds"));
    }
}
