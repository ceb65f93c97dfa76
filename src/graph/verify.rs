//! Pruning, ordering and checking of a graph.

use super::{Graph, Node, Origin, Value, ValueId};
use crate::error::GraphError;

impl Graph {
    /// Removes what no output needs, and orders nodes so that inputs come before their readers.
    ///
    /// Value ids change. Inputs stay even when nothing reads them: they are part of the graph's signature.
    pub(super) fn prune(&mut self) -> Result<(), String> {
        let order = self.needed_order()?;
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
        for position in order {
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
        Ok(())
    }

    /// Positions of the nodes that the outputs need, inputs first, otherwise in their present order.
    fn needed_order(&self) -> Result<Vec<usize>, String> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.nodes.len()];
        let mut order = Vec::with_capacity(self.nodes.len());
        let producer = |id: ValueId| match self.values[id.0].origin {
            Origin::Node { node, .. } => Some(node),
            _ => None,
        };
        let mut roots: Vec<usize> = self.outputs.iter().filter_map(|(_, id)| producer(*id)).collect();
        roots.sort_unstable();
        for root in roots {
            // An explicit stack: a deep network must not exhaust the thread's own.
            let mut stack = vec![(root, 0)];
            while let Some((node, next)) = stack.pop() {
                if marks[node] == Mark::Done {
                    continue;
                }
                marks[node] = Mark::Open;
                match self.nodes[node].inputs.get(next) {
                    Some(&id) => {
                        stack.push((node, next + 1));
                        if let Some(before) = producer(id) {
                            match marks[before] {
                                Mark::New => stack.push((before, 0)),
                                Mark::Open => return Err(format!("`{}` reads itself", self.nodes[before].name)),
                                Mark::Done => {}
                            }
                        }
                    }
                    None => {
                        marks[node] = Mark::Done;
                        order.push(node);
                    }
                }
            }
        }
        Ok(order)
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
