//! The rows of the summary: one per layer, with the work of all its calls.

use super::Row;
use super::trace::Traced;
use crate::graph::{Graph, Node};
use crate::layers::{InputSpec, Model, TensorRef};

/// The row of input number `position`, which `graph` has a shape for.
pub(super) fn input_row(model: &Model, graph: &Graph, position: usize, input: &InputSpec) -> Row {
    let bytes = graph.inputs().get(position).map_or(0, |&id| graph.ty(id).bytes() as u64);
    Row::new(&input.name, "InputLayer", model.dims(TensorRef::Input(position)), bytes)
}

/// The rows of a model's layers. `runs` holds the model's calls once for each time that the model itself is called.
pub(super) fn layer_rows(model: &Model, graph: &Graph, runs: &[&[Traced]]) -> Vec<Row> {
    let source = |tensor: &TensorRef| match tensor {
        TensorRef::Input(i) => {
            format!("{}[0][0]", model.inputs().get(*i).map_or("", |input| input.name.as_str()))
        }
        TensorRef::Call { call, output } => match model.calls().get(*call) {
            Some(call) => format!("{}[{}][{output}]", call.layer.name(), call.index),
            None => String::new(),
        },
    };
    let row = |layer: &crate::layers::LayerRef| {
        let (positions, calls): (Vec<usize>, Vec<_>) =
            model.calls().iter().enumerate().filter(|(_, call)| call.layer.is(layer)).unzip();
        let traced: Vec<&Traced> =
            runs.iter().flat_map(|run| positions.iter().filter_map(|&position| run.get(position))).collect();
        let inner: Vec<&[Traced]> = traced.iter().map(|call| call.inner.as_slice()).collect();
        let nested = layer.layer().as_model().map_or_else(Vec::new, |model| layer_rows(model, graph, &inner));
        let nodes: Vec<&Node> =
            traced.iter().flat_map(|call| graph.nodes().get(call.nodes.clone()).unwrap_or_default()).collect();
        let given = traced.iter().flat_map(|call| &call.outputs).map(|&id| graph.ty(id).bytes() as u64).sum();
        let own = layer.weights().iter().filter(|weight| weight.spec().trainable);
        let own: usize = own.map(|weight| weight.spec().shape.elements()).sum();
        let weights = layer.layer().as_model().map_or_else(Vec::new, Model::weights);
        let inside = weights.iter().filter(|weight| weight.spec().trainable);
        let bytes = match layer.layer().as_model() {
            Some(_) => nested.iter().map(|row| row.activation_bytes).sum(),
            None => given,
        };
        let shape = calls.first().and_then(|call| call.outputs.first()).cloned().unwrap_or_default();
        let mut row = Row {
            params: layer.parameters(),
            trainable_params: own + inside.map(|weight| weight.spec().shape.elements()).sum::<usize>(),
            connected_to: calls.iter().flat_map(|call| call.inputs.iter().map(source)).collect(),
            calls: calls.len(),
            nested,
            ..Row::new(layer.name(), layer.layer().class_name(), shape, bytes)
        };
        row.add_work(graph, nodes);
        if layer.layer().as_model().is_some() {
            // The rows inside say it.
            row.kernels.clear();
        }
        row
    };
    model.layers().into_iter().map(row).collect()
}
