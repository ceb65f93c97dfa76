//! The intermediate representation: values, nodes and their order.
//!
//! A graph is built node by node; every node's shape rule runs when it is added, so a graph that exists is well-typed.
//! Nodes are kept in an order in which every input comes before its reader.

mod print;
mod rewrite;
mod verify;

use std::collections::BTreeMap;

pub use rewrite::{Rewrite, Rewriter, Site};

use crate::error::{GraphError, ShapeError};
use crate::ops::Op;
use crate::tensor::{Tensor, TensorType};

/// A value of one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(usize);

impl ValueId {
    /// Position of the value in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// Given anew for every run.
    Input,
    /// Known when the graph is built: a weight or another constant.
    Constant(Tensor),
    /// Output `output` of a node, by the node's position.
    Node {
        /// Position in [`Graph::nodes`].
        node: usize,
        /// Which of its outputs.
        output: usize,
    },
}

/// A tensor that the graph takes in, holds or computes.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Name for prints, errors and profiles.
    pub name: String,
    /// Shape and element type.
    pub ty: TensorType,
    /// Where it comes from.
    pub origin: Origin,
}

/// One op at work.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Name for prints, errors and profiles: as a rule the layer it came from.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<ValueId>,
    /// What it computes, one value per output of the op.
    pub outputs: Vec<ValueId>,
}

