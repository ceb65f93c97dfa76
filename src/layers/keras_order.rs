//! The order in which Keras lists the layers of a functional model, which is also the order it numbers their weights in.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::names::snake_case;
use super::{LayerRef, Model, TensorRef};

/// What Keras lists: an input, or a layer by the position of its first call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// An input, by position.
    Input(usize),
    /// A layer, by the position of its first call.
    Layer(usize),
}

/// Keras's order (`map_graph` of keras/src/ops/function.py): by depth, the largest number of calls to an output, the deepest
/// first; at equal depth in the order in which a walk from the outputs to the inputs meets them.
pub(super) fn keras_order(model: &Model) -> Vec<Operation> {
    let graph = Nodes::of(model);
    let count = graph.parents.len();
    // For operations: when the walk first meets them.
    let mut met: Vec<Option<usize>> = vec![None; count];
    let mut meetings = 0;
    let mut finished = vec![false; count];
    let mut order = Vec::with_capacity(count);
    for (_, output) in model.outputs() {
        // An explicit stack: a deep network must not exhaust the thread's own.
        let mut stack = vec![(graph.node(*output), 0)];
        while let Some((node, next)) = stack.pop() {
            if finished[node] {
                continue;
            }
            if met[graph.operation[node]].is_none() {
                met[graph.operation[node]] = Some(meetings);
                meetings += 1;
            }
            match graph.parents[node].get(next) {
                Some(&parent) => stack.extend([(node, next + 1), (parent, 0)]),
                None => {
                    finished[node] = true;
                    order.push(node);
                }
            }
        }
    }
    let (mut depth, mut operation_depth) = (vec![0; count], vec![0; count]);
    for &node in order.iter().rev() {
        let operation = graph.operation[node];
        let own: usize = depth[node].max(operation_depth[operation]);
        depth[node] = own;
        operation_depth[operation] = own;
        for &parent in &graph.parents[node] {
            depth[parent] = depth[parent].max(own + 1);
        }
    }
    let mut operations: Vec<usize> = (0..count).filter(|&node| graph.operation[node] == node).collect();
    // An input that nothing reads comes first at depth 0.
    operations.sort_by_key(|&node| (Reverse(operation_depth[node]), met[node]));
    let inputs = graph.inputs;
    let named = |node: usize| match node.checked_sub(inputs) {
        Some(call) => Operation::Layer(call),
        None => Operation::Input(node),
    };
    operations.into_iter().map(named).collect()
}

/// A group of Keras's weight files.
#[derive(Debug)]
pub struct KerasGroup<'a> {
    /// Its name: the class in snake case, numbered from the second of a class.
    pub key: String,
    /// The name of the layer or input.
    pub name: &'a str,
    /// The layer; an input has none.
    pub layer: Option<&'a LayerRef>,
}

impl Model {
    /// The groups of Keras's weight files for inputs and layers, in Keras's order. A row of layers has none for its input.
    pub fn keras_groups(&self) -> Vec<KerasGroup<'_>> {
        let order = match self.is_written_as_sequential() {
            true => (0..self.calls.len()).map(Operation::Layer).collect(),
            false => keras_order(self),
        };
        let mut counts: HashMap<String, usize> = HashMap::new();
        let mut groups = Vec::with_capacity(order.len());
        for operation in order {
            let (name, layer, class) = match operation {
                Operation::Input(position) => {
                    let Some(input) = self.inputs.get(position) else { continue };
                    (input.name.as_str(), None, "InputLayer")
                }
                Operation::Layer(first) => {
                    let Some(layer) = self.calls.get(first).map(|call| &call.layer) else { continue };
                    if layer.is_function() {
                        continue;
                    }
                    let class = match layer.layer().as_model() {
                        Some(model) if model.is_written_as_sequential() => "Sequential",
                        Some(_) => "Functional",
                        None => layer.layer().class_name(),
                    };
                    (layer.name(), Some(layer), class)
                }
            };
            let key = snake_case(class);
            let count = counts.entry(key.clone()).or_default();
            let key = if *count == 0 { key } else { format!("{key}_{count}") };
            *count += 1;
            groups.push(KerasGroup { key, name, layer });
        }
        groups
    }
}

/// Inputs and calls as nodes of one graph: inputs come first.
struct Nodes {
    inputs: usize,
    /// The nodes that a node reads.
    parents: Vec<Vec<usize>>,
    /// The first node of the same layer.
    operation: Vec<usize>,
}

impl Nodes {
    fn of(model: &Model) -> Nodes {
        let inputs = model.inputs().len();
        let mut nodes = Nodes { inputs, parents: vec![Vec::new(); inputs], operation: (0..inputs).collect() };
        let mut first: HashMap<usize, usize> = HashMap::new();
        for call in model.calls() {
            let parents = call.inputs.iter().map(|&input| nodes.node(input)).collect();
            let node = nodes.parents.len();
            nodes.operation.push(*first.entry(call.layer.id()).or_insert(node));
            nodes.parents.push(parents);
        }
        nodes
    }

    fn node(&self, tensor: TensorRef) -> usize {
        match tensor {
            TensorRef::Input(position) => position,
            TensorRef::Call { call, .. } => self.inputs + call,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Dense, Input, IntoLayer, Merge};

    /// The order that Keras 3.15 gives for this model.
    #[test]
    fn branches_are_listed_by_depth() {
        let (x, unused) = (Input::open("x", vec![Some(5)]), Input::open("unused", vec![Some(3)]));
        let dense = |units: usize, name: &str| Dense::new(units).named(name);
        let short = dense(4, "short").call(&x);
        let long = dense(4, "long_2").call(&dense(5, "long_1").call(&dense(5, "long_0").call(&x)));
        let side = dense(4, "side").call(&dense(5, "side_0").call(&x));
        let sum = Merge::Add.named("sum").call_many(&[&short, &long, &side]);
        let model = Model::new(&[unused, x], &[dense(2, "head").call(&sum), side]).unwrap();
        let groups = model.keras_groups();
        let names: Vec<&str> = groups.iter().map(|group| group.name).collect();
        assert_eq!(names, ["x", "long_0", "long_1", "side_0", "short", "long_2", "side", "sum", "unused", "head"]);
        let keys: Vec<&str> = groups.iter().map(|group| group.key.as_str()).collect();
        assert_eq!(keys[..4], ["input_layer", "dense", "dense_1", "dense_2"]);
        assert_eq!(keys[7..], ["add", "input_layer_1", "dense_6"]);
    }
}
