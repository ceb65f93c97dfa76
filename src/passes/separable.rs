//! A depthwise convolution becomes part of the pointwise one that reads it, where a device then moves fewer bytes.

use crate::error::GraphError;
use crate::graph::{Rewrite, Site, ValueId};
use crate::kernels::{Case, DeviceTraits, separable_pays};
use crate::ops::{Conv, Filters, Op, OpSpec, Separable};
use crate::tensor::TensorType;

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
        let conv = |op: &Op| match op {
            Op::Conv(conv) => Some(conv.clone()),
            _ => None,
        };
        let Some((depthwise, mut inputs)) = site.producer(value, conv) else { return Ok(None) };
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