/// A computation: inputs, constants, nodes in order, and named outputs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    values: Vec<Value>,
    nodes: Vec<Node>,
    inputs: Vec<ValueId>,
    outputs: Vec<(String, ValueId)>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// Adds an input that is given anew for every run.
    pub fn input(&mut self, name: impl Into<String>, ty: TensorType) -> ValueId {
        let id = self.add_value(Value { name: name.into(), ty, origin: Origin::Input });
        self.inputs.push(id);
        id
    }

    /// Adds a weight or another constant. The elements are shared, not copied.
    pub fn constant(&mut self, name: impl Into<String>, tensor: Tensor) -> ValueId {
        let ty = tensor.tensor_type();
        self.add_value(Value { name: name.into(), ty, origin: Origin::Constant(tensor) })
    }

    /// Adds a node and returns its first output.
    ///
    /// # Errors
    /// [`GraphError::Node`] when the op does not take these inputs, [`GraphError::UnknownValue`] when one does not exist.
    pub fn node(
        &mut self,
        name: impl Into<String>,
        op: impl Into<Op>,
        inputs: &[ValueId],
    ) -> Result<ValueId, GraphError> {
        let (name, op) = (name.into(), op.into());
        let types: Vec<TensorType> = inputs
            .iter()
            .map(|id| self.values.get(id.0).map(|value| value.ty.clone()))
            .collect::<Option<_>>()
            .ok_or_else(|| GraphError::UnknownValue { node: name.clone() })?;
        let wrong = |source| GraphError::Node { node: name.clone(), source };
        let inferred = op.spec().infer(&types).map_err(wrong)?;
        let node = self.nodes.len();
        let outputs: Vec<ValueId> = inferred
            .into_iter()
            .enumerate()
            .map(|(output, ty)| self.add_value(Value { name: name.clone(), ty, origin: Origin::Node { node, output } }))
            .collect();
        let first = outputs
            .first()
            .copied()
            .ok_or_else(|| wrong(ShapeError::mismatch(op.spec().name(), "the op has no outputs")))?;
        self.nodes.push(Node { name, op, inputs: inputs.to_vec(), outputs });
        Ok(first)
    }

    /// Makes a value an output under a name.
    pub fn output(&mut self, name: impl Into<String>, value: ValueId) {
        self.outputs.push((name.into(), value));
    }

    /// Takes the outputs away, for others to take their place.
    pub fn take_outputs(&mut self) -> Vec<(String, ValueId)> {
        std::mem::take(&mut self.outputs)
    }

    /// All values; [`ValueId::index`] is the position.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The nodes, every one after those it reads from.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The inputs, in the order they were added.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// The outputs with their names.
    pub fn outputs(&self) -> &[(String, ValueId)] {
        &self.outputs
    }

    /// One value of this graph.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// The value at a position of [`Graph::values`].
    pub fn value_at(&self, index: usize) -> Option<ValueId> {
        (index < self.values.len()).then_some(ValueId(index))
    }

    /// The type of a value of this graph.
    pub fn ty(&self, id: ValueId) -> &TensorType {
        &self.values[id.0].ty
    }

    /// Types of a node's inputs.
    pub fn input_types(&self, node: &Node) -> Vec<TensorType> {
        node.inputs.iter().map(|&id| self.ty(id).clone()).collect()
    }

    /// Types of a node's outputs.
    pub fn output_types(&self, node: &Node) -> Vec<TensorType> {
        node.outputs.iter().map(|&id| self.ty(id).clone()).collect()
    }

    /// The constant behind a value, if it is one.
    pub fn as_constant(&self, id: ValueId) -> Option<&Tensor> {
        match &self.values[id.0].origin {
            Origin::Constant(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// The node that computes a value, if one does.
    pub fn producer(&self, id: ValueId) -> Option<&Node> {
        match self.values[id.0].origin {
            Origin::Node { node, .. } => self.nodes.get(node),
            _ => None,
        }
    }

    /// For every value the positions of the nodes that read it, once per reading.
    pub fn readers(&self) -> Vec<Vec<usize>> {
        let mut readers = vec![Vec::new(); self.values.len()];
        for (position, node) in self.nodes.iter().enumerate() {
            for id in &node.inputs {
                readers[id.0].push(position);
            }
        }
        readers
    }

    /// Whether a value is an output of the graph.
    pub fn is_output(&self, id: ValueId) -> bool {
        self.outputs.iter().any(|(_, output)| *output == id)
    }

    /// The same graph for other input shapes (another batch or picture size); every shape is inferred again.
    ///
    /// `shapes` gives a type per input name; inputs that are not named keep theirs.
    ///
    /// # Errors
    /// [`GraphError::Input`] for a name the graph does not have, [`GraphError::Node`] when a node does not take its new
    /// inputs.
    pub fn with_input_types(&self, types: &BTreeMap<String, TensorType>) -> Result<Graph, GraphError> {
        if let Some(unknown) = types.keys().find(|name| !self.inputs.iter().any(|&id| self.value(id).name == **name)) {
            return Err(GraphError::Input { name: unknown.clone(), what: self.input_list() });
        }
        let mut graph = self.clone();
        for &id in &self.inputs {
            if let Some(ty) = types.get(&self.value(id).name) {
                graph.values[id.0].ty = ty.clone();
            }
        }
        for node in &graph.nodes {
            let inputs: Vec<TensorType> = node.inputs.iter().map(|id| graph.values[id.0].ty.clone()).collect();
            let inferred =
                node.op.spec().infer(&inputs).map_err(|source| GraphError::Node { node: node.name.clone(), source })?;
            for (id, ty) in node.outputs.iter().zip(inferred) {
                graph.values[id.0].ty = ty;
            }
        }
        Ok(graph)
    }

    /// The inputs in words, for error messages.
    pub fn input_list(&self) -> String {
        let inputs: Vec<String> =
            self.inputs.iter().map(|&id| format!("`{}` {}", self.value(id).name, self.ty(id))).collect();
        format!("the graph takes {}", inputs.join(", "))
    }

    fn add_value(&mut self, value: Value) -> ValueId {
        self.values.push(value);
        ValueId(self.values.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Unary, UnaryFn};

    #[test]
    fn a_graph_takes_other_input_shapes() {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([1, 4]));
        let y = graph.node("relu", Unary { function: UnaryFn::Relu }, &[x]).unwrap();
        graph.output("y", y);
        let types = BTreeMap::from([("x".to_string(), TensorType::f32([3, 5]))]);
        let other = graph.with_input_types(&types).unwrap();
        assert_eq!(other.ty(y).shape.to_vec(), [3, 5]);
        let unknown = BTreeMap::from([("z".to_string(), TensorType::f32([3, 5]))]);
        assert!(graph.with_input_types(&unknown).unwrap_err().to_string().contains("`x`"));
    }
}
