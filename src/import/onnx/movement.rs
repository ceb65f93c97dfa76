//! Ops that move elements: shapes, order, parts and copies.

use std::sync::Arc;

use super::elementwise::broadcast;
use super::lower::{Call, Lower, Lowered, Value, Wrong, axes_of, axis_of, invalid, unsupported};
use super::tensor::{Elem, HostTensor, elements};
use crate::graph::ValueId;
use crate::ops::{Concat, Dim, Expand, Op, Pad, PadMode, Slice, SliceAxis};
use crate::tensor::Shape;

/// The same elements under another shape.
pub(super) fn reshaped(lower: &mut Lower, call: &Call<'_>, value: &Value, shape: &[usize]) -> Lowered {
    if elements(shape)? != elements(&lower.shape(value))? {
        return invalid(format!("{:?} cannot become {shape:?}", lower.shape(value)));
    }
    Ok(vec![match value {
        Value::Host(tensor) => Value::Host(tensor.reshaped(shape.to_vec())?),
        Value::Node(id, elem) => Value::Node(lower.reshape(call, *id, shape)?, *elem),
    }])
}

/// `Reshape`.
pub(super) fn reshape(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?.clone();
    let from = lower.shape(&value);
    let Some(wanted) = call.ints_or_input("shape", 1)? else { return invalid("no shape is given") };
    let keep_zero = call.int("allowzero", 0) != 0;
    let mut shape = Vec::with_capacity(wanted.len());
    for (axis, &size) in wanted.iter().enumerate() {
        shape.push(match (size, from.get(axis)) {
            (-1, _) => 1,
            (0, Some(&own)) if !keep_zero => own,
            (0, None) if !keep_zero => return invalid(format!("axis {axis} of {from:?}")),
            (size, _) => usize::try_from(size).map_err(|_| Wrong::Invalid(format!("the shape {wanted:?}")))?,
        });
    }
    if let Some(open) = wanted.iter().position(|&size| size == -1) {
        let rest = elements(&shape)?;
        shape[open] = elements(&from)?.checked_div(rest).unwrap_or(0);
    }
    if let Value::Node(id, elem) = value
        && let Some(shuffled) = shuffle(lower, call, id, &shape)?
    {
        return Ok(vec![Value::Node(shuffled, elem)]);
    }
    reshaped(lower, call, &value, &shape)
}

/// A channel shuffle: groups of channels opened by a reshape, swapped with what is in them, and closed by this one. Where
/// the channels come last it needs no other axes to move.
fn shuffle(lower: &mut Lower, call: &Call<'_>, id: ValueId, shape: &[usize]) -> Result<Option<ValueId>, Wrong> {
    let graph = &lower.graph;
    let found = || {
        let swapped = graph.producer(id)?;
        let opened = graph.producer(*swapped.inputs.first()?)?;
        let (Op::Transpose(swap), Op::Reshape(_)) = (&swapped.op, &opened.op) else { return None };
        let twin = lower.twin(*opened.inputs.first()?)?;
        let own = graph.ty(*opened.inputs.first()?).shape.to_vec();
        let groups = graph.ty(*swapped.inputs.first()?).shape.to_vec();
        let rest = groups.len().checked_sub(3)?;
        let fits = own == shape && groups[0] == own[0] && groups[3..] == own[2..];
        let swaps = swap.perm.iter().copied().eq([0, 2, 1].into_iter().chain(3..3 + rest));
        (fits && swaps).then_some((twin, groups[1], groups[2]))
    };
    let Some((twin, groups, each)) = found() else { return Ok(None) };
    let full = graph.ty(twin).shape.to_vec();
    let last = full.len() - 1;
    let opened = lower.reshape(call, twin, &[&full[..last], &[groups, each]].concat())?;
    let perm = (0..last).chain([last + 1, last]).collect();
    let swapped = lower.transpose(call, opened, perm)?;
    let twin = lower.reshape(call, swapped, &full)?;
    lower.channels_first(call, twin).map(Some)
}

/// `Flatten`.
pub(super) fn flatten(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?.clone();
    let shape = lower.shape(&value);
    let axis = call.int("axis", 1);
    let axis = if axis == shape.len() as i64 { shape.len() } else { axis_of(axis, shape.len())? };
    let flat = [elements(&shape[..axis])?, elements(&shape[axis..])?];
    reshaped(lower, call, &value, &flat)
}

