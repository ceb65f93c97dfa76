//! Depthwise convolutions become part of the pointwise ones around them, where a device then moves fewer bytes.

use crate::error::GraphError;
use crate::graph::{Rewrite, Site, ValueId};
use crate::kernels::{Case, DeviceTraits, inverted_residual_pays, separable_pays};
use crate::ops::{Conv, Filters, InvertedResidual, Op, OpSpec, Separable};
use crate::tensor::TensorType;

/// Joins a pointwise convolution with the depthwise one before it and the pointwise one before that, for a device.
pub(super) struct FuseInvertedResidual<'a> {
    pub traits: &'a DeviceTraits,
}

impl Rewrite for FuseInvertedResidual<'_> {
    fn name(&self) -> &'static str {
        "fuse_inverted_residual"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        let read = site.inputs[0];
        // The two may have become one already.
        let (separable, filtered, further) = match &site.node.op {
            Op::Separable(separable) => (separable.clone(), None, site.inputs.clone()),
            Op::Conv(pointwise) => {
                let Some((depthwise, mut inputs)) = conv_of(site, read) else { return Ok(None) };
                inputs.extend_from_slice(&site.inputs[1..]);
                (Separable { depthwise, pointwise: pointwise.clone() }, Some(read), inputs)
            }
            _ => return Ok(None),
        };
        let expanded = further[0];
        let Some((expand, mut inputs)) = conv_of(site, expanded) else { return Ok(None) };
        inputs.extend_from_slice(&further[1..]);
        let types: Vec<TensorType> = inputs.iter().map(|&id| site.graph().ty(id).clone()).collect();
        let op = InvertedResidual { expand, separable };
        // What is no such block is not worth a word.
        let Ok([_, second]) = op.stages(&types) else { return Ok(None) };
        let Ok([first, _]) = op.separable.stages(&second) else { return Ok(None) };
        if is_pointwise(&op.separable.depthwise, &first) {
            return Ok(None);
        }
        let name = |value: ValueId| site.graph().producer(value).map(|node| node.name.clone()).unwrap_or_default();
        let between: Vec<ValueId> = filtered.into_iter().chain([expanded]).collect();
        let names: Vec<String> = between.iter().map(|&value| format!("`{}`", name(value))).collect();
        let joins = format!("joined with {}", names.join(" and "));
        let why = if between.iter().any(|&value| site.uses(value) != 1) {
            Some("what lies between is read elsewhere as well".into())
        } else {
            let op = Op::from(op.clone());
            let outputs = op.spec().infer(&types).unwrap_or_default();
            let case = Case { op: &op, inputs: &types, outputs: &outputs };
            inverted_residual_pays(&case, self.traits).err().map(|why| why.0)
        };
        match why {
            Some(why) => {
                site.refused.push(format!("not {joins}: {why}"));
                Ok(None)
            }
            None => {
                site.applied.push(joins);
                site.emit(op, &inputs).map(Some)
            }
        }
    }
}

/// The convolution that computes a value.
pub(super) fn conv_of(site: &Site<'_>, value: ValueId) -> Option<(Conv, Vec<ValueId>)> {
    site.producer(value, |op| match op {
        Op::Conv(conv) => Some(conv.clone()),
        _ => None,
    })
}

/// Joins pairs of convolutions for a device.
pub(super) struct FuseSeparable<'a> {
    pub traits: &'a DeviceTraits,
}

impl Rewrite for FuseSeparable<'_> {
    fn name(&self) -> &'static str {
        "fuse_separable"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        let Op::Conv(pointwise) = &site.node.op else { return Ok(None) };
        if pointwise.filters != (Filters::PerGroup { groups: 1 }) {
            return Ok(None);
        }
        let value = site.inputs[0];
        let Some((depthwise, mut inputs)) = conv_of(site, value) else { return Ok(None) };
        inputs.extend_from_slice(&site.inputs[1..]);
        let types: Vec<TensorType> = inputs.iter().map(|&id| site.graph().ty(id).clone()).collect();
        let op = Separable { depthwise, pointwise: pointwise.clone() };
        // What is no such pair is not worth a word.
        let Ok([first, second]) = op.stages(&types) else { return Ok(None) };
        let name = site.name_of(value);
        match self.refusal(site, value, &op, &types, [&first, &second]) {
            Some(why) => {
                site.refused.push(format!("not joined with `{name}`: {why}"));
                Ok(None)
            }
            None => {
                site.applied.push(format!("joined with `{name}`"));
                site.emit(op, &inputs).map(Some)
            }
        }
    }
}

impl FuseSeparable<'_> {
    fn refusal(
        &self,
        site: &Site<'_>,
        value: ValueId,
        op: &Separable,
        types: &[TensorType],
        [first, second]: [&[TensorType]; 2],
    ) -> Option<String> {
        if site.uses(value) != 1 {
            return Some("its result is read elsewhere as well".into());
        }
        if is_pointwise(&op.depthwise, first) {
            return Some("it has one tap".into());
        }
        let outputs = op.pointwise.infer(second).ok()?;
        let op = Op::from(op.clone());
        separable_pays(&Case { op: &op, inputs: types, outputs: &outputs }, self.traits).err().map(|why| why.0)
    }
}

fn is_pointwise(conv: &Conv, inputs: &[TensorType]) -> bool {
    conv.site(inputs).is_ok_and(|site| site.is_pointwise())
}
