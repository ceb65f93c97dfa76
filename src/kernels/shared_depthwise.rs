//! `shared_depthwise`: one filter for all channels, several outputs per invocation from a window in registers.

use super::depthwise::{launch, resolve};
use super::{Case, DeviceTraits, Form, Kernel, Launch, Refusal};
use crate::ops::Filters;

/// Most taps of a filter in uniform memory.
const MOST_TAPS: usize = 64;

/// Takes shared filters of up to 64 taps, with up to seven rows and columns, strides of 1 and 2 and no dilation there; in
/// vectors where channels divide by four.
pub(super) const KERNEL: Kernel = Kernel { stem: "shared_depthwise", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (conv, site) = resolve(case, traits)?;
    if conv.filters != Filters::Shared {
        return Refusal::because("takes one filter for all channels");
    }
    let taps = site.taps();
    if taps > MOST_TAPS {
        return Refusal::because(format!("takes up to {MOST_TAPS} taps, and these are {taps}"));
    }
    let weights = Form::Uniform { vectors: taps.div_ceil(4) as u32 };
    launch(KERNEL.stem, weights, site.in_channels.is_multiple_of(4), case, conv, &site, traits)
}
