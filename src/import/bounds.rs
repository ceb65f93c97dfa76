//! Bounds for what a file asks for: sizes of tensors, axes, and memory taken while a graph is built.

use std::cell::Cell;

use super::refusal::{Wrong, invalid, unsupported};
use crate::graph::{Graph, ValueId};
use crate::ops::Op;

/// Axes of a tensor.
const MOST_AXES: usize = 64;

/// Letters of a name.
const MOST_LETTERS: usize = 1 << 10;

/// Elements of a tensor that is known while the graph is built.
const MOST_KNOWN: usize = 1 << 28;

/// Elements of a tensor that is computed at run time: more than any device holds, and few enough that numbers of bytes and sizes
/// of windows around them are no overflow.
const MOST_COMPUTED: usize = 1 << 36;

/// Memory that any model may take for what is computed at import. Models that bring many elements may take several times as
/// much; a file of a few bytes must not fill the memory.
const LEAST_ROOM: usize = 1 << 29;

/// Number of elements, if it stays within a bound also where an axis without elements counts as one.
fn counted(shape: &[usize], most: usize) -> Result<usize, String> {
    let within = |product: usize, &size: &usize| product.checked_mul(size.max(1)).filter(|&product| product <= most);
    match shape.iter().try_fold(1, within) {
        _ if shape.len() > MOST_AXES => Err(format!("a tensor of {} axes ({MOST_AXES} at most)", shape.len())),
        Some(_) => Ok(shape.iter().product()),
        None => Err(format!("a tensor of the shape {shape:?} is too large (2^{} elements at most)", most.ilog2())),
    }
}

/// Number of elements of a tensor that is known while the graph is built.
pub(super) fn elements(shape: &[usize]) -> Result<usize, String> {
    counted(shape, MOST_KNOWN)
}

/// Number of elements of a tensor that is computed at run time.
pub(super) fn computed_elements(shape: &[usize]) -> Result<usize, String> {
    counted(shape, MOST_COMPUTED)
}

/// Adds a node, unless a result of it is empty or larger than anything can hold.
pub(super) fn node(graph: &mut Graph, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, Wrong> {
    let first = graph.node(name, op, inputs)?;
    let outputs = graph.nodes().last().map(|node| node.outputs.as_slice()).unwrap_or_default();
    for &output in outputs {
        if computed_elements(&graph.ty(output).shape)? == 0 {
            return unsupported(format!("a result of the shape {}, which has no elements", graph.ty(output).shape));
        }
    }
    Ok(first)
}

/// A name as nodes of a graph and reports bear it, of which there are several for each in the file: cut if it is long.
pub(super) fn label(name: &str) -> String {
    match name.char_indices().nth(MOST_LETTERS) {
        Some((end, _)) => format!("{}..", &name[..end]),
        None => name.to_string(),
    }
}

/// An axis counted from the end when it is negative.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize, Wrong> {
    let counted = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    match counted.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank) {
        Some(axis) => Ok(axis),
        None => invalid(format!("axis {axis} of {rank} axes")),
    }
}

/// Different axes, counted from the end where they are negative.
pub(super) fn axes_of(axes: &[i64], rank: usize) -> Result<Vec<usize>, Wrong> {
    if axes.len() > MOST_AXES {
        return invalid(format!("{} axes are named ({MOST_AXES} at most)", axes.len()));
    }
    let mut found = Vec::with_capacity(axes.len());
    for &axis in axes {
        let place = axis_of(axis, rank)?;
        if found.contains(&place) {
            return invalid(format!("axis {axis} of {rank} axes is named twice"));
        }
        found.push(place);
    }
    Ok(found)
}

/// Bytes that may still be taken for what is computed while a graph is built.
#[derive(Debug)]
pub(super) struct Room(Cell<usize>);

impl Room {
    /// For a model that brings so many bytes of tensors.
    pub fn beside(stored: usize) -> Room {
        Room(Cell::new(LEAST_ROOM.saturating_add(stored.saturating_mul(16))))
    }

    /// The number of elements of a tensor that is about to be made, if there is room for it.
    pub fn ask(&self, shape: &[usize]) -> Result<usize, String> {
        let count = elements(shape)?;
        // What is an integer or in double precision has eight bytes.
        if count * 8 > self.0.get() { Err(Room::none(shape)) } else { Ok(count) }
    }

    /// Takes room for a tensor.
    pub fn spend(&self, shape: &[usize], size: usize) -> Result<(), String> {
        let left = self.0.get().checked_sub(elements(shape)? * size).ok_or_else(|| Room::none(shape))?;
        self.0.set(left);
        Ok(())
    }

    fn none(shape: &[usize]) -> String {
        format!(
            "a tensor of the shape {shape:?} would be computed at import, and all such together take too much memory; make \
             the model's inputs smaller, or have it hold this tensor"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Pad, PadMode, Resize, ResizeMode};
    use crate::tensor::TensorType;

    #[test]
    fn sizes_that_overflow_or_fill_the_memory_are_refused() {
        assert_eq!(elements(&[3, 0, 5]), Ok(0));
        assert_eq!(elements(&[]), Ok(1));
        for shape in [&[1 << 29][..], &[1 << 40, 1 << 40], &[0, 1 << 60], &[1 << 60, 0, 1 << 60], &[1; 65]] {
            assert!(elements(shape).is_err(), "{shape:?}");
        }
        assert!(computed_elements(&[1 << 36]).is_ok() && computed_elements(&[1 << 36, 2]).is_err());
    }

    #[test]
    fn nodes_of_any_size_are_no_overflow() {
        let mut graph = Graph::new();
        let mut x = graph.input("x", TensorType::f32([1, 8]));
        let grown = (0..9).find_map(|_| {
            let resize = Resize { factors: vec![1 << 16, 1], mode: ResizeMode::Nearest };
            match node(&mut graph, "r", resize, &[x]) {
                Ok(y) => x = y,
                Err(why) => return Some(why),
            }
            None
        });
        assert!(matches!(grown, Some(Wrong::Invalid(what)) if what.contains("too large")));
        let pad = Pad { pads: vec![(usize::MAX >> 2, 0), (1, 1)], mode: PadMode::Constant(0.0) };
        assert!(node(&mut graph, "p", pad, &[x]).is_err());
    }

    #[test]
    fn room_is_spent_once() {
        let room = Room::beside(0);
        assert!(room.ask(&[1 << 27]).is_err());
        for _ in 0..2 {
            assert_eq!(room.ask(&[1 << 25]), Ok(1 << 25));
            room.spend(&[1 << 25], 8).unwrap();
        }
        assert!(room.spend(&[1], 1).unwrap_err().contains("memory"));
        assert!(Room::beside(1 << 28).ask(&[1 << 28]).is_ok());
    }
}
