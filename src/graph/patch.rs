//! Rewriting: a pass adds nodes, names what they replace, and the graph is pruned and ordered again.

use super::{Graph, ValueId};
use crate::error::GraphError;
use crate::ops::Op;
use crate::tensor::Tensor;

/// One rewrite of a graph by a pass. Nothing changes until [`Patch::apply`].
#[derive(Debug)]
pub struct Patch<'a> {
    graph: &'a mut Graph,
    pass: &'static str,
    before: usize,
    replacements: Vec<(ValueId, ValueId)>,
}

impl<'a> Patch<'a> {
    /// Starts a rewrite by the named pass.
    pub fn new(graph: &'a mut Graph, pass: &'static str) -> Patch<'a> {
        Patch { before: graph.nodes().len(), graph, pass, replacements: Vec::new() }
    }

    /// The graph, with the nodes that the patch has added so far.
    pub fn graph(&self) -> &Graph {
        self.graph
    }

    /// Adds a node.
    ///
    /// # Errors
    /// As [`Graph::node`].
    pub fn node(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, GraphError> {
        self.graph.node(name, op, inputs)
    }

    /// Adds a constant.
    pub fn constant(&mut self, name: &str, tensor: Tensor) -> ValueId {
        self.graph.constant(name, tensor)
    }

    /// Every reader of `old`, and every output that is `old`, gets `new` instead.
    ///
    /// # Errors
    /// [`GraphError::Replacement`] when the types differ.
    pub fn replace(&mut self, old: ValueId, new: ValueId) -> Result<(), GraphError> {
        let (expected, found) = (self.graph.ty(old), self.graph.ty(new));
        if expected != found {
            return Err(GraphError::Replacement {
                pass: self.pass,
                value: self.graph.value(old).name.clone(),
                expected: expected.clone(),
                found: found.clone(),
            });
        }
        self.replacements.push((old, new));
        Ok(())
    }

    /// Carries the rewrite out: redirects what the graph held before, removes what nothing reads any more, and orders the
    /// nodes. Value ids from before do not survive. Nodes that the patch added keep reading what they were given, so a
    /// replacement may wrap what it replaces.
    ///
    /// # Errors
    /// [`GraphError::Verify`] when the result contradicts itself (a fault of the pass).
    pub fn apply(self) -> Result<(), GraphError> {
        let target = |id: ValueId| self.replacements.iter().find(|(old, _)| *old == id).map_or(id, |(_, new)| *new);
        for node in &mut self.graph.nodes[..self.before] {
            for input in &mut node.inputs {
                *input = target(*input);
            }
        }
        for (_, output) in &mut self.graph.outputs {
            *output = target(*output);
        }
        let pass = self.pass;
        self.graph.prune().map_err(|what| GraphError::Verify { pass: pass.into(), what })?;
        self.graph.verify(pass)
    }
}
