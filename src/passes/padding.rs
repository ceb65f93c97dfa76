//! Zero padding before a convolution becomes the convolution's own padding.

use crate::error::GraphError;
use crate::graph::{Rewrite, Site, ValueId};
use crate::ops::{Conv, Op, PadMode};
use crate::tensor::{Padding, Window};

/// Folds `Pad` into the `Conv` that reads it.
pub(super) struct FoldPadding;

impl Rewrite for FoldPadding {
    fn name(&self) -> &'static str {
        "fold_padding"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        let Op::Conv(conv) = &site.node.op else { return Ok(None) };
        let conv = conv.clone();
        let wanted = |op: &Op| match op {
            Op::Pad(pad) => Some(pad.clone()),
            _ => None,
        };
        let Some((pad, sources)) = site.producer(site.inputs[0], wanted) else { return Ok(None) };
        let PadMode::Constant(value) = pad.mode else {
            site.refused.push("the padding mirrors or repeats the input, which a convolution's own cannot".into());
            return Ok(None);
        };
        if value != 0.0 {
            site.refused.push(format!("the padding holds {value}, a convolution's own holds 0"));
            return Ok(None);
        }
        let (rank, spatial) = (pad.pads.len(), conv.window.axes());
        let first = rank - spatial - 1;
        let beside = pad.pads[..first].iter().chain(pad.pads.last());
        if beside.copied().any(|pads| pads != (0, 0)) {
            site.refused.push("the padding adds channels or batches".into());
            return Ok(None);
        }
        let types: Vec<_> = site.inputs.iter().map(|&id| site.graph().ty(id).clone()).collect();
        let resolved = conv.site(&types).map_err(|source| GraphError::Node { node: site.node.name.clone(), source })?;
        let pads = resolved
            .axes
            .iter()
            .zip(&pad.pads[first..])
            .map(|(axis, (before, after))| (axis.before + before, axis.after + after))
            .collect();
        let window = Window { padding: Padding::Explicit(pads), ..conv.window.clone() };
        let mut inputs = sources;
        inputs.extend_from_slice(&site.inputs[1..]);
        site.applied.push("zero padding made the convolution's own".into());
        site.emit(Conv { window, ..conv }, &inputs).map(Some)
    }
}
