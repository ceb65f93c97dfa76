//! Ops that move elements: shapes, parts, padding, repetition.

use super::build::{Known, Name, Target, identity, int, place_of, text};
use super::translate::Translator;
use crate::graph::Node;
use crate::ops::{Concat, Dim, Expand, Gather, Pad, PadMode, Reshape, Resize, ResizeMode, Slice};

pub(super) fn reshape(t: &mut Translator<'_>, node: &Node, op: &Reshape) -> Result<Known, String> {
    let x = t.input(node, 0)?;
    let sizes = t.sizes(node.outputs[0]);
    let known: Option<Vec<usize>> = sizes.iter().copied().collect();
    if let Some(shape) = known.filter(|_| t.build.tensor(x).is_some()) {
        return t.build.reshaped_constant(x, &shape);
    }
    let rank = t.build.rank(x);
    // An axis of open size is one of the input's, the one that is kept or has the same size, or what is left over.
    let target = |(axis, size): (usize, &Option<usize>)| {
        let is = |own: &usize| t.same_size((node.inputs[0], *own), (node.outputs[0], axis));
        match (size, op.dims.get(axis)) {
            (Some(size), _) => Target::Fixed(*size),
            (None, Some(&Dim::Keep(own))) => Target::Same(own),
            (None, _) => std::iter::once(axis).chain(0..rank).find(is).map_or(Target::Rest, Target::Same),
        }
    };
    let targets: Vec<Target> = sizes.iter().enumerate().map(target).collect();
    if targets.iter().filter(|target| **target == Target::Rest).count() > 1 {
        return Err("more than one axis of open size that no axis of the input has".into());
    }
    let source = t.build.plain(x)?;
    let y = t.build.reshape(source, &targets);
    let order = identity(sizes.len());
    Ok(t.build.value(sizes, order, y))
}

pub(super) fn gather(t: &mut Translator<'_>, node: &Node, op: &Gather) -> Result<Known, String> {
    let (x, positions) = (t.input(node, 0)?, t.input(node, 1)?);
    let (x, positions) = (t.build.plain(x)?, t.build.plain(positions)?);
    let positions = t.build.emit("Cast", &[positions], vec![int("to", 7)]);
    let y = t.build.emit("Gather", &[x, positions], vec![int("axis", op.axis as i64)]);
    let sizes = t.sizes(node.outputs[0]);
    let order = identity(sizes.len());
    Ok(t.build.value(sizes, order, y))
}

pub(super) fn concat(t: &mut Translator<'_>, node: &Node, op: &Concat) -> Result<Known, String> {
    let values: Vec<Known> =
        (0..node.inputs.len()).map(|position| t.input(node, position)).collect::<Result<_, _>>()?;
    let order = t.build.common(&values);
    let parts: Vec<Name> = values.iter().map(|&value| t.build.form(value, &order)).collect::<Result<_, _>>()?;
    let y = t.build.emit("Concat", &parts, vec![int("axis", place_of(op.axis, &order) as i64)]);
    Ok(t.output(node, order, y))
}

pub(super) fn slice(t: &mut Translator<'_>, node: &Node, op: &Slice) -> Result<Known, String> {
    let x = t.input(node, 0)?;
    let order = t.build.native(x);
    let source = t.build.form(x, &order)?;
    let end = |step: i64, end: Option<i64>| end.unwrap_or(if step > 0 { i64::MAX } else { i64::MIN });
    let lists = [
        op.axes.iter().map(|range| range.start).collect(),
        op.axes.iter().map(|range| end(range.step, range.end)).collect(),
        op.axes.iter().map(|range| place_of(range.axis, &order) as i64).collect(),
        op.axes.iter().map(|range| range.step).collect(),
    ];
    let lists = lists.map(|list: Vec<i64>| t.build.list(list));
    let y = t.build.emit("Slice", &[&[source], &lists[..]].concat(), vec![]);
    Ok(t.output(node, order, y))
}

pub(super) fn pad(t: &mut Translator<'_>, node: &Node, op: &Pad) -> Result<Known, String> {
    let x = t.input(node, 0)?;
    let order = t.build.native(x);
    let source = t.build.form(x, &order)?;
    let (before, after) = (order.iter().map(|&axis| op.pads[axis].0), order.iter().map(|&axis| op.pads[axis].1));
    let pads = t.build.list(before.chain(after).map(|pad| pad as i64).collect());
    let (mode, fill) = match op.mode {
        PadMode::Constant(value) => ("constant", Some(t.build.scalar(value))),
        PadMode::Reflect => ("reflect", None),
        PadMode::Edge => ("edge", None),
    };
    let inputs: Vec<Name> = [source, pads].into_iter().chain(fill).collect();
    let y = t.build.emit("Pad", &inputs, vec![text("mode", mode)]);
    Ok(t.output(node, order, y))
}

pub(super) fn resize(t: &mut Translator<'_>, node: &Node, op: &Resize) -> Result<Known, String> {
    let x = t.input(node, 0)?;
    let rank = t.build.rank(x);
    // Runtimes resample the last axes of four or five.
    let order = if rank >= 3 { super::build::channels_first(rank) } else { identity(rank) };
    let source = t.build.form(x, &order)?;
    let factors = order.iter().map(|&axis| op.factors[axis] as f32).collect();
    let factors = t.build.numbers(factors)?;
    let attributes = match op.mode {
        ResizeMode::Nearest => vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", "asymmetric"),
            text("nearest_mode", "floor"),
        ],
        ResizeMode::Linear => vec![text("mode", "linear"), text("coordinate_transformation_mode", "half_pixel")],
    };
    let y = t.build.emit("Resize", &[source, Name::NONE, factors], attributes);
    Ok(t.output(node, order, y))
}

/// A 1 in the shape that `Expand` takes keeps the size of the input's axis.
pub(super) fn expand(t: &mut Translator<'_>, node: &Node, op: &Expand) -> Result<Known, String> {
    let x = t.input(node, 0)?;
    let (sizes, own) = (t.sizes(node.outputs[0]), t.build.sizes(x).to_vec());
    let missing = sizes.len() - own.len();
    let order = if missing == 0 { t.build.native(x) } else { identity(sizes.len()) };
    let source = if missing == 0 { t.build.form(x, &order)? } else { t.build.plain(x)? };
    let mut parts = Vec::with_capacity(sizes.len());
    for &axis in &order {
        let kept = axis.checked_sub(missing).is_some_and(|from| own[from] == sizes[axis] && own[from] != Some(1));
        parts.push(match (sizes[axis], op.dims.get(axis)) {
            _ if kept => Ok(1),
            (Some(size), _) => Ok(size as i64),
            (None, Some(&Dim::Keep(from))) => Err(from),
            (None, _) => return Err(format!("axis {axis} is repeated to an open size")),
        });
    }
    let shape = match parts.iter().copied().collect::<Result<Vec<i64>, usize>>() {
        Ok(shape) => t.build.list(shape),
        Err(_) => {
            let plain = t.build.plain(x)?;
            let parts: Vec<Name> = parts
                .into_iter()
                .map(|part| match part {
                    Ok(size) => t.build.list(vec![size]),
                    Err(axis) => t.build.size(plain, axis),
                })
                .collect();
            t.build.emit("Concat", &parts, vec![int("axis", 0)])
        }
    };
    let y = t.build.emit("Expand", &[source, shape], vec![]);
    Ok(t.build.value(sizes, order, y))
}
