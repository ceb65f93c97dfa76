//! Rewriting: a graph is copied node by node, in order, and a rewrite may put something else in a node's place.
//!
//! Because inputs come before their readers, a rewrite looks backwards at what has been copied already, chains of rewrites
//! fall into place by themselves, and one walk takes linear time.

use super::{Graph, Node, Origin, ValueId};
use crate::error::GraphError;
use crate::ops::Op;
use crate::tensor::Tensor;

/// A rewrite of single nodes.
pub trait Rewrite {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// The value that takes the place of the node's (first) output, or `None` to copy the node as it is.
    ///
    /// # Errors
    /// [`GraphError`] when the rewrite emits a node that does not take its inputs, a fault of the rewrite.
    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError>;
}

/// Copies a graph and applies rewrites on the way.
#[derive(Debug)]
pub struct Rewriter<'a> {
    old: &'a Graph,
    new: Graph,
    moved: Vec<Option<ValueId>>,
    /// For every new value how many readers (outputs included) it will have.
    uses: Vec<usize>,
}

/// One node about to be copied, seen from the graph that is being built.
#[derive(Debug)]
pub struct Site<'a> {
    graph: &'a mut Graph,
    uses: &'a mut Vec<usize>,
    /// The node as it stands in the old graph.
    pub node: &'a Node,
    /// Its inputs in the new graph.
    pub inputs: Vec<ValueId>,
    /// What was done, in words.
    pub applied: Vec<String>,
    /// Why something that nearly fitted was left alone.
    pub refused: Vec<String>,
}

impl Site<'_> {
    /// The graph built so far.
    pub fn graph(&self) -> &Graph {
        self.graph
    }

    /// How many readers a value has, outputs of the graph included.
    pub fn uses(&self, value: ValueId) -> usize {
        self.uses.get(value.index()).copied().unwrap_or(0)
    }

    /// The name of the node that computes a value; empty for inputs and constants.
    pub fn name_of(&self, value: ValueId) -> String {
        self.graph.producer(value).map(|node| node.name.clone()).unwrap_or_default()
    }

    /// The node that computes a value, if the op is right for `wanted`.
    pub fn producer<T>(&self, value: ValueId, wanted: impl FnOnce(&Op) -> Option<T>) -> Option<(T, Vec<ValueId>)> {
        let node = self.graph.producer(value)?;
        Some((wanted(&node.op)?, node.inputs.clone()))
    }

    /// Adds a node under the name of the present one.
    ///
    /// # Errors
    /// As [`Graph::node`].
    pub fn emit(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, GraphError> {
        self.emit_named(self.node.name.clone(), op, inputs)
    }

    /// Adds a node under a name of its own.
    ///
    /// # Errors
    /// As [`Graph::node`].
    pub fn emit_named(
        &mut self,
        name: impl Into<String>,
        op: impl Into<Op>,
        inputs: &[ValueId],
    ) -> Result<ValueId, GraphError> {
        let value = self.graph.node(name, op, inputs)?;
        // A value between two emitted nodes has one reader; the last one's readers are counted when it is put in place.
        self.uses.resize(self.graph.values().len(), 0);
        for input in inputs {
            self.uses[input.index()] += 1;
        }
        Ok(value)
    }

    /// Adds a constant.
    pub fn constant(&mut self, name: impl Into<String>, tensor: Tensor) -> ValueId {
        let value = self.graph.constant(name, tensor);
        self.uses.resize(self.graph.values().len(), 0);
        value
    }
}

impl<'a> Rewriter<'a> {
    /// Rewrites a graph once. `seen` gets what was done and what was refused, per node.
    ///
    /// # Errors
    /// [`GraphError::Replacement`] when a rewrite changes a type, [`GraphError::Verify`] when it breaks the graph,
    /// [`GraphError::UnknownValue`] when an output is no value of it.
    pub fn run(
        old: &'a Graph,
        rewrite: &dyn Rewrite,
        mut seen: impl FnMut(&Node, Vec<String>, Vec<String>),
    ) -> Result<Graph, GraphError> {
        old.check_outputs()?;
        let mut rewriter = Rewriter { old, new: Graph::new(), moved: vec![None; old.values().len()], uses: Vec::new() };
        let mut readers: Vec<usize> = old.readers().iter().map(Vec::len).collect();
        for (_, id) in old.outputs() {
            readers[id.index()] += 1;
        }
        for &id in old.inputs() {
            let value = old.value(id);
            let new = rewriter.new.input(value.name.clone(), value.ty.clone());
            rewriter.settle(id, new, &readers);
        }
        for node in old.nodes() {
            let inputs: Vec<ValueId> =
                node.inputs.iter().map(|&id| rewriter.place(id, &readers)).collect::<Result<_, _>>()?;
            let mut site = Site {
                graph: &mut rewriter.new,
                uses: &mut rewriter.uses,
                node,
                inputs: inputs.clone(),
                applied: Vec::new(),
                refused: Vec::new(),
            };
            let replacement = rewrite.visit(&mut site)?;
            let (applied, refused) = (std::mem::take(&mut site.applied), std::mem::take(&mut site.refused));
            seen(node, applied, refused);
            match replacement {
                Some(new) => {
                    let old_id = node.outputs[0];
                    let (expected, found) = (old.ty(old_id), rewriter.new.ty(new));
                    if expected != found {
                        return Err(GraphError::Replacement {
                            pass: rewrite.name(),
                            value: old.value(old_id).name.clone(),
                            expected: expected.clone(),
                            found: found.clone(),
                        });
                    }
                    // The replaced node no longer reads its inputs.
                    for input in inputs {
                        rewriter.uses[input.index()] = rewriter.uses[input.index()].saturating_sub(1);
                    }
                    rewriter.settle(old_id, new, &readers);
                }
                None => {
                    rewriter.new.node(node.name.clone(), node.op.clone(), &inputs)?;
                    let outputs = rewriter.new.nodes.last().map(|node| node.outputs.clone()).unwrap_or_default();
                    for (&old_id, new) in node.outputs.iter().zip(outputs) {
                        rewriter.settle(old_id, new, &readers);
                    }
                }
            }
        }
        for (name, id) in old.outputs() {
            let new = rewriter.place(*id, &readers)?;
            rewriter.new.output(name.clone(), new);
        }
        rewriter.new.prune();
        rewriter.new.verify(rewrite.name())?;
        Ok(rewriter.new)
    }

    /// Notes that `new` stands for `old`, with all of its readers.
    fn settle(&mut self, old: ValueId, new: ValueId, readers: &[usize]) {
        self.moved[old.index()] = Some(new);
        self.uses.resize(self.new.values().len(), 0);
        self.uses[new.index()] += readers[old.index()];
    }

    fn place(&mut self, old: ValueId, readers: &[usize]) -> Result<ValueId, GraphError> {
        if let Some(new) = self.moved[old.index()] {
            return Ok(new);
        }
        let value = self.old.value(old);
        let Origin::Constant(tensor) = &value.origin else {
            return Err(GraphError::UnknownValue { node: value.name.clone() });
        };
        let new = self.new.constant(value.name.clone(), tensor.clone());
        self.settle(old, new, readers);
        Ok(new)
    }
}
