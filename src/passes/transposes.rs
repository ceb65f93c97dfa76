//! Transposes move down through element-wise ops, towards the next transpose that undoes them.

use crate::error::GraphError;
use crate::graph::{Rewrite, Site, ValueId};
use crate::ops::{Concat, Dim, Op, Pad, Reshape, Transpose};

/// Puts transposes after the op that follows them.
pub(super) struct SinkTransposes;

impl Rewrite for SinkTransposes {
    fn name(&self) -> &'static str {
        "sink_transposes"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        match site.node.op.clone() {
            Op::Unary(op) => sink(site, 1, |_, sources, _| Ok((op.clone().into(), sources))),
            Op::BatchNorm(op) => sink(site, 1, |_, mut sources, perm| {
                let axis = perm[op.axis];
                sources.truncate(1);
                Ok((crate::ops::BatchNorm { axis, ..op.clone() }.into(), sources))
            }),
            Op::Pad(op) => sink(site, 1, |_, sources, perm| {
                let mut pads = op.pads.clone();
                for (axis, &from) in perm.iter().enumerate() {
                    pads[from] = op.pads[axis];
                }
                Ok((Pad { pads, mode: op.mode }.into(), sources))
            }),
            Op::Concat(op) => {
                let count = site.inputs.len();
                sink(site, count, |_, sources, perm| Ok((Concat { axis: perm[op.axis] }.into(), sources)))
            }
            Op::Binary(op) => sink_binary(site, &op.into()),
            _ => Ok(None),
        }
    }
}

/// Source and permutation of a transpose that nothing else reads.
fn transpose_of(site: &Site<'_>, value: ValueId) -> Option<(ValueId, Vec<usize>)> {
    let wanted = |op: &Op| match op {
        Op::Transpose(transpose) => Some(transpose.perm.clone()),
        _ => None,
    };
    let (perm, sources) = site.producer(value, wanted)?;
    (site.uses(value) == 1).then(|| Some((*sources.first()?, perm)))?
}

/// Rebuilds the node on the sources of its first `count` inputs, all transposed the same way, and transposes the result.
fn sink(
    site: &mut Site<'_>,
    count: usize,
    rebuild: impl FnOnce(&mut Site<'_>, Vec<ValueId>, &[usize]) -> Result<(Op, Vec<ValueId>), GraphError>,
) -> Result<Option<ValueId>, GraphError> {
    let transposed: Option<Vec<_>> = site.inputs[..count].iter().map(|&id| transpose_of(site, id)).collect();
    let Some(transposed) = transposed else { return Ok(None) };
    let perm = transposed[0].1.clone();
    if transposed.iter().any(|(_, other)| *other != perm) {
        return Ok(None);
    }
    let sources = transposed.into_iter().map(|(source, _)| source).collect();
    let further = site.inputs[count..].to_vec();
    let (op, mut inputs) = rebuild(site, sources, &perm)?;
    inputs.extend(further);
    site.applied.push(format!("a transpose moved below {}", site.node.op));
    let value = site.emit(op, &inputs)?;
    site.emit(Transpose { perm }, &[value]).map(Some)
}

fn sink_binary(site: &mut Site<'_>, op: &Op) -> Result<Option<ValueId>, GraphError> {
    let (a, b) = (site.inputs[0], site.inputs[1]);
    match (transpose_of(site, a), transpose_of(site, b)) {
        (Some((_, p)), Some((_, q))) if p == q && site.graph().ty(a) == site.graph().ty(b) => {
            sink(site, 2, |_, sources, _| Ok((op.clone(), sources)))
        }
        (Some((source, perm)), None) => sink_beside_constant(site, op, source, &perm, b, false),
        (None, Some((source, perm))) => sink_beside_constant(site, op, source, &perm, a, true),
        _ => Ok(None),
    }
}

/// One operand is transposed, the other is a constant, which is transposed back instead.
fn sink_beside_constant(
    site: &mut Site<'_>,
    op: &Op,
    source: ValueId,
    perm: &[usize],
    constant: ValueId,
    constant_first: bool,
) -> Result<Option<ValueId>, GraphError> {
    let shape = site.graph().ty(constant).shape.clone();
    let Some(missing) = perm.len().checked_sub(shape.rank()) else { return Ok(None) };
    if site.graph().as_constant(constant).is_none() {
        return Ok(None);
    }
    let dims = std::iter::repeat_n(1, missing).chain(shape.iter().copied()).map(Dim::Size).collect();
    let mut back = vec![0; perm.len()];
    for (axis, &from) in perm.iter().enumerate() {
        back[from] = axis;
    }
    let full = site.emit(Reshape { dims }, &[constant])?;
    let turned = site.emit(Transpose { perm: back }, &[full])?;
    site.applied.push(format!("a transpose moved below {}", site.node.op));
    let operands = if constant_first { [turned, source] } else { [source, turned] };
    let value = site.emit(op.clone(), &operands)?;
    site.emit(Transpose { perm: perm.to_vec() }, &[value]).map(Some)
}
