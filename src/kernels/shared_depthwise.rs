//! `shared_depthwise`: one filter for all channels, several outputs per invocation from a window in registers.

use super::depthwise::launch;
use super::{Case, DeviceTraits, Form, Kernel, Launch, Refusal};
use crate::ops::{Filters, Op};

/// Takes shared filters with strides of 1 and 2.
pub(super) const KERNEL: Kernel = Kernel { stem: "shared_depthwise", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::Conv(conv) = case.op else { return Refusal::because("takes convolutions") };
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    if conv.filters != Filters::Shared {
        return Refusal::because("takes one filter for all channels");
    }
    let vectors = site.taps().div_ceil(4);
    if vectors as u64 * 16 > traits.max_uniform_bytes {
        return Refusal::because(format!("a filter of {} taps does not fit a uniform binding", site.taps()));
    }
    launch(KERNEL.stem, Form::Uniform { vectors: vectors as u32 }, case, conv, &site, traits)
}
