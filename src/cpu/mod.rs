//! The oracle: runs a graph with the CPU reference of every op.

use std::collections::BTreeMap;

use crate::error::GraphError;
use crate::graph::{Graph, Node, Origin};
use crate::tensor::Tensor;

/// Runs a graph. `inputs` are by name; the outputs come in the graph's order.
///
/// # Errors
/// [`GraphError::Input`] when an input is missing, unknown or of another type than the graph was built for,
/// [`GraphError::UnknownValue`] when an output is no value of the graph.
pub fn run(graph: &Graph, inputs: &BTreeMap<String, Tensor>) -> Result<Vec<Tensor>, GraphError> {
    run_with(graph, inputs, |_, _| {})
}

/// As [`run`], with `seen(node, outputs)` called after every node.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    graph: &Graph,
    inputs: &BTreeMap<String, Tensor>,
    mut seen: impl FnMut(&Node, &[Tensor]),
) -> Result<Vec<Tensor>, GraphError> {
    graph.check_outputs()?;
    check_inputs(graph, inputs)?;
    let mut values: Vec<Option<Tensor>> = graph
        .values()
        .iter()
        .map(|value| match &value.origin {
            Origin::Input => inputs.get(&value.name).cloned(),
            Origin::Constant(tensor) => Some(tensor.clone()),
            Origin::Node { .. } => None,
        })
        .collect();
    let mut remaining: Vec<usize> = graph.readers().iter().map(Vec::len).collect();
    for (_, id) in graph.outputs() {
        remaining[id.index()] += 1;
    }
    for node in graph.nodes() {
        let unknown = || GraphError::UnknownValue { node: node.name.clone() };
        let operands: Vec<&Tensor> =
            node.inputs.iter().map(|id| values[id.index()].as_ref().ok_or_else(unknown)).collect::<Result<_, _>>()?;
        let outputs = node
            .op
            .spec()
            .reference(&operands)
            .map_err(|source| GraphError::Node { node: node.name.clone(), source })?;
        seen(node, &outputs);
        for (id, tensor) in node.outputs.iter().zip(outputs) {
            values[id.index()] = Some(tensor);
        }
        for id in &node.inputs {
            remaining[id.index()] -= 1;
            if remaining[id.index()] == 0 {
                values[id.index()] = None;
            }
        }
    }
    graph
        .outputs()
        .iter()
        .map(|(name, id)| values[id.index()].clone().ok_or_else(|| GraphError::UnknownValue { node: name.clone() }))
        .collect()
}

/// Checks that `inputs` are exactly those of the graph.
///
/// # Errors
/// [`GraphError::Input`], naming the input and what it should be.
pub fn check_inputs(graph: &Graph, inputs: &BTreeMap<String, Tensor>) -> Result<(), GraphError> {
    for &id in graph.inputs() {
        let value = graph.value(id);
        let wrong = |what: String| Err(GraphError::Input { name: value.name.clone(), what });
        match inputs.get(&value.name) {
            None => return wrong(format!("it is missing; {}", graph.input_list())),
            Some(tensor) if tensor.tensor_type() != value.ty => {
                return wrong(format!("{} was given where {} is expected", tensor.tensor_type(), value.ty));
            }
            Some(_) => {}
        }
    }
    match inputs.keys().find(|name| !graph.inputs().iter().any(|&id| graph.value(id).name == **name)) {
        Some(name) => Err(GraphError::Input {
            name: name.clone(),
            what: format!("there is no such input; {}", graph.input_list()),
        }),
        None => Ok(()),
    }
}
