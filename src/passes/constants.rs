//! Nodes whose inputs are all known are computed once, on the host.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::error::{GraphError, ShapeError};
use crate::graph::{Rewrite, Site, ValueId};
use crate::tensor::Tensor;

/// Constants that passes have computed, by what they were computed from.
#[derive(Debug, Default)]
pub struct FoldCache {
    /// The sources are kept, so that their identities stay taken.
    folded: Mutex<HashMap<String, (Vec<Tensor>, Tensor)>>,
}

impl FoldCache {
    /// The constant that `compute` makes of `sources`, from the cache when it was made before under the same name.
    pub(super) fn get(
        &self,
        what: &str,
        sources: &[&Tensor],
        compute: impl FnOnce() -> Result<Tensor, ShapeError>,
    ) -> Result<Tensor, ShapeError> {
        let ids: Vec<String> = sources.iter().map(|tensor| format!("{}{}", tensor.data_id(), tensor.shape())).collect();
        let key = format!("{what} {}", ids.join(" "));
        let mut folded = self.folded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, tensor)) = folded.get(&key) {
            return Ok(tensor.clone());
        }
        let tensor = compute()?;
        let kept = sources.iter().map(|&source| source.clone()).collect();
        folded.insert(key, (kept, tensor.clone()));
        Ok(tensor)
    }
}

/// Computes nodes of constants.
pub(super) struct FoldConstants<'a> {
    pub cache: &'a FoldCache,
}

impl Rewrite for FoldConstants<'_> {
    fn name(&self) -> &'static str {
        "fold_constants"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        let sources: Option<Vec<Tensor>> =
            site.inputs.iter().map(|&id| site.graph().as_constant(id).cloned()).collect();
        let Some(sources) = sources.filter(|sources| !sources.is_empty() && site.node.outputs.len() == 1) else {
            return Ok(None);
        };
        let operands: Vec<&Tensor> = sources.iter().collect();
        let op = &site.node.op;
        let folded = self
            .cache
            .get(&format!("{op:?}"), &operands, || op.spec().reference(&operands).map(|mut outputs| outputs.remove(0)))
            .map_err(|source| GraphError::Node { node: site.node.name.clone(), source })?;
        site.applied.push(format!("{op} of constants computed on the host"));
        Ok(Some(site.constant(site.node.name.clone(), folded)))
    }
}
