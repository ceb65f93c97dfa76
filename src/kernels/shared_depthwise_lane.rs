//! `shared_depthwise_lane`: a window over each channel on its own, with one filter for all, on a processor.

use super::depthwise_lane::{launch, resolve};
use super::{Case, DeviceTraits, Form, Kernel, Launch, Refusal};
use crate::ops::Filters;

/// Takes shared filters over channels that divide by four, on processors.
pub(super) const KERNEL: Kernel = Kernel { stem: "shared_depthwise_lane", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (conv, site) = resolve(case, traits)?;
    if conv.filters != Filters::Shared {
        return Refusal::because("takes one filter for all channels");
    }
    let vectors = site.taps().div_ceil(4) as u64;
    if vectors * 16 > traits.max_uniform_bytes {
        return Refusal::because(format!("a filter of {} taps does not fit a uniform binding", site.taps()));
    }
    launch(KERNEL.stem, Form::Uniform { vectors: vectors as u32 }, case, conv, &site, traits)
}
