//! The summary as a Mermaid or Graphviz diagram.

use super::text::shape;
use super::{Row, Summary};

impl Summary {
    /// A Mermaid flowchart: a box per layer, an arrow per connection.
    pub fn mermaid(&self) -> String {
        let mut text = String::from("flowchart TD\n");
        for (i, row) in self.rows.iter().enumerate() {
            let label = label(row, "<br/>").replace('"', "'");
            text.push_str(&format!("    n{i}[\"{label}\"]\n"));
        }
        for (from, to) in self.arrows() {
            text.push_str(&format!("    n{from} --> n{to}\n"));
        }
        text
    }

    /// A Graphviz digraph: a box per layer, an arrow per connection.
    pub fn dot(&self) -> String {
        let mut text = format!("digraph \"{}\" {{\n    node [shape=box];\n", self.model.replace('"', "'"));
        for (i, row) in self.rows.iter().enumerate() {
            text.push_str(&format!("    n{i} [label=\"{}\"];\n", label(row, "\\n").replace('"', "'")));
        }
        for (from, to) in self.arrows() {
            text.push_str(&format!("    n{from} -> n{to};\n"));
        }
        text.push_str("}\n");
        text
    }

    /// Positions of rows that are connected, each pair once.
    fn arrows(&self) -> Vec<(usize, usize)> {
        let mut arrows = Vec::new();
        for (to, row) in self.rows.iter().enumerate() {
            for site in &row.connected_to {
                let name = site.split('[').next().unwrap_or_default();
                let from = self.rows.iter().position(|row| row.name == name);
                arrows.extend(from.map(|from| (from, to)).filter(|arrow| !arrows.contains(arrow)));
            }
        }
        arrows
    }
}

fn label(row: &Row, end: &str) -> String {
    let mut lines = vec![format!("{} ({})", row.name, row.class), shape(&row.output_shape)];
    lines.extend(row.kernels.iter().cloned());
    lines.join(end)
}
