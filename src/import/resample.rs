//! Resampling along an axis as a product with a matrix of interpolation weights.

use super::bounds::node;
use super::refusal::Wrong;
use crate::graph::{Graph, ValueId};
use crate::ops::{Conv, Dim, Reshape, Transpose};
use crate::tensor::{Tensor, Window};

/// `x` times a matrix `[input, output]` along one axis of `x`.
pub(super) fn along(graph: &mut Graph, name: &str, x: ValueId, axis: usize, matrix: Tensor) -> Result<ValueId, Wrong> {
    let rank = graph.ty(x).shape.rank();
    let (input, output) = (matrix.shape()[0], matrix.shape()[1]);
    let matrix = graph.constant(name, matrix);
    let reshape = |graph: &mut Graph, x, sizes: &[usize]| {
        node(graph, name, Reshape { dims: sizes.iter().map(|&size| Dim::Size(size)).collect() }, &[x])
    };
    if rank == 1 {
        let x = reshape(graph, x, &[1, input])?;
        let y = node(graph, name, Conv::new(Window::unit(0), 1), &[x, matrix])?;
        return reshape(graph, y, &[output]);
    }
    let mut perm: Vec<usize> = (0..rank).collect();
    perm.swap(axis, rank - 1);
    let turn = |graph: &mut Graph, x| match axis == rank - 1 {
        true => Ok(x),
        false => node(graph, name, Transpose { perm: perm.clone() }, &[x]),
    };
    let turned = turn(graph, x)?;
    let y = node(graph, name, Conv::new(Window::unit(0), 1), &[turned, matrix])?;
    turn(graph, y)
}
