//! The rows of the summary: one per layer, with the work of all its calls.

use super::trace::Traced;
use super::{Row, kernels};
use crate::graph::{Graph, Node};
use crate::layers::{InputSpec, Model, TensorRef};
use crate::ops::Cost;

/// The row of input number `position`, which `graph` has a shape for.
pub(super) fn input_row(model: &Model, graph: &Graph, position: usize, input: &InputSpec) -> Row {
    Row {
        name: input.name.clone(),
        class: "InputLayer".into(),
        output_shape: model.dims(TensorRef::Input(position)),
        params: 0,
        trainable_params: 0,
        connected_to: Vec::new(),
        calls: 1,
        kernels: Vec::new(),
        macs: 0,
        activation_bytes: graph.inputs().get(position).map_or(0, |&id| graph.ty(id).bytes() as u64),
        nested: Vec::new(),
    }
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
        let cost: Cost =
            nodes.iter().map(|node| node.op.spec().cost(&graph.input_types(node), &graph.output_types(node))).sum();
        let mut words: Vec<String> = Vec::new();
        if layer.layer().as_model().is_none() {
            for kernel in nodes.iter().filter_map(|node| kernels::describe(graph, node)) {
                if !words.contains(&kernel) {
                    words.push(kernel);
                }
            }
        }
        let given = traced.iter().flat_map(|call| &call.outputs).map(|&id| graph.ty(id).bytes() as u64).sum();
        let own = layer.weights().iter().filter(|weight| weight.spec().trainable);
        let own: usize = own.map(|weight| weight.spec().shape.elements()).sum();
        let weights = layer.layer().as_model().map_or_else(Vec::new, Model::weights);
        let inside = weights.iter().filter(|weight| weight.spec().trainable);
        Row {
            name: layer.name().into(),
            class: layer.layer().class_name().into(),
            output_shape: calls.first().and_then(|call| call.outputs.first()).cloned().unwrap_or_default(),
            params: layer.parameters(),
            trainable_params: own + inside.map(|weight| weight.spec().shape.elements()).sum::<usize>(),
            connected_to: calls.iter().flat_map(|call| call.inputs.iter().map(source)).collect(),
            calls: calls.len(),
            kernels: words,
            macs: cost.macs,
            activation_bytes: match layer.layer().as_model() {
                Some(_) => nested.iter().map(|row| row.activation_bytes).sum(),
                None => given,
            },
            nested,
        }
    };
    model.layers().into_iter().map(row).collect()
}
