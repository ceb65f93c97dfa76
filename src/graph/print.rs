//! A graph as text: one line per input, constant and node.

use std::fmt;

use super::{Graph, Origin};

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.values.iter().enumerate() {
            match &value.origin {
                Origin::Input => writeln!(f, "%{index} = input `{}` {}", value.name, value.ty)?,
                Origin::Constant(_) => writeln!(f, "%{index} = constant `{}` {}", value.name, value.ty)?,
                Origin::Node { node, output: 0 } => {
                    let node = &self.nodes[*node];
                    let inputs: Vec<String> = node.inputs.iter().map(|id| format!("%{}", id.0)).collect();
                    writeln!(f, "%{index} = {}({}) `{}` {}", node.op, inputs.join(", "), node.name, value.ty)?;
                }
                Origin::Node { .. } => {}
            }
        }
        for (name, id) in &self.outputs {
            writeln!(f, "output `{name}` = %{}", id.0)?;
        }
        Ok(())
    }
}
