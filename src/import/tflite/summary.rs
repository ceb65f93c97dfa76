//! The summary of a TFLite model: a row per node, in the form of a model of layers.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{TfliteError, TfliteModel};
use crate::graph::ValueId;
use crate::layers::{Row, Summary};

impl TfliteModel {
    /// What every node does, for given input shapes: its shape, parameters, kernels in words and work. Nodes that only turn
    /// weights have no row. A batch is the first axis of the first input.
    ///
    /// # Errors
    /// As [`TfliteModel::graph`].
    pub fn summary(&self, shapes: &BTreeMap<String, Vec<usize>>) -> Result<Summary, TfliteError> {
        let graph = self.graph(shapes)?;
        let row = |name: &str, class: &str, id: ValueId| {
            let ty = graph.ty(id);
            Row::new(name, class, ty.shape.iter().map(|&size| Some(size)).collect(), ty.bytes() as u64)
        };
        let mut rows = Vec::new();
        // The constant that a value is made of alone, and the row that computes any other value.
        let (mut weights, mut sources): (HashMap<ValueId, ValueId>, HashMap<ValueId, String>) = Default::default();
        for &id in graph.inputs() {
            let name = &graph.value(id).name;
            sources.insert(id, name.clone());
            rows.push(row(name, "Input", id));
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
            let mut own = row(&node.name, &node.op.to_string(), output);
            let new = node.inputs.iter().filter_map(weight).filter(|&id| counted.insert(id));
            own.params = new.map(|id| graph.ty(id).shape.elements()).sum();
            own.connected_to = node.inputs.iter().filter_map(|id| sources.get(id).cloned()).collect();
            own.add_work(&graph, [node]);
            sources.extend(node.outputs.iter().map(|&id| (id, node.name.clone())));
            rows.push(own);
        }
        Ok(Summary::of_graph(&self.path, rows))
    }
}
