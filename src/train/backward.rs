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
    let ty = graph.ty(loss).clone();
    if ty.shape.elements() != 1 {
        return Err(TrainError::NotScalar { value: graph.value(loss).name.clone(), found: ty.to_string() });
    }
    let one = graph.constant("one", Tensor::full(ty.shape, 1.0));
    gradients(graph, &[(loss, one)], wanted)
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
    let nodes: Vec<Node> = graph.nodes().to_vec();
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
    for node in nodes.iter().rev() {
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
        let operands = |ids: &[ValueId]| ids.iter().map(|id| Operand(id.index())).collect::<Vec<_>>();
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
