//! A model put into a graph call by call, so that every node and every value is known by the call it belongs to.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::LayerError;
use crate::graph::{Graph, ValueId};
use crate::layers::layer::{Emission, Mode};
use crate::layers::{Model, TensorRef};

/// One call of a layer in a graph.
#[derive(Debug)]
pub(super) struct Traced {
    /// Positions of its nodes.
    pub nodes: Range<usize>,
    /// What it gives.
    pub outputs: Vec<ValueId>,
    /// The calls inside, when the layer is a model.
    pub inner: Vec<Traced>,
}

/// The graph of a model for inputs of these shapes (batch not counted), and its calls in the model's order.
pub(super) fn trace(
    model: &Model,
    batch: usize,
    shapes: &BTreeMap<String, Vec<usize>>,
) -> Result<(Graph, Vec<Traced>), LayerError> {
    let mut graph = Graph::new();
    let inputs = model.emit_inputs(&mut graph, batch, shapes)?;
    let calls = trace_calls(model, &inputs, "", &mut graph, &mut Emission::default())?;
    for (name, output) in model.outputs() {
        let value =
            find(&inputs, &calls, *output).ok_or_else(|| wrong(model, format!("output `{name}` does not exist")))?;
        graph.output(name.clone(), value);
    }
    Ok((graph, calls))
}

fn trace_calls(
    model: &Model,
    inputs: &[ValueId],
    scope: &str,
    graph: &mut Graph,
    emission: &mut Emission,
) -> Result<Vec<Traced>, LayerError> {
    let mut calls: Vec<Traced> = Vec::with_capacity(model.calls().len());
    for call in model.calls() {
        let layer = &call.layer;
        let operands: Option<Vec<ValueId>> = call.inputs.iter().map(|&input| find(inputs, &calls, input)).collect();
        let operands =
            operands.ok_or_else(|| wrong(model, format!("`{}` reads an output that no call has", layer.name())))?;
        let first = graph.nodes().len();
        let (outputs, inner) = match layer.layer().as_model() {
            Some(nested) => {
                let inner = trace_calls(nested, &operands, &join(scope, layer.name()), graph, emission)?;
                let outputs: Option<Vec<ValueId>> =
                    nested.outputs().iter().map(|(_, output)| find(&operands, &inner, *output)).collect();
                (outputs.ok_or_else(|| wrong(nested, "an output does not exist"))?, inner)
            }
            None => {
                let mode = Mode { values: true, training: false, scope };
                (layer.emit(graph, emission, mode, &operands)?, Vec::new())
            }
        };
        calls.push(Traced { nodes: first..graph.nodes().len(), outputs, inner });
    }
    Ok(calls)
}

/// The name of a layer with the names of the models around it, as nodes are called.
pub(super) fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.into() } else { format!("{scope}/{name}") }
}

fn find(inputs: &[ValueId], calls: &[Traced], tensor: TensorRef) -> Option<ValueId> {
    match tensor {
        TensorRef::Input(i) => inputs.get(i).copied(),
        TensorRef::Call { call, output } => calls.get(call)?.outputs.get(output).copied(),
    }
}

fn wrong(model: &Model, what: impl Into<String>) -> LayerError {
    LayerError::Model { model: model.name().into(), what: what.into() }
}
