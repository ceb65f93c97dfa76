//! Reverse-mode differentiation: walks a graph backwards and adds the nodes of its gradients.

use std::collections::HashMap;

use crate::error::{GraphError, ShapeError, TrainError};
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Binary, BinaryFn, Gradient, GradientBuilder, GradientSite, Op, Operand};
use crate::tensor::{Tensor, TensorType};

/// Adds the gradients of a scalar. The result has one entry per value of `wanted`; `None` where the scalar does not depend
/// on it.
///
/// # Errors
/// [`TrainError::NotDifferentiable`] when the way back meets an op without a gradient, [`TrainError::NotScalar`] when `loss`
/// has more than one element.
pub fn backward(graph: &mut Graph, loss: ValueId, wanted: &[ValueId]) -> Result<Vec<Option<ValueId>>, TrainError> {
    backward_recomputing(graph, loss, wanted, 1)
}

/// As [`backward`], with the forward pass cut into `segments` parts: only what goes from one part to another is kept, and the
/// rest is computed a second time on the way back (gradient checkpointing, Chen et al. 2016, arXiv 1604.06174). One segment
/// keeps everything.
///
/// # Errors
/// As [`backward`].
pub fn backward_recomputing(
    graph: &mut Graph,
    loss: ValueId,
    wanted: &[ValueId],
    segments: usize,
) -> Result<Vec<Option<ValueId>>, TrainError> {
    let ty = graph.ty(loss).clone();
    if ty.shape.elements() != 1 {
        return Err(TrainError::NotScalar { value: graph.value(loss).name.clone(), found: ty.to_string() });
    }
    let one = graph.constant("one", Tensor::full(ty.shape, 1.0));
    reverse(graph, &[(loss, one)], wanted, segments)
}

/// Adds the gradients of `sum(y * dy)` over the pairs `(y, dy)`. The result has one entry per value of `wanted`; `None` where
/// no `y` depends on it.
///
/// # Errors
/// [`TrainError::NotDifferentiable`] when the way back meets an op without a gradient.
pub fn gradients(
    graph: &mut Graph,
    seeds: &[(ValueId, ValueId)],
    wanted: &[ValueId],
) -> Result<Vec<Option<ValueId>>, TrainError> {
    reverse(graph, seeds, wanted, 1)
}

fn reverse(
    graph: &mut Graph,
    seeds: &[(ValueId, ValueId)],
    wanted: &[ValueId],
    segments: usize,
) -> Result<Vec<Option<ValueId>>, TrainError> {
    let nodes: Vec<Node> = graph.nodes().to_vec();
    let mut segments = Segments::new(graph, &nodes, segments);
    // Only what lies between the wanted values and the seeds is walked through.
    let mut depends = vec![false; graph.values().len()];
    wanted.iter().for_each(|id| depends[id.index()] = true);
    for node in &nodes {
        if node.inputs.iter().any(|id| depends[id.index()]) {
            node.outputs.iter().for_each(|id| depends[id.index()] = true);
        }
    }
    let mut pending: HashMap<ValueId, Vec<ValueId>> = HashMap::new();
    for &(y, dy) in seeds {
        pending.entry(y).or_default().push(dy);
    }
    let mut settled: HashMap<ValueId, ValueId> = HashMap::new();
    for (position, node) in nodes.iter().enumerate().rev() {
        if !node.outputs.iter().any(|id| depends[id.index()] && pending.contains_key(id)) {
            continue;
        }
        let mut builder = Builder { graph, name: format!("{}/gradient", node.name) };
        let mut arriving = Vec::with_capacity(node.outputs.len());
        for id in &node.outputs {
            arriving.push(builder.total(pending.remove(id))?);
        }
        for (&id, &gradient) in node.outputs.iter().zip(&arriving) {
            settled.extend(gradient.map(|gradient| (id, gradient)));
        }
        segments.enter(builder.graph, &nodes, position)?;
        let operands =
            |ids: &[ValueId]| ids.iter().map(|&id| Operand(segments.present(id).index())).collect::<Vec<_>>();
        let (inputs, outputs) = (operands(&node.inputs), operands(&node.outputs));
        let arriving = arriving.into_iter().map(|id| id.map(|id| Operand(id.index()))).collect();
        let wanted = node.inputs.iter().map(|id| depends[id.index()]).collect();
        let mut site = GradientSite::new(&mut builder, inputs, outputs, arriving, wanted);
        let spec = node.op.spec();
        let answer = spec.gradient(&mut site);
        match answer.map_err(|source| GraphError::Node { node: node.name.clone(), source })? {
            Gradient::NotDifferentiable(reason) => {
                return Err(TrainError::NotDifferentiable { node: node.name.clone(), op: spec.name(), reason });
            }
            Gradient::Inputs(gradients) => {
                for (&id, gradient) in node.inputs.iter().zip(gradients) {
                    if let Some(gradient) = gradient.filter(|_| depends[id.index()]) {
                        let gradient = graph.value_at(gradient.0).ok_or_else(|| lost(&node.name))?;
                        pending.entry(id).or_default().push(gradient);
                    }
                }
            }
        }
    }
    let mut results = Vec::with_capacity(wanted.len());
    for &id in wanted {
        let name = format!("{}/gradient", graph.value(id).name);
        let mut builder = Builder { graph, name };
        let total = builder.total(pending.remove(&id))?;
        let total = total.or_else(|| settled.get(&id).copied());
        settled.extend(total.map(|total| (id, total)));
        results.push(total);
    }
    Ok(results)
}

