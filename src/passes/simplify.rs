//! Nodes that change nothing, and chains of reshapes and transposes that amount to less.

use crate::error::GraphError;
use crate::graph::{Rewrite, Site, ValueId};
use crate::ops::{Conv, Dim, Op, Reshape, Transpose, UnaryFn};
use crate::tensor::{AxisWindow, Padding, Shape, Window};

/// Drops identities, merges chains, and turns transposes that only move axes of size 1 into reshapes.
pub(super) struct Simplify;

impl Rewrite for Simplify {
    fn name(&self) -> &'static str {
        "simplify"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        let Some(&input) = site.inputs.first() else { return Ok(None) };
        let from = site.graph().ty(input).shape.clone();
        if let Some(what) = identity(&site.node.op, &from, site.inputs.len()) {
            site.applied.push(format!("{what} dropped"));
            return Ok(Some(input));
        }
        match &site.node.op {
            Op::Reshape(reshape) => merge_reshapes(site, reshape.clone(), input),
            Op::Transpose(transpose) => merge_transposes(site, transpose.clone(), input, &from),
            Op::Conv(conv) => drop_idle_strides(site, conv.clone()),
            _ => Ok(None),
        }
    }
}

/// What a node is when it leaves its input as it was.
fn identity(op: &Op, input: &Shape, inputs: usize) -> Option<&'static str> {
    let nothing = match op {
        Op::Reshape(reshape) => reshape.target(input).is_ok_and(|target| target == *input),
        Op::Transpose(transpose) => transpose.perm.iter().copied().eq(0..input.rank()),
        Op::Concat(_) => inputs == 1,
        Op::Slice(slice) => slice.resolve(input).is_ok_and(|(ranges, shape)| {
            shape == *input && ranges.iter().all(|&(start, step)| start == 0 && step == 1)
        }),
        Op::Pad(pad) => pad.pads.iter().all(|&pads| pads == (0, 0)),
        Op::Resize(resize) => resize.factors.iter().all(|&factor| factor == 1),
        Op::Reduce(reduce) => reduce.axes.is_empty(),
        Op::Unary(unary) => matches!(unary.function, UnaryFn::Affine { scale: 1.0, offset: 0.0 }),
        _ => false,
    };
    nothing.then(|| op.spec().name())
}

fn sizes(shape: &Shape) -> Reshape {
    Reshape { dims: shape.iter().map(|&size| Dim::Size(size)).collect() }
}

fn merge_reshapes(site: &mut Site<'_>, outer: Reshape, input: ValueId) -> Result<Option<ValueId>, GraphError> {
    let wanted = |op: &Op| matches!(op, Op::Reshape(_)).then_some(());
    let Some(((), sources)) = site.producer(input, wanted) else { return Ok(None) };
    let target = outer
        .target(&site.graph().ty(input).shape)
        .map_err(|source| GraphError::Node { node: site.node.name.clone(), source })?;
    site.applied.push("two reshapes in a row made one".into());
    site.emit(sizes(&target), &sources).map(Some)
}

fn merge_transposes(
    site: &mut Site<'_>,
    outer: Transpose,
    input: ValueId,
    from: &Shape,
) -> Result<Option<ValueId>, GraphError> {
    let wanted = |op: &Op| match op {
        Op::Transpose(inner) => Some(inner.perm.clone()),
        _ => None,
    };
    if let Some((inner, sources)) = site.producer(input, wanted) {
        let perm: Vec<usize> = outer.perm.iter().map(|&axis| inner[axis]).collect();
        site.applied.push("two transposes in a row made one".into());
        return site.emit(Transpose { perm }, &sources).map(Some);
    }
    let long = |axis: &usize| from[*axis] != 1;
    if outer.perm.iter().copied().filter(long).is_sorted() {
        let target: Shape = outer.perm.iter().map(|&axis| from[axis]).collect();
        site.applied.push("a transpose of axes of size 1 made a reshape".into());
        return site.emit(sizes(&target), &[input]).map(Some);
    }
    Ok(None)
}

/// A window that covers its axis exactly never takes a step, whatever its stride; with stride 1 it is the same step, and the
/// same kernel, as its siblings.
fn drop_idle_strides(site: &mut Site<'_>, conv: Conv) -> Result<Option<ValueId>, GraphError> {
    let types: Vec<_> = site.inputs.iter().map(|&id| site.graph().ty(id).clone()).collect();
    let axes = conv.site(&types).map_err(|source| GraphError::Node { node: site.node.name.clone(), source })?.axes;
    let idle = |axis: &AxisWindow| axis.stride > 1 && axis.input + axis.before + axis.after == axis.extent();
    if !axes.iter().any(idle) {
        return Ok(None);
    }
    let window = Window {
        stride: axes.iter().map(|axis| if idle(axis) { 1 } else { axis.stride }).collect(),
        padding: Padding::Explicit(axes.iter().map(|axis| (axis.before, axis.after)).collect()),
        ..conv.window.clone()
    };
    site.applied.push("a stride that is never taken dropped".into());
    let inputs = site.inputs.clone();
    site.emit(Conv { window, ..conv }, &inputs).map(Some)
}
