//! A 3x3 convolution whose filters are known becomes one on transformed filters, where a device then takes less time.

use super::FoldCache;
use crate::error::GraphError;
use crate::graph::{Rewrite, Site, ValueId};
use crate::kernels::{Case, DeviceTraits, winograd_pays};
use crate::ops::{Op, Winograd};
use crate::tensor::TensorType;

/// Transforms filters for a device.
pub(super) struct TransformFilters<'a> {
    pub traits: &'a DeviceTraits,
    pub cache: &'a FoldCache,
}

impl Rewrite for TransformFilters<'_> {
    fn name(&self) -> &'static str {
        "transform_filters"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        let Op::Conv(conv) = &site.node.op else { return Ok(None) };
        let mut types: Vec<TensorType> = site.inputs.iter().map(|&id| site.graph().ty(id).clone()).collect();
        // What is no such convolution is not worth a word.
        let Ok(winograd) = Winograd::of(conv, &types) else { return Ok(None) };
        let Some(filters) = site.graph().as_constant(site.inputs[1]).cloned() else {
            site.refused.push(
                "not by Winograd's algorithm: its filters are computed, and would be transformed in every run".into(),
            );
            return Ok(None);
        };
        let wrong = |source| GraphError::Node { node: site.node.name.clone(), source };
        let op = Op::from(winograd);
        types[1] = Winograd::filter_type(&types[1]).map_err(wrong)?;
        let outputs = op.spec().infer(&types).map_err(wrong)?;
        if let Err(why) = winograd_pays(&Case { op: &op, inputs: &types, outputs: &outputs }, self.traits) {
            site.refused.push(format!("not by Winograd's algorithm: {why}"));
            return Ok(None);
        }
        let transformed = self.cache.get("winograd", &[&filters], || Winograd::filters(&filters)).map_err(wrong)?;
        let name = site.graph().value(site.inputs[1]).name.clone();
        let mut inputs = site.inputs.clone();
        inputs[1] = site.constant(format!("{name}/transformed"), transformed);
        site.applied.push("filters transformed on the host".into());
        site.emit(op, &inputs).map(Some)
    }
}
