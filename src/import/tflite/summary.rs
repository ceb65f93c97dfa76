//! The summary of a TFLite model: a row per node, in the form of a model of layers.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{TfliteError, TfliteModel};
use crate::graph::ValueId;
use crate::layers::{Row, Summary, describe};

impl TfliteModel {
    /// What every node does, for given input shapes: its shape, parameters, kernels in words and work. Nodes that only turn
    /// weights have no row. A batch is the first axis of the first input.
    ///
    /// # Errors
    /// As [`TfliteModel::graph`].
    pub fn summary(&self, shapes: &BTreeMap<String, Vec<usize>>) -> Result<Summary, TfliteError> {
        let graph = self.graph(shapes)?;
        let sizes = |id: ValueId| graph.ty(id).shape.iter().map(|&size| Some(size)).collect::<Vec<_>>();
        let row = |name: &str, class: String, id: ValueId| Row {
            name: name.to_string(),
            class,
            output_shape: sizes(id),
            params: 0,
            trainable_params: 0,
            connected_to: Vec::new(),
            calls: 1,
            kernels: Vec::new(),
            macs: 0,
            activation_bytes: graph.ty(id).bytes() as u64,
            nested: Vec::new(),
        };
        let mut rows = Vec::new();
        // The constant that a value is made of alone, and the row that computes any other value.
        let (mut weights, mut sources): (HashMap<ValueId, ValueId>, HashMap<ValueId, String>) = Default::default();
        for &id in graph.inputs() {
            let name = &graph.value(id).name;
            sources.insert(id, name.clone());
            rows.push(row(name, "Input".into(), id));
        }
        let mut counted = HashSet::new();
        for node in graph.nodes() {
            let Some(&output) = node.outputs.first() else { continue };
            let weight = |id: &ValueId| weights.get(id).copied().or(graph.as_constant(*id).map(|_| *id));
            if let [only] = node.inputs[..]
                && let Some(weight) = weight(&only)
            {
                weights.insert(output, weight);
                continue;
            }
            let mut own = row(&node.name, node.op.to_string(), output);
            let new = node.inputs.iter().filter_map(weight).filter(|&id| counted.insert(id));
            own.params = new.map(|id| graph.ty(id).shape.elements()).sum();
            own.connected_to = node.inputs.iter().filter_map(|id| sources.get(id).cloned()).collect();
            own.kernels = describe(&graph, node).into_iter().collect();
            own.macs = node.op.spec().cost(&graph.input_types(node), &graph.output_types(node)).macs;
            sources.extend(node.outputs.iter().map(|&id| (id, node.name.clone())));
            rows.push(own);
        }
        Ok(Summary {
            model: self.path.file_stem().map(|name| name.to_string_lossy().to_string()).unwrap_or_default(),
            batch: rows.first().and_then(|row| row.output_shape.first().copied().flatten()).unwrap_or(1),
            sequential: false,
            params: rows.iter().map(|row| row.params).sum(),
            trainable_params: 0,
            macs: rows.iter().map(|row| row.macs).sum(),
            activation_bytes: rows.iter().map(|row| row.activation_bytes).sum(),
            notes: Vec::new(),
            rows,
        })
    }
}