/// The forward pass in parts that are computed a second time on the way back.
struct Segments {
    /// Number of parts.
    count: usize,
    /// For every value of the forward pass whether another part, or the graph itself, keeps it.
    kept: Vec<bool>,
    /// The part whose values have been computed again.
    entered: Option<usize>,
    again: HashMap<ValueId, ValueId>,
}

impl Segments {
    fn new(graph: &Graph, nodes: &[Node], count: usize) -> Segments {
        let count = count.clamp(1, nodes.len().max(1));
        let part = |position: usize| position * count / nodes.len().max(1);
        let mut made_in = vec![None; graph.values().len()];
        let mut kept = vec![true; graph.values().len()];
        for (position, node) in nodes.iter().enumerate() {
            for id in &node.outputs {
                made_in[id.index()] = Some(part(position));
                kept[id.index()] = graph.is_output(*id);
            }
            for id in &node.inputs {
                kept[id.index()] |= made_in[id.index()].is_none_or(|made| made != part(position));
            }
        }
        Segments { count, kept, entered: None, again: HashMap::new() }
    }

    /// Computes the part of a node again, unless that has been done, or it is the last part, which is still there.
    fn enter(&mut self, graph: &mut Graph, nodes: &[Node], position: usize) -> Result<(), TrainError> {
        let part = |position: usize| position * self.count / nodes.len().max(1);
        let own = part(position);
        if own + 1 == self.count || self.entered == Some(own) {
            return Ok(());
        }
        self.entered = Some(own);
        self.again.clear();
        for (_, node) in nodes.iter().enumerate().filter(|(position, _)| part(*position) == own) {
            if node.outputs.iter().all(|id| self.kept[id.index()]) {
                continue;
            }
            let inputs: Vec<ValueId> = node.inputs.iter().map(|&id| self.present(id)).collect();
            let first = graph.node(format!("{}/again", node.name), node.op.clone(), &inputs)?;
            let outputs = graph.producer(first).map_or_else(|| vec![first], |node| node.outputs.clone());
            self.again.extend(node.outputs.iter().copied().zip(outputs));
        }
        Ok(())
    }

    /// The value itself where it is kept, else its copy.
    fn present(&self, id: ValueId) -> ValueId {
        match self.kept.get(id.index()) {
            Some(false) => self.again.get(&id).copied().unwrap_or(id),
            _ => id,
        }
    }
}

fn lost(node: &str) -> TrainError {
    GraphError::UnknownValue { node: node.into() }.into()
}

/// Writes the gradient of one node into the graph.
struct Builder<'a> {
    graph: &'a mut Graph,
    name: String,
}

impl Builder<'_> {
    /// The sum of what arrives from all readers, in the order of the readers from the last to the first.
    fn total(&mut self, parts: Option<Vec<ValueId>>) -> Result<Option<ValueId>, TrainError> {
        let mut parts = parts.into_iter().flatten();
        let Some(first) = parts.next() else { return Ok(None) };
        let add = Binary { function: BinaryFn::Add };
        let sum = parts.try_fold(first, |sum, part| self.graph.node(self.name.clone(), add.clone(), &[sum, part]));
        Ok(Some(sum?))
    }
}

impl GradientBuilder for Builder<'_> {
    fn node(&mut self, op: Op, inputs: &[Operand]) -> Result<Operand, ShapeError> {
        let name = op.spec().name();
        let unknown = || ShapeError::mismatch(name, "the gradient reads a value that the graph does not have");
        let ids: Vec<ValueId> =
            inputs.iter().map(|input| self.graph.value_at(input.0).ok_or_else(unknown)).collect::<Result<_, _>>()?;
        let value = self.graph.node(self.name.clone(), op, &ids).map_err(|error| match error {
            GraphError::Node { source, .. } => source,
            other => ShapeError::mismatch(name, other.to_string()),
        })?;
        Ok(Operand(value.index()))
    }

    fn constant(&mut self, tensor: Tensor) -> Operand {
        Operand(self.graph.constant(self.name.clone(), tensor).index())
    }

    fn ty(&self, operand: Operand) -> TensorType {
        let known = self.graph.value_at(operand.0);
        known.map_or_else(|| TensorType::f32(Vec::new()), |id| self.graph.ty(id).clone())
    }
}