/// `Squeeze` and `Unsqueeze`: axes are an attribute before version 13, an input since.
pub(super) fn squeeze(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?.clone();
    let shape = lower.shape(&value);
    let axes = call.ints_or_input("axes", 1)?;
    let target = if call.op() == "Squeeze" {
        let axes = match axes {
            Some(axes) => axes_of(&axes, shape.len())?,
            None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        };
        (0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect()
    } else {
        let Some(axes) = axes else { return invalid("no axes are given") };
        let rank = shape.len() + axes.len();
        let axes = axes_of(&axes, rank)?;
        let mut rest = shape.iter().copied();
        (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { rest.next().unwrap_or(1) }).collect::<Vec<usize>>()
    };
    reshaped(lower, call, &value, &target)
}

/// `Transpose`.
pub(super) fn transpose(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?.clone();
    let shape = lower.shape(&value);
    let perm = match call.ints("perm") {
        Some(perm) => axes_of(&perm, shape.len())?,
        None => (0..shape.len()).rev().collect(),
    };
    if perm.len() != shape.len() || (0..shape.len()).any(|axis| !perm.contains(&axis)) {
        return invalid(format!("perm {perm:?} of {shape:?}"));
    }
    Ok(vec![match &value {
        Value::Host(tensor) => {
            let target: Vec<usize> = perm.iter().map(|&axis| shape[axis]).collect();
            let strides = Shape::from(shape).strides();
            let strides: Vec<usize> = perm.iter().map(|&axis| strides[axis]).collect();
            let positions = Shape::from(&target[..]).offsets(&strides);
            Value::Host(tensor.take(target, positions)?)
        }
        Value::Node(id, elem) => {
            // The transpose that exporters put at the border is the twin itself.
            let last: Vec<usize> = std::iter::once(0).chain(2..shape.len()).chain([1]).collect();
            let id = match lower.twin(*id) {
                Some(twin) if perm == last => twin,
                _ => lower.transpose(call, *id, perm)?,
            };
            Value::Node(id, *elem)
        }
    }])
}

/// `Concat`.
pub(super) fn concat(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let values = call.given();
    let Some(first) = values.first() else { return invalid("no inputs") };
    let (shape, elem) = (lower.shape(first), first.elem());
    let axis = axis_of(call.int("axis", 1), shape.len())?;
    join(lower, call, &values, axis, elem).map(|value| vec![value])
}

/// Values one after the other along an axis.
pub(super) fn join(
    lower: &mut Lower,
    call: &Call<'_>,
    values: &[Value],
    axis: usize,
    elem: Elem,
) -> Result<Value, Wrong> {
    let full: Vec<Value> = values.iter().filter(|value| !lower.shape(value).contains(&0)).cloned().collect();
    // Parts without elements add nothing, unless all are.
    let values = if full.is_empty() { values } else { &full };
    let known: Option<Vec<&HostTensor>> =
        values.iter().map(|v| if let Value::Host(tensor) = v { Some(tensor) } else { None }).collect();
    if let Some(tensors) = known {
        return Ok(Value::Host(host_concat(lower, &tensors, axis)?));
    }
    let ids: Vec<ValueId> = values.iter().map(|value| lower.place(call, value)).collect::<Result<_, _>>()?;
    let rank = lower.graph.ty(ids[0]).shape.rank();
    let same = ids.iter().all(|&id| lower.graph.ty(id).shape.rank() == rank);
    let id = if same && ids.iter().any(|&id| lower.twin(id).is_some()) {
        let twins: Vec<ValueId> = ids.iter().map(|&id| lower.channels_last(call, id)).collect::<Result<_, _>>()?;
        let twin = lower.emit(call, Concat { axis: Lower::axis_in_twin(axis, rank) }, &twins)?;
        lower.channels_first(call, twin)?
    } else {
        lower.emit(call, Concat { axis }, &ids)?
    };
    Ok(Value::Node(id, elem))
}

fn host_concat(lower: &Lower, tensors: &[&HostTensor], axis: usize) -> Result<HostTensor, Wrong> {
    let mut shape = tensors[0].shape.clone();
    let differs =
        |other: &[usize]| other.len() != shape.len() || (0..shape.len()).any(|a| a != axis && other[a] != shape[a]);
    if axis >= shape.len() || tensors.iter().any(|tensor| differs(&tensor.shape)) {
        return invalid("the inputs differ in another axis");
    }
    let sizes: Vec<usize> = tensors.iter().map(|tensor| tensor.shape[axis]).collect();
    shape[axis] = sizes.iter().sum();
    let (outer, inner) = (elements(&shape[..axis])?, elements(&shape[axis + 1..])?);
    let count = lower.room.ask(&shape)?;
    let floats = tensors.iter().any(|tensor| tensor.elem.is_float());
    let mut values = (Vec::new(), Vec::new());
    let parts: Vec<(Vec<f64>, Arc<Vec<i64>>)> = tensors
        .iter()
        .map(|tensor| match floats {
            true => (tensor.to_f64(), Arc::default()),
            false => (Vec::new(), tensor.to_i64().unwrap_or_default()),
        })
        .collect();
    for row in 0..if count == 0 { 0 } else { outer } {
        for ((doubles, ints), size) in parts.iter().zip(&sizes) {
            let range = row * size * inner..(row + 1) * size * inner;
            values.0.extend_from_slice(doubles.get(range.clone()).unwrap_or_default());
            values.1.extend_from_slice(ints.get(range).unwrap_or_default());
        }
    }
    let elem = tensors[0].elem;
    Ok(if floats { HostTensor::from_f64(shape, elem, values.0)? } else { HostTensor::ints(shape, elem, values.1) })
}

/// A part of a value: per entry axis, start, end (`None`: to the last, or first, element) and step.
pub(super) fn part(lower: &mut Lower, call: &Call<'_>, value: &Value, ranges: Vec<SliceAxis>) -> Result<Value, Wrong> {
    let empty = |range: &SliceAxis| match range.end {
        Some(end) if range.step > 0 => range.start >= end,
        Some(end) => range.start <= end,
        None => false,
    };
    let mut rest = lower.shape(value);
    if rest.contains(&0) || ranges.iter().any(empty) {
        // Axes that are cut to nothing, or had nothing: the others need not be counted.
        for range in ranges.iter().filter(|range| empty(range)) {
            rest[range.axis] = 0;
        }
        let nothing = HostTensor::from_f64(vec![0], value.elem(), vec![])?;
        return if rest.contains(&0) { Ok(Value::Host(nothing.reshaped(rest)?)) } else { unsupported("an empty part") };
    }
    match value {
        Value::Host(tensor) => {
            let slice = Slice { axes: ranges };
            let (resolved, shape) =
                slice.resolve(&Shape::from(tensor.shape.clone())).map_err(|e| Wrong::Invalid(e.to_string()))?;
            let own = Shape::from(tensor.shape.clone()).strides();
            let to = shape.strides();
            let positions = (0..shape.elements()).map(|i| {
                (0..shape.rank())
                    .map(|axis| {
                        let at = resolved[axis].0 + (i / to[axis] % shape[axis]) as i64 * resolved[axis].1;
                        at as usize * own[axis]
                    })
                    .sum()
            });
            Ok(Value::Host(tensor.take(shape.to_vec(), positions)?))
        }
        Value::Node(id, elem) => {
            let rank = lower.graph.ty(*id).shape.rank();
            let id = match lower.twin(*id) {
                Some(twin) => {
                    let axes = ranges
                        .into_iter()
                        .map(|range| SliceAxis { axis: Lower::axis_in_twin(range.axis, rank), ..range })
                        .collect();
                    let twin = lower.emit(call, Slice { axes }, &[twin])?;
                    lower.channels_first(call, twin)?
                }
                None => lower.emit(call, Slice { axes: ranges }, &[*id])?,
            };
            Ok(Value::Node(id, *elem))
        }
    }
}

/// `Slice`: attributes before version 10, inputs since.
pub(super) fn slice(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?.clone();
    let shape = lower.shape(&value);
    let (Some(starts), Some(ends)) = (call.ints_or_input("starts", 1)?, call.ints_or_input("ends", 2)?) else {
        return invalid("starts or ends are missing");
    };
    let axes = match call.ints_or_input("axes", 3)? {
        Some(axes) => axes_of(&axes, shape.len())?,
        None => (0..starts.len()).collect(),
    };
    let steps = call.ints_or_input("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&length| length != starts.len()) {
        return invalid("starts, ends, axes and steps differ in length");
    }
    let mut ranges = Vec::with_capacity(axes.len());
    for i in 0..axes.len() {
        let Some(size) = shape.get(axes[i]).map(|&size| size as i64) else { return invalid("more starts than axes") };
        let step = steps[i];
        if step == 0 {
            return invalid("a step of 0");
        }
        // Positions as ONNX clamps them: into the axis, and one before it for steps backwards.
        let count = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let start = count(starts[i]).clamp(low.max(0), high.max(0));
        let end = count(ends[i]).clamp(low, high);
        let end = if end < 0 { None } else { Some(end) };
        ranges.push(SliceAxis { axis: axes[i], start, end, step: step.clamp(-(1 << 31), 1 << 31) });
    }
    Ok(vec![part(lower, call, &value, ranges)?])
}

/// `Split`: equal parts, or sizes from an attribute (before version 13) or an input.
pub(super) fn split(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?.clone();
    let shape = lower.shape(&value);
    let axis = axis_of(call.int("axis", 0), shape.len())?;
    let count = call.node.output.len().max(1);
    let sizes = match call.ints_or_input("split", 1)? {
        Some(sizes) => sizes,
        None => {
            let each = shape[axis].div_ceil(count);
            (0..count).map(|i| each.min(shape[axis].saturating_sub(i * each)) as i64).collect()
        }
    };
    if sizes.len() != count
        || sizes.iter().any(|&size| size < 0)
        || sizes.iter().copied().fold(0, i64::saturating_add) != shape[axis] as i64
    {
        return invalid(format!("parts {sizes:?} of an axis of {}", shape[axis]));
    }
    let mut start = 0;
    sizes
        .into_iter()
        .map(|size| {
            let range = SliceAxis { axis, start, end: Some(start + size), step: 1 };
            start += size;
            part(lower, call, &value, vec![range])
        })
        .collect()
}

/// A value spread to a shape that it broadcasts to.
fn spread(lower: &mut Lower, call: &Call<'_>, value: &Value, target: Vec<usize>) -> Result<Value, Wrong> {
    let from = lower.shape(value);
    elements(&target)?;
    Ok(match value {
        Value::Host(tensor) => {
            lower.room.ask(&target)?;
            Value::Host(tensor.spread(&target)?)
        }
        Value::Node(id, elem) => {
            let mut full = vec![1; target.len().saturating_sub(from.len())];
            full.extend(&from);
            let id = lower.reshape(call, *id, &full)?;
            let dims = target.into_iter().map(Dim::Size).collect();
            Value::Node(lower.emit(call, Expand { dims }, &[id])?, *elem)
        }
    })
}

/// `Expand`.
pub(super) fn expand(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?.clone();
    let Some(wanted) = call.known(1)? else { return invalid("no shape is given") };
    let wanted = sizes_of(&wanted.to_i64()?)?;
    let target = broadcast(&lower.shape(&value), &wanted)?;
    Ok(vec![spread(lower, call, &value, target)?])
}

/// Sizes from integers.
pub(super) fn sizes_of(values: &[i64]) -> Result<Vec<usize>, Wrong> {
    values.iter().map(|&v| usize::try_from(v).map_err(|_| Wrong::Invalid(format!("the sizes {values:?}")))).collect()
}

/// `Tile`: an axis of its own for the copies, spread, and joined again.
pub(super) fn tile(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?.clone();
    let shape = lower.shape(&value);
    let Some(repeats) = call.known(1)? else { return invalid("no repeats are given") };
    let mut repeats = sizes_of(&repeats.to_i64()?)?;
    if call.opset < 6 {
        let axis = call.known(2)?.and_then(|axis| axis.to_i64().ok()?.first().copied()).unwrap_or(0);
        let (axis, count) = (axis_of(axis, shape.len())?, repeats.first().copied().unwrap_or(1));
        repeats = vec![1; shape.len()];
        repeats[axis] = count;
    }
    if repeats.len() != shape.len() {
        return invalid(format!("repeats {repeats:?} of {shape:?}"));
    }
    let (mut with_axes, mut spread_to, mut target) = (Vec::new(), Vec::new(), Vec::new());
    for (&size, &count) in shape.iter().zip(&repeats) {
        with_axes.extend([1, size]);
        spread_to.extend([count, size]);
        target.push(elements(&[size, count])?);
    }
    let mut opened = reshaped(lower, call, &value, &with_axes)?;
    let copies = spread(lower, call, &opened.remove(0), spread_to)?;
    reshaped(lower, call, &copies, &target)
}

/// `Pad`: attributes before version 11, inputs since; negative pads cut.
pub(super) fn pad(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?.clone();
    let rank = lower.shape(&value).len();
    let pads = match call.ints("paddings") {
        Some(pads) => Some(pads),
        None => call.ints_or_input("pads", 1)?,
    };
    let Some(pads) = pads else { return invalid("no pads are given") };
    let axes = match call.known(3)? {
        Some(axes) => axes_of(&axes.to_i64()?, rank)?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() || pads.iter().any(|pad| pad.unsigned_abs() > 1 << 24) {
        return invalid(format!("pads {pads:?} for {} axes", axes.len()));
    }
    let fill = match call.known(2)? {
        Some(fill) => fill.first().map_or(0.0, |fill| fill as f32),
        None => call.float("value", 0.0),
    };
    let mode = match call.string("mode", "constant").as_str() {
        "constant" => PadMode::Constant(fill),
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Edge,
        "wrap" => return wrap(lower, call, value, &axes, &pads),
        other => return unsupported(format!("mode {other}")),
    };
    let (mut around, mut cuts) = (vec![(0, 0); rank], Vec::new());
    for (i, &axis) in axes.iter().enumerate() {
        let (before, after) = (pads[i], pads[i + axes.len()]);
        around[axis] = (before.max(0) as usize, after.max(0) as usize);
        if before < 0 || after < 0 {
            let size = lower.shape(&value)[axis] as i64;
            cuts.push(SliceAxis { axis, start: (-before).max(0), end: Some(size + after.min(0)), step: 1 });
        }
    }
    let cut = if cuts.is_empty() { value } else { part(lower, call, &value, cuts)? };
    let id = lower.place(call, &cut)?;
    let id = match lower.twin(id) {
        Some(twin) => {
            let mut turned = around.clone();
            for (axis, &pads) in around.iter().enumerate() {
                turned[Lower::axis_in_twin(axis, rank)] = pads;
            }
            let twin = lower.emit(call, Pad { pads: turned, mode }, &[twin])?;
            lower.channels_first(call, twin)?
        }
        None => lower.emit(call, Pad { pads: around, mode }, &[id])?,
    };
    Ok(vec![Value::Node(id, cut.elem())])
}

/// `Pad` with the far end of each axis before it and the near one after it.
fn wrap(lower: &mut Lower, call: &Call<'_>, value: Value, axes: &[usize], pads: &[i64]) -> Lowered {
    let mut whole = value;
    for (i, &axis) in axes.iter().enumerate() {
        let (before, after, size) = (pads[i], pads[i + axes.len()], lower.shape(&whole)[axis] as i64);
        if !(0..=size).contains(&before) || !(0..=size).contains(&after) {
            return unsupported(format!("wrapping an axis of {size} by {before} and {after}"));
        }
        let mut parts = Vec::new();
        if before > 0 {
            let range = SliceAxis { axis, start: size - before, end: Some(size), step: 1 };
            parts.push(part(lower, call, &whole, vec![range])?);
        }
        parts.push(whole.clone());
        if after > 0 {
            parts.push(part(lower, call, &whole, vec![SliceAxis { axis, start: 0, end: Some(after), step: 1 }])?);
        }
        if parts.len() > 1 {
            whole = join(lower, call, &parts, axis, whole.elem())?;
        }
    }
    Ok(vec![whole])
}

/// `DepthToSpace` and `SpaceToDepth`.
pub(super) fn depth_to_space(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?.clone();
    let (&[n, c, h, w], Ok(b @ 1..=65536)) = (&lower.shape(&value)[..], usize::try_from(call.int("blocksize", 0)))
    else {
        return invalid("four axes and a blocksize are needed");
    };
    let square = b * b;
    let id = lower.place(call, &value)?;
    // Worked out with channels last, where most networks have them.
    let twin = lower.channels_last(call, id)?;
    let (opened, perm, target) = if call.op() == "SpaceToDepth" {
        if !h.is_multiple_of(b) || !w.is_multiple_of(b) {
            return invalid(format!("blocks of {b} in {h} x {w}"));
        }
        (vec![n, h / b, b, w / b, b, c], vec![0, 1, 3, 2, 4, 5], [n, h / b, w / b, c * square])
    } else {
        if !c.is_multiple_of(square) {
            return invalid(format!("{c} channels in blocks of {square}"));
        }
        let (depth, target) = (c / square, [n, h * b, w * b, c / square]);
        match call.string("mode", "DCR").as_str() {
            "CRD" => (vec![n, h, w, depth, b, b], vec![0, 1, 4, 2, 5, 3], target),
            _ => (vec![n, h, w, b, b, depth], vec![0, 1, 3, 2, 4, 5], target),
        }
    };
    let twin = lower.reshape(call, twin, &opened)?;
    let twin = lower.transpose(call, twin, perm)?;
    let twin = lower.reshape(call, twin, &target)?;
    Ok(vec![Value::Node(lower.channels_first(call, twin)?, value.elem())])
}
