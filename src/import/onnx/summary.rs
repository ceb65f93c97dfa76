//! The summary of an ONNX model: a row per node, in the form of a model of layers.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::lower::Value;
use super::walk::{self, full_name};
use super::{Given, OnnxError, OnnxModel};
use crate::import::bounds::label;
use crate::layers::{Row, Summary};

impl OnnxModel {
    /// What every node does, for given input shapes: its shape (axes in ONNX's order), parameters, kernels in words and
    /// work. Nodes whose results are known at import have no row. A batch is the first axis of the first input.
    ///
    /// # Errors
    /// As [`OnnxModel::graph`].
    pub fn summary(&self, given: &BTreeMap<String, Given>) -> Result<Summary, OnnxError> {
        let lower = walk::lower(self, given)?;
        let graph = &lower.graph;
        let shape_of = |name: &String| match lower.values.get(name)? {
            Value::Node(id, _) => Some(graph.ty(*id).shape.to_vec()),
            Value::Host(_) => None,
        };
        let mut rows = Vec::new();
        let mut sources: HashMap<&str, String> = HashMap::new();
        for input in &self.inputs {
            let Some(shape) = shape_of(&input.name) else { continue };
            sources.insert(&input.name, label(&input.name));
            rows.push(row(&input.name, "Input", &shape));
        }
        let mut counted: HashSet<&str> = HashSet::new();
        let ends = lower.starts.iter().copied().skip(1).chain([graph.nodes().len()]);
        for ((step, &start), end) in self.steps.iter().zip(&lower.starts).zip(ends) {
            let Some(shape) = step.node.output.iter().find_map(shape_of) else { continue };
            let mut row = row(&step.name, &full_name(step), &shape);
            for name in &step.node.input {
                let initializer = self.initializers.get(name).filter(|tensor| tensor.elem.is_float());
                if let Some(tensor) = initializer.filter(|_| counted.insert(name)) {
                    row.params += tensor.len();
                }
                row.connected_to.extend(sources.get(name.as_str()).cloned());
            }
            row.add_work(graph, &graph.nodes()[start..end]);
            sources.extend(step.node.output.iter().map(|name| (name.as_str(), step.name.clone())));
            rows.push(row);
        }
        Ok(Summary::of_graph(&self.path, rows))
    }
}

fn row(name: &str, class: &str, shape: &[usize]) -> Row {
    let bytes = 4 * shape.iter().product::<usize>() as u64;
    Row::new(name, class, shape.iter().map(|&size| Some(size)).collect(), bytes)
}
