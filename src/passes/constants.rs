//! Nodes whose inputs are all known are computed once, on the host.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::error::{GraphError, ShapeError};
use crate::graph::{Graph, Origin, Rewrite, Site, ValueId};
use crate::ops::Op;
use crate::tensor::{Tensor, TensorType};

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

/// Elements of a constant up to which it is worth its memory.
const MOST: usize = 1 << 28;

/// Elements that constants may come to in all, where a graph holds few.
const LEAST_ROOM: usize = 1 << 27;

/// Products and elements of windows that an op may go through on the host.
const MOST_WORK: u64 = 1 << 32;

/// Whether an op on constants is little enough work for the host.
pub(crate) fn is_quick(op: &Op, inputs: &[TensorType], outputs: &[TensorType]) -> bool {
    let elements = |sum: u64, ty: &TensorType| sum.saturating_add(ty.shape.elements() as u64);
    let work = match op {
        Op::Pool(pool) => {
            pool.size.iter().fold(outputs.iter().fold(0, elements), |work, &size| work.saturating_mul(size as u64))
        }
        op => op.spec().cost(inputs, outputs).macs,
    };
    work <= MOST_WORK
}

/// Computes nodes of constants.
pub(super) struct FoldConstants<'a> {
    cache: &'a FoldCache,
    /// Elements that may still be computed.
    room: Cell<usize>,
}

impl<'a> FoldConstants<'a> {
    /// For a graph, whose constants may become several times as many: what is repeated without end is left to the device.
    pub fn of(graph: &Graph, cache: &'a FoldCache) -> FoldConstants<'a> {
        let held = graph.values().iter().filter(|value| matches!(value.origin, Origin::Constant(_)));
        let held = held.fold(0usize, |sum, value| sum.saturating_add(value.ty.shape.elements()));
        FoldConstants { cache, room: Cell::new(LEAST_ROOM.saturating_add(held.saturating_mul(16))) }
    }
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
        let wrong = |source| GraphError::Node { node: site.node.name.clone(), source };
        let types: Vec<TensorType> = sources.iter().map(Tensor::tensor_type).collect();
        let outputs = op.spec().infer(&types).map_err(wrong)?;
        let shape = &outputs[0].shape;
        let elements = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        let within = elements.filter(|&elements| elements <= MOST);
        let left = within.and_then(|elements| self.room.get().checked_sub(elements));
        let Some(left) = left.filter(|_| is_quick(op, &types, &outputs)) else {
            site.refused
                .push(format!("{op} of constants is left to the device: {shape} is too much to compute or keep"));
            return Ok(None);
        };
        self.room.set(left);
        let folded = self
            .cache
            .get(&format!("{op:?}"), &operands, || op.spec().reference(&operands).map(|mut outputs| outputs.remove(0)))
            .map_err(wrong)?;
        site.applied.push(format!("{op} of constants computed on the host"));
        Ok(Some(site.constant(site.node.name.clone(), folded)))
    }
}
