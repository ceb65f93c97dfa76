//! The summary as a table, in Keras's box characters.

use std::fmt::Write;

use super::{Row, Summary};
use crate::layers::Dims;

const TITLES: [&str; 7] = ["Layer (type)", "Output Shape", "Param #", "Kernel", "MACs", "Activation", "Connected to"];
/// Columns that are set against the right edge.
const RIGHT: [bool; 7] = [false, false, true, false, true, true, false];

type Cells = [Vec<String>; 7];

impl Summary {
    /// The table, the totals and the notes. Nested models are one row, or all of theirs.
    pub fn text(&self, expand_nested: bool) -> String {
        let mut rows = Vec::new();
        collect(&self.rows, 0, expand_nested, self.sequential, &mut rows);
        let columns = if self.sequential { 6 } else { 7 };
        let mut widths = TITLES.map(|title| title.chars().count());
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                let longest = cell.iter().map(|line| line.chars().count()).max().unwrap_or(0);
                *width = (*width).max(longest);
            }
        }
        let widths = &widths[..columns];
        let rule = |left: &str, line: &str, cross: &str, right: &str| {
            let parts: Vec<String> = widths.iter().map(|width| line.repeat(width + 2)).collect();
            format!("{left}{}{right}\n", parts.join(cross))
        };
        let titles: Cells = TITLES.map(|title| vec![title.to_string()]);
        let mut text = format!("Model: \"{}\" (batch {})\n", self.model, self.batch);
        text.push_str(&rule("┏", "━", "┳", "┓"));
        text.push_str(&lines(&titles, widths, "┃"));
        text.push_str(&rule("┡", "━", "╇", "┩"));
        for (position, row) in rows.iter().enumerate() {
            if position > 0 {
                text.push_str(&rule("├", "─", "┼", "┤"));
            }
            text.push_str(&lines(row, widths, "│"));
        }
        text.push_str(&rule("└", "─", "┴", "┘"));
        let fixed = self.params - self.trainable_params;
        let counts = [
            ("Total params", self.params),
            ("Trainable params", self.trainable_params),
            ("Non-trainable params", fixed),
        ];
        for (what, count) in counts {
            // Writing to a string cannot fail.
            let _ = writeln!(text, " {what}: {} ({})", thousands(count as u64), bytes(4 * count as u64));
        }
        let _ = writeln!(text, " Multiply-accumulates: {}", thousands(self.macs));
        let _ = writeln!(text, " Activations, inputs included: {}", bytes(self.activation_bytes));
        for note in &self.notes {
            let _ = writeln!(text, "\nNote on `{}`: {}\n  Way out: {}", note.layer, note.what, note.way_out);
        }
        text
    }
}

fn collect(rows: &[Row], depth: usize, expand: bool, sequential: bool, out: &mut Vec<Cells>) {
    for row in rows {
        if sequential && depth == 0 && row.class == "InputLayer" {
            continue;
        }
        let indent = "  ".repeat(depth);
        let shared = if row.calls > 1 { format!(", called {} times", row.calls) } else { String::new() };
        let connected = if row.connected_to.is_empty() { vec!["-".into()] } else { abridged(&row.connected_to) };
        let or_dash = |there: bool, text: String| if there { text } else { "-".into() };
        out.push([
            vec![format!("{indent}{} ({}){shared}", row.name, row.class)],
            vec![shape(&row.output_shape)],
            vec![thousands(row.params as u64)],
            if row.kernels.is_empty() { vec!["-".into()] } else { row.kernels.clone() },
            vec![or_dash(row.macs > 0, thousands(row.macs))],
            vec![bytes(row.activation_bytes)],
            connected,
        ]);
        if expand {
            collect(&row.nested, depth + 1, expand, false, out);
        }
    }
}

/// Call sites, two to a line.
fn abridged(sites: &[String]) -> Vec<String> {
    sites.chunks(2).map(|pair| pair.join(", ")).collect()
}

fn lines(cells: &[Vec<String>], widths: &[usize], edge: &str) -> String {
    let height = cells.iter().take(widths.len()).map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for line in 0..height {
        text.push_str(edge);
        for ((cell, width), right) in cells.iter().zip(widths).zip(RIGHT) {
            let content = cell.get(line).map_or("", String::as_str);
            let space = " ".repeat(width.saturating_sub(content.chars().count()));
            let padded = if right { format!(" {space}{content} ") } else { format!(" {content}{space} ") };
            text.push_str(&padded);
            text.push_str(edge);
        }
        text.push('\n');
    }
    text
}

/// A shape as Keras prints it: `(None, 3, 3, 16)`.
pub(super) fn shape(dims: &Dims) -> String {
    let sizes: Vec<String> = dims.iter().map(|size| size.map_or("None".into(), |size| size.to_string())).collect();
    format!("({})", sizes.join(", "))
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as Keras prints them, in units of 1024.
fn bytes(count: u64) -> String {
    let units = ["B", "KB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2} {}", units[unit])
}
