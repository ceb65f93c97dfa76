//! A 3x3 convolution whose filters are known becomes one on transformed filters, where a device then takes less time, by what was
//! measured or else by an estimate.

use super::{FoldCache, Measured};
use crate::error::GraphError;
use crate::graph::{Rewrite, Site, ValueId};
use crate::kernels::{Case, DeviceTraits, candidates, winograd_pays};
use crate::ops::{Op, Winograd};
use crate::tensor::TensorType;

/// Transforms filters for a device.
pub(super) struct TransformFilters<'a> {
    pub traits: &'a DeviceTraits,
    pub cache: &'a FoldCache,
    pub measured: Measured<'a>,
}

impl Rewrite for TransformFilters<'_> {
    fn name(&self) -> &'static str {
        "transform_filters"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        let Op::Conv(conv) = &site.node.op else { return Ok(None) };
        let plain: Vec<TensorType> = site.inputs.iter().map(|&id| site.graph().ty(id).clone()).collect();
        // What is no such convolution is not worth a word.
        let Ok(winograd) = Winograd::of(conv, &plain) else { return Ok(None) };
        let Some(filters) = site.graph().as_constant(site.inputs[1]).cloned() else {
            site.refused.push(
                "not by Winograd's algorithm: its filters are computed, and would be transformed in every run".into(),
            );
            return Ok(None);
        };
        let wrong = |source| GraphError::Node { node: site.node.name.clone(), source };
        let op = Op::from(winograd);
        let mut types = plain.clone();
        types[1] = Winograd::filter_type(&plain[1]).map_err(wrong)?;
        let outputs = op.spec().infer(&types).map_err(wrong)?;
        let case = Case { op: &op, inputs: &types, outputs: &outputs };
        let estimated = || match winograd_pays(&case, self.traits) {
            Ok(()) => Ok("it should take less time".to_string()),
            Err(why) => Err(why.to_string()),
        };
        // What a device cannot run stays what it is, whatever was measured.
        let runs = candidates(&op).iter().any(|kernel| (kernel.accepts)(&case, self.traits).is_ok());
        let measured = if runs { (self.measured)(&site.node.op, &plain) } else { None };
        let why = match measured.unwrap_or_else(estimated) {
            Ok(why) => why,
            Err(why) => {
                site.refused.push(format!("not by Winograd's algorithm: {why}"));
                return Ok(None);
            }
        };
        let transformed = self.cache.get("winograd", &[&filters], || Winograd::filters(&filters)).map_err(wrong)?;
        let name = site.graph().value(site.inputs[1]).name.clone();
        let mut inputs = site.inputs.clone();
        inputs[1] = site.constant(format!("{name}/transformed"), transformed);
        site.applied.push(format!("filters transformed on the host: {why}"));
        site.emit(op, &inputs).map(Some)
    }
}
