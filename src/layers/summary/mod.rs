//! What every layer of a model does: shapes, weights, kernels in words, work, and notes on what is probably not meant.

mod diagram;
mod kernels;
mod notes;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Dims, Model, TensorRef};
use crate::error::LayerError;
use crate::graph::Graph;

pub use notes::Note;

/// Rows and columns that stand in for spatial axes of open size when work is counted.
const OPEN_AXIS: usize = 224;

/// One layer, or one input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The layer's name.
    pub name: String,
    /// Its Keras class.
    pub class: String,
    /// Shape of its (first) output, batch first; `null` where the size is open.
    pub output_shape: Dims,
    /// Weight elements.
    pub params: usize,
    /// Those of them that training changes.
    pub trainable_params: usize,
    /// What it reads, as `layer[call][output]`; a shared layer reads something in each of its calls.
    pub connected_to: Vec<String>,
    /// How often it is called.
    pub calls: usize,
    /// The kernel of each part in words.
    pub kernels: Vec<String>,
    /// Multiply-accumulates of all calls.
    pub macs: u64,
    /// Bytes of the outputs of all calls.
    pub activation_bytes: u64,
    /// The layers of a nested model.
    pub nested: Vec<Row>,
}

/// A model in one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The model's name.
    pub model: String,
    /// The batch that work is counted for.
    pub batch: usize,
    /// Whether the layers follow each other in a row.
    pub sequential: bool,
    /// The layers, inputs first.
    pub rows: Vec<Row>,
    /// Weight elements; shared ones count once.
    pub params: usize,
    /// Those of them that training changes.
    pub trainable_params: usize,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of all activations.
    pub activation_bytes: u64,
    /// What is probably not meant, each with the way out.
    pub notes: Vec<Note>,
}

impl Model {
    /// What every layer does, with work counted for a batch. Spatial axes of open size count as 224.
    ///
    /// # Errors
    /// [`LayerError`] when the model cannot be put together for this batch.
    pub fn summary(&self, batch: usize) -> Result<Summary, LayerError> {
        let shapes: BTreeMap<String, Vec<usize>> = self
            .inputs()
            .iter()
            .map(|input| (input.name.clone(), input.shape.iter().map(|size| size.unwrap_or(OPEN_AXIS)).collect()))
            .collect();
        let graph = self.graph_for(batch, &shapes)?;
        let mut rows: Vec<Row> = self
            .inputs()
            .iter()
            .enumerate()
            .map(|(i, input)| Row {
                name: input.name.clone(),
                class: "InputLayer".into(),
                output_shape: self.dims(TensorRef::Input(i)),
                params: 0,
                trainable_params: 0,
                connected_to: Vec::new(),
                calls: 1,
                kernels: Vec::new(),
                macs: 0,
                activation_bytes: 4 * (batch * shapes.get(&input.name).map_or(0, |s| s.iter().product())) as u64,
                nested: Vec::new(),
            })
            .collect();
        rows.extend(layer_rows(self, &graph, "", batch));
        let weights = self.weights();
        let trainable = weights.iter().filter(|weight| weight.spec().trainable);
        Ok(Summary {
            model: self.name().into(),
            batch,
            sequential: self.is_sequential(),
            params: self.parameters(),
            trainable_params: trainable.map(|weight| weight.spec().shape.elements()).sum(),
            macs: rows.iter().map(|row| row.macs).sum(),
            activation_bytes: rows.iter().map(|row| row.activation_bytes).sum(),
            notes: notes::notes(self, &graph, &rows)?,
            rows,
        })
    }
}

/// The rows of a model's layers; `scope` is where they stand in the graph's names.
fn layer_rows(model: &Model, graph: &Graph, scope: &str, batch: usize) -> Vec<Row> {
    let source = |tensor: &TensorRef| match tensor {
        TensorRef::Input(i) => {
            format!("{}[0][0]", model.inputs().get(*i).map_or("", |input| input.name.as_str()))
        }
        TensorRef::Call { call, output } => match model.calls().get(*call) {
            Some(call) => format!("{}[{}][{output}]", call.layer.name(), call.index),
            None => String::new(),
        },
    };
    model
        .layers()
        .into_iter()
        .map(|layer| {
            let path = if scope.is_empty() { layer.name().to_string() } else { format!("{scope}/{}", layer.name()) };
            let calls: Vec<_> = model.calls().iter().filter(|call| call.layer.is(layer)).collect();
            let nested = layer.layer().as_model().map_or_else(Vec::new, |model| layer_rows(model, graph, &path, batch));
            let nodes: Vec<_> = graph
                .nodes()
                .iter()
                .filter(|node| {
                    node.name == path || node.name.strip_prefix(&path).is_some_and(|rest| rest.starts_with('/'))
                })
                .collect();
            let cost: crate::ops::Cost =
                nodes.iter().map(|node| node.op.spec().cost(&graph.input_types(node), &graph.output_types(node))).sum();
            let mut kernels: Vec<String> = Vec::new();
            if nested.is_empty() {
                for words in nodes.iter().filter_map(|node| kernels::describe(graph, node)) {
                    if !kernels.contains(&words) {
                        kernels.push(words);
                    }
                }
            }
            let elements = |dims: &Dims| {
                let sizes = dims.iter().enumerate();
                sizes.map(|(axis, size)| size.unwrap_or(if axis == 0 { batch } else { OPEN_AXIS })).product::<usize>()
            };
            let trainable = layer.weights().iter().filter(|weight| weight.spec().trainable);
            let own_trainable: usize = trainable.map(|weight| weight.spec().shape.elements()).sum();
            Row {
                name: layer.name().into(),
                class: layer.layer().class_name().into(),
                output_shape: calls.first().and_then(|call| call.outputs.first()).cloned().unwrap_or_default(),
                params: layer.parameters(),
                trainable_params: own_trainable + nested.iter().map(|row| row.trainable_params).sum::<usize>(),
                connected_to: calls.iter().flat_map(|call| call.inputs.iter().map(source)).collect(),
                calls: calls.len(),
                kernels,
                macs: cost.macs,
                activation_bytes: calls
                    .iter()
                    .flat_map(|call| &call.outputs)
                    .map(|dims| 4 * elements(dims) as u64)
                    .sum(),
                nested,
            }
        })
        .collect()
}
