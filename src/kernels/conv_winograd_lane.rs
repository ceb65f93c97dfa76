//! `conv_winograd_lane`: a 3x3 convolution on transformed filters, on a processor: as `conv_winograd`, through images.

use super::conv_winograd::{launch, product, site};
use super::gemm::Product;
use super::lane::{image_fits, images_fit, lane_bindings, lanes};
use super::{Binding, Case, DeviceTraits, Form, Kernel, Launch, Operand, Refusal, pointwise_lane};
use crate::ops::Op;

/// Takes such convolutions whose channels divide by four, on processors.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_winograd_lane", accepts };

/// The time of ten multiply-adds of each lane in vector instructions, loads and loops included.
const TEN_PRODUCTS: usize = 33;
/// The time of a texel of each lane on its way to a plane or back: a load, a store, and waiting for planes that lie far apart.
const MOVED: usize = 600;

/// Whether a processor gains from it, or why it does not, by the time of vector instructions.
pub(super) fn pays(case: &Case<'_>, traits: &DeviceTraits) -> Result<(), Refusal> {
    accepts(case, traits)?;
    let (site, lanes) = (site(case)?, lanes(traits)? as usize);
    let Product { groups, rows, reduction, columns, .. } = product(&site);
    let products = |pixels: usize| pixels * reduction * columns / lanes / 10 * TEN_PRODUCTS;
    // A workgroup of products has at least two rows for each lane.
    let (direct, fewer) = (products(site.pixels() * site.taps()), products(groups * rows.next_multiple_of(2 * lanes)));
    let transforms = rows.div_ceil(lanes) * (reduction + columns) / 4 * groups * MOVED;
    if direct <= fewer + transforms {
        let thousand = |instructions: usize| instructions / 1000;
        return Refusal::because(format!(
            "it would take the time of {} thousand vector instructions for products and of {} for transforms, where sums take {}",
            thousand(fewer),
            thousand(transforms),
            thousand(direct)
        ));
    }
    Ok(())
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    lanes(traits)?;
    let site = site(case)?;
    if !site.in_channels.is_multiple_of(4) || !site.out_channels.is_multiple_of(4) {
        let (from, to) = (site.in_channels, site.out_channels);
        return Refusal::because(format!("takes channels that divide by 4, and these are {from} to {to}"));
    }
    let Op::Winograd(op) = case.op else { return Refusal::because("takes transformed filters") };
    let mut bindings: Vec<Binding> = (0..2).map(|i| Binding::new("x", Operand::Input(i), Form::Image)).collect();
    bindings.extend(lane_bindings(&op.conv.epilogue, 2));
    images_fit(case, &bindings, traits)?;
    let product = product(&site);
    let planes = product.groups * product.rows * product.reduction.max(product.columns);
    if !image_fits(planes, 4, traits) {
        return Refusal::because(format!("{planes} elements of transformed tiles are more than an image holds"));
    }
    launch(KERNEL.stem, case, traits, |product, operands| pointwise_lane::batched(product, operands, traits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::DeviceClass;
    use crate::kernels::check::launches_on;
    use crate::kernels::conv_winograd::tests::{op, why};

    #[test]
    fn products_lie_behind_each_other_in_one_grid() {
        let launches = launches_on(&DeviceTraits::lavapipe(), op(), &[&[2, 7, 9, 12], &[4, 4, 12, 20]]);
        let (_, launch) = launches.into_iter().find(|(stem, _)| *stem == KERNEL.stem).unwrap();
        let [first, products, last] = &launch.dispatches[..] else { panic!("{launch:?}") };
        assert_eq!(
            [first, products, last].map(|dispatch| dispatch.shader.stem),
            ["conv_winograd_lane", "pointwise_lane", "conv_winograd_lane"]
        );
        assert_eq!((products.workgroups[2], &products.shader.options["planes"]), (16, &true.into()));
    }

    #[test]
    fn it_pays_on_processors_where_channels_are_many_and_tiles_fill_workgroups() {
        let lavapipe = DeviceTraits::lavapipe();
        for (side, channels) in [(28, 128), (14, 256), (7, 512)] {
            assert_eq!(why(&lavapipe, side, channels), None, "{side} {channels}");
        }
        assert!(why(&lavapipe, 56, 64).unwrap().contains("vector instructions"));
        assert!(why(&lavapipe, 4, 128).unwrap().contains("vector instructions"));
        assert!(why(&lavapipe, 56, 30).unwrap().contains("divide by 4"));
        let narrow = DeviceTraits { max_texture_side: 1024, ..lavapipe };
        assert!(why(&narrow, 224, 64).unwrap().contains("image"));
        assert!(why(&DeviceTraits::portable(DeviceClass::Cpu), 56, 64).unwrap().contains("subgroup"));
    }
}
