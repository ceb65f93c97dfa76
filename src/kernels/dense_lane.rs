//! `dense_lane`: a matrix product with too few rows to give each lane of a processor some, as in a dense layer.

use super::lane::lanes;
use super::pointwise_lane::{Params, launch, resolve};
use super::{Case, DeviceTraits, Kernel, Launch, Refusal, Shader};

/// Takes ungrouped windows of one tap over a handful of pixels whose channels divide by four, on processors.
pub(super) const KERNEL: Kernel = Kernel { stem: "dense_lane", accepts };

/// Up to this many pixels it is faster than `pointwise_lane`.
const FEW: usize = 4;

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let lanes = lanes(traits)?;
    let (conv, site) = resolve(case)?;
    if site.pixels() > FEW {
        return Refusal::because(format!("takes at most {FEW} pixels, and there are {}", site.pixels()));
    }
    let pixels = if site.pixels() == 1 { 1 } else { FEW };
    let quads = [4, 2].into_iter().find(|&step| (site.in_channels / 4).is_multiple_of(step)).unwrap_or(1);
    let shader =
        Shader::new(KERNEL.stem, Params::WGSL).with("lanes", lanes).with("pixels", pixels).with("quads", quads);
    launch(shader, [pixels, lanes as usize], case, conv, &site, traits)
}
