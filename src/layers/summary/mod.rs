//! What every layer of a model does: shapes, weights, kernels in words, work, and notes on what is probably not meant.

mod diagram;
mod kernels;
mod notes;
mod rows;
mod text;
mod trace;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::{Dims, Model};
use crate::error::LayerError;
use crate::graph::{Graph, Node};

use kernels::describe;
pub use notes::Note;

/// Rows and columns that stand in for input axes of open size when work is counted.
pub const OPEN_AXIS: usize = 224;

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
    /// How often its model calls it.
    pub calls: usize,
    /// The kernel of each part in words.
    pub kernels: Vec<String>,
    /// Multiply-accumulates of all calls.
    pub macs: u64,
    /// Bytes of the outputs of all calls; of a nested model, of those of the layers inside.
    pub activation_bytes: u64,
    /// The layers of a nested model.
    pub nested: Vec<Row>,
}

impl Row {
    /// A row of what gives one value, without weights and without work.
    pub fn new(name: &str, class: &str, output_shape: Dims, activation_bytes: u64) -> Row {
        Row {
            name: name.into(),
            class: class.into(),
            output_shape,
            params: 0,
            trainable_params: 0,
            connected_to: Vec::new(),
            calls: 1,
            kernels: Vec::new(),
            macs: 0,
            activation_bytes,
            nested: Vec::new(),
        }
    }

    /// Adds what nodes of a graph do: their kernels in words, each once, and their work.
    pub fn add_work<'a>(&mut self, graph: &Graph, nodes: impl IntoIterator<Item = &'a Node>) {
        for node in nodes {
            let macs = node.op.spec().cost(&graph.input_types(node), &graph.output_types(node)).macs;
            self.macs = self.macs.saturating_add(macs);
            self.kernels.extend(describe(graph, node).filter(|words| !self.kernels.contains(words)));
        }
    }
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

impl Summary {
    /// The summary of a file that holds a graph rather than layers: a row per node, inputs first, and nothing to train. The batch
    /// is the first axis of the first row.
    pub fn of_graph(path: &Path, rows: Vec<Row>) -> Summary {
        Summary {
            model: path.file_stem().map(|name| name.to_string_lossy().to_string()).unwrap_or_default(),
            batch: rows.first().and_then(|row| row.output_shape.first().copied().flatten()).unwrap_or(1),
            sequential: false,
            params: rows.iter().map(|row| row.params).sum(),
            trainable_params: 0,
            macs: rows.iter().map(|row| row.macs).fold(0, u64::saturating_add),
            activation_bytes: rows.iter().map(|row| row.activation_bytes).sum(),
            notes: Vec::new(),
            rows,
        }
    }
}

impl Model {
    /// What every layer does, with work counted for a batch. Input axes of open size count as 224.
    ///
    /// # Errors
    /// [`LayerError`] when the model cannot be put together for this batch.
    pub fn summary(&self, batch: usize) -> Result<Summary, LayerError> {
        let shapes: BTreeMap<String, Vec<usize>> = self
            .inputs()
            .iter()
            .map(|input| (input.name.clone(), input.shape.iter().map(|size| size.unwrap_or(OPEN_AXIS)).collect()))
            .collect();
        let (graph, calls) = trace::trace(self, batch, &shapes)?;
        let inputs = self.inputs().iter().enumerate();
        let mut rows: Vec<Row> = inputs.map(|(i, input)| rows::input_row(self, &graph, i, input)).collect();
        rows.extend(rows::layer_rows(self, &graph, &[&calls]));
        let weights = self.weights();
        let trainable = weights.iter().filter(|weight| weight.spec().trainable);
        Ok(Summary {
            model: self.name().into(),
            batch,
            sequential: self.is_sequential(),
            params: self.parameters(),
            trainable_params: trainable.map(|weight| weight.spec().shape.elements()).sum(),
            macs: rows.iter().map(|row| row.macs).fold(0, u64::saturating_add),
            activation_bytes: rows.iter().map(|row| row.activation_bytes).sum(),
            notes: notes::notes(self, &graph)?,
            rows,
        })
    }
}
