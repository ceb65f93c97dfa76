//! Pruning and checking of a graph.

use std::collections::HashSet;

use super::{Graph, Node, Origin, Value, ValueId};
use crate::error::GraphError;

impl Graph {
    /// Removes what no output needs.
    ///
    /// Value ids change. Inputs stay even when nothing reads them: they are part of the graph's signature.
    pub(super) fn prune(&mut self) {
        let mut fresh = Graph::default();
        let mut moved: Vec<Option<ValueId>> = vec![None; self.values.len()];
        for &id in &self.inputs {
            let new = fresh.add_value(self.value(id).clone());
            fresh.inputs.push(new);
            moved[id.0] = Some(new);
        }
        let place = |id: ValueId, fresh: &mut Graph, moved: &mut Vec<Option<ValueId>>| match moved[id.0] {
            Some(new) => new,
            None => {
                let new = fresh.add_value(self.values[id.0].clone());
                moved[id.0] = Some(new);
                new
            }
        };
        for position in self.needed() {
            let old = &self.nodes[position];
            let inputs = old.inputs.iter().map(|&id| place(id, &mut fresh, &mut moved)).collect();
            let node = fresh.nodes.len();
            let mut outputs = Vec::with_capacity(old.outputs.len());
            for (output, &id) in old.outputs.iter().enumerate() {
                let Value { name, ty, .. } = self.values[id.0].clone();
                let new = fresh.add_value(Value { name, ty, origin: Origin::Node { node, output } });
                moved[id.0] = Some(new);
                outputs.push(new);
            }
            fresh.nodes.push(Node { name: old.name.clone(), op: old.op.clone(), inputs, outputs });
        }
        for (name, id) in &self.outputs {
            let new = place(*id, &mut fresh, &mut moved);
            fresh.outputs.push((name.clone(), new));
        }
        *self = fresh;
    }

    /// Positions of the nodes that the outputs need. Their order stays: who builds a graph knows when a value is wanted, and a
    /// backward pass that computes values again relies on it.
    fn needed(&self) -> Vec<usize> {
        let mut wanted = vec![false; self.values.len()];
        self.outputs.iter().for_each(|(_, id)| wanted[id.0] = true);
        let mut needed = Vec::with_capacity(self.nodes.len());
        for (position, node) in self.nodes.iter().enumerate().rev() {
            if node.outputs.iter().any(|id| wanted[id.0]) {
                node.inputs.iter().for_each(|id| wanted[id.0] = true);
                needed.push(position);
            }
        }
        needed.reverse();
        needed
    }

    /// Checks that all outputs are values of this graph.
    ///
    /// # Errors
    /// [`GraphError::UnknownValue`] with the name of an output that is none.
    pub fn check_outputs(&self) -> Result<(), GraphError> {
        match self.outputs.iter().find(|(_, id)| id.index() >= self.values.len()) {
            Some((name, _)) => Err(GraphError::UnknownValue { node: name.clone() }),
            None => Ok(()),
        }
    }

    /// Checks that inputs and outputs can be told apart by their names, and that there are outputs at all.
    ///
    /// # Errors
    /// [`GraphError::SameName`] and [`GraphError::NoOutputs`].
    pub fn check_names(&self) -> Result<(), GraphError> {
        let inputs = self.inputs.iter().map(|&id| ("input", &self.value(id).name));
        let outputs = self.outputs.iter().map(|(name, _)| ("output", name));
        let mut seen = HashSet::new();
        match inputs.chain(outputs).find(|&port| !seen.insert(port)) {
            Some((kind, name)) => Err(GraphError::SameName { kind, name: name.clone() }),
            None if self.outputs.is_empty() => Err(GraphError::NoOutputs),
            None => Ok(()),
        }
    }

    /// Checks that every shape follows from the shape rules, and every reader comes after what it reads.
    ///
    /// # Errors
    /// [`GraphError::Verify`], naming the pass that ran last.
    pub fn verify(&self, pass: &str) -> Result<(), GraphError> {
        let wrong = |what: String| Err(GraphError::Verify { pass: pass.into(), what });
        for (position, node) in self.nodes.iter().enumerate() {
            for &id in &node.inputs {
                if let Origin::Node { node: producer, .. } = self.value(id).origin
                    && producer >= position
                {
                    return wrong(format!("`{}` comes before what it reads", node.name));
                }
            }
            match node.op.spec().infer(&self.input_types(node)) {
                Ok(inferred) if inferred == self.output_types(node) => {}
                Ok(_) => return wrong(format!("the stored shapes of `{}` are not those of its shape rule", node.name)),
                Err(why) => return wrong(format!("`{}`: {why}", node.name)),
            }
        }
        Ok(())
    }
}
