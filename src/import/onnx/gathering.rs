//! Ops that read or write elements by their positions.

use super::lower::{Call, Lower, Lowered, Value, Wrong, axis_of, invalid, unsupported};
use super::movement::{join, part, reshaped};
use super::tensor::{Elem, HostTensor, elements};
use super::windows::{pads, sizes};
use crate::graph::ValueId;
use crate::ops::{
    BinaryFn, Concat, Gather, Pad, PadMode, Reduce, ReduceFn, Resize, ResizeMode, Select, SliceAxis, UnaryFn,
};
use crate::tensor::Shape;

/// Positions up to which `f32` counts every whole number.
const MOST_POSITIONS: usize = 1 << 24;

/// Indices up to which slices are taken and put together, which other kernels can then look through.
const FEW: usize = 4;

/// `Gather`.
pub(super) fn gather(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (value, indices) = (call.input(0)?.clone(), call.input(1)?.clone());
    let shape = lower.shape(&value);
    let axis = axis_of(call.int("axis", 0), shape.len())?;
    let of_indices = lower.shape(&indices);
    let target: Vec<usize> = shape[..axis].iter().chain(&of_indices).chain(&shape[axis + 1..]).copied().collect();
    let size = shape[axis];
    if let Value::Host(known) = &indices {
        let at = in_range(known, size)?;
        if let Value::Host(tensor) = &value {
            let (outer, inner) = (elements(&shape[..axis])?, elements(&shape[axis + 1..])?);
            lower.room.ask(&target)?;
            let rows = (0..outer).flat_map(|row| at.iter().map(move |&index| row * size + index));
            let positions = rows.flat_map(|row| row * inner..(row + 1) * inner);
            return Ok(vec![Value::Host(tensor.take(target, positions)?)]);
        }
        if (1..=FEW).contains(&at.len()) {
            let ranges = at.iter().map(|&index| index as i64);
            let ranges = ranges.map(|index| SliceAxis { axis, start: index, end: Some(index + 1), step: 1 });
            let parts: Vec<Value> =
                ranges.map(|range| part(lower, call, &value, vec![range])).collect::<Result<_, _>>()?;
            let joined = join(lower, call, &parts, axis, value.elem())?;
            return reshaped(lower, call, &joined, &target);
        }
    }
    let (x, positions) = (lower.place(call, &value)?, lower.place(call, &indices)?);
    let id = if of_indices.len() == 1 {
        lower.along_axis(call, x, axis, |lower, x, axis| lower.emit(call, Gather { axis }, &[x, positions]))?
    } else {
        lower.emit(call, Gather { axis }, &[x, positions])?
    };
    Ok(vec![Value::Node(id, value.elem())])
}

/// Known indices of an axis, counted from its start.
fn in_range(indices: &HostTensor, size: usize) -> Result<Vec<usize>, Wrong> {
    let wrapped = |index: i64| if index < 0 { index.saturating_add(size as i64) } else { index };
    let place = |&index: &i64| match usize::try_from(wrapped(index)) {
        Ok(place) if place < size => Ok(place),
        _ => Err(Wrong::Invalid(format!("index {index} of an axis of {size}"))),
    };
    indices.to_i64()?.iter().map(place).collect()
}

/// Tuples of indices, along the last axis of their tensor, as positions in one long axis.
struct Tuples {
    /// Sizes of the axes that the tuples count.
    sizes: Vec<usize>,
    /// Elements to step over along them.
    strides: Vec<usize>,
    /// What is added to the position of each tuple, by its number.
    base: Box<dyn Fn(usize) -> usize>,
    /// Length of the long axis.
    length: usize,
}

impl Tuples {
    /// One position for each tuple. One that lies outside, known only when the graph runs, becomes a position outside of
    /// the long axis, so that it reads NaN.
    fn positions(&self, lower: &mut Lower, call: &Call<'_>, indices: &Value) -> Result<Value, Wrong> {
        let mut shape = lower.shape(indices);
        if shape.pop() != Some(self.sizes.len()) {
            return invalid(format!("tuples of {:?} for {} axes", lower.shape(indices), self.sizes.len()));
        }
        if let Value::Host(known) = indices {
            let all = known.to_i64()?;
            let count = lower.room.ask(&shape)?;
            let mut positions = Vec::with_capacity(count);
            for number in 0..count {
                let tuple = all.get(number * self.sizes.len()..).unwrap_or_default();
                let mut position = (self.base)(number) as i64;
                for ((&index, &size), &stride) in tuple.iter().zip(&self.sizes).zip(&self.strides) {
                    let counted = if index < 0 { index.saturating_add(size as i64) } else { index };
                    if !(0..size as i64).contains(&counted) {
                        return invalid(format!("index {index} of an axis of {size}"));
                    }
                    position += counted * stride as i64;
                }
                positions.push(position);
            }
            return Ok(Value::Host(HostTensor::ints(shape, Elem::I64, positions)));
        }
        if self.length > MOST_POSITIONS {
            return unsupported(format!("positions among {} elements (f32 counts to 2^24)", self.length));
        }
        let id = lower.place(call, indices)?;
        let mut vector = |of: &[usize]| lower.constant(call, &[of.len()], |i| of[i] as f32);
        let (sizes, strides) = (vector(&self.sizes)?, vector(&self.strides)?);
        let (zero, outside) = (lower.number(call, 0.0), lower.number(call, self.length as f32));
        let base = lower.constant(call, &shape, |i| (self.base)(i) as f32)?;
        let negative = lower.binary(call, BinaryFn::Less, id, zero)?;
        let shift = lower.binary(call, BinaryFn::Mul, negative, sizes)?;
        let counted = lower.binary(call, BinaryFn::Add, id, shift)?;
        let above = lower.binary(call, BinaryFn::GreaterEqual, counted, zero)?;
        let below = lower.binary(call, BinaryFn::Less, counted, sizes)?;
        let inside = lower.binary(call, BinaryFn::Mul, above, below)?;
        let steps = lower.binary(call, BinaryFn::Mul, counted, strides)?;
        let last = vec![shape.len()];
        let reduce = |function| Reduce { function, axes: last.clone(), keepdims: false };
        let inside = lower.emit(call, reduce(ReduceFn::Min), &[inside])?;
        let position = lower.emit(call, reduce(ReduceFn::Sum), &[steps])?;
        let position = lower.binary(call, BinaryFn::Add, position, base)?;
        Ok(Value::Node(lower.emit(call, Select, &[inside, position, outside])?, Elem::I64))
    }
}

/// Blocks of `inner` elements of `value`, by their positions, under another shape.
fn take(
    lower: &mut Lower,
    call: &Call<'_>,
    value: &Value,
    positions: &Value,
    inner: usize,
    target: &[usize],
) -> Lowered {
    if let (Value::Host(tensor), Value::Host(positions)) = (value, positions) {
        lower.room.ask(target)?;
        let rows = positions.to_i64()?;
        let places = rows.iter().flat_map(|&row| row as usize * inner..(row as usize + 1) * inner);
        return Ok(vec![Value::Host(tensor.take(target.to_vec(), places)?)]);
    }
    let (x, positions) = (lower.place(call, value)?, lower.place(call, positions)?);
    let length = lower.graph.ty(x).shape.elements() / inner.max(1);
    let blocks = lower.reshape(call, x, &[length, inner])?;
    let taken = lower.emit(call, Gather { axis: 0 }, &[blocks, positions])?;
    Ok(vec![Value::Node(lower.reshape(call, taken, target)?, value.elem())])
}

/// The tuples of one index each of `GatherElements` and `ScatterElements`.
fn along(shape: &[usize], axis: usize, of_indices: &[usize]) -> Result<Tuples, Wrong> {
    let fits = |i: usize| i == axis || of_indices[i] <= shape[i];
    if of_indices.len() != shape.len() || !(0..shape.len()).all(fits) {
        return invalid(format!("indices {of_indices:?} along axis {axis} of {shape:?}"));
    }
    let (strides, own) = (Shape::from(shape.to_vec()).strides(), Shape::from(of_indices.to_vec()).strides());
    elements(of_indices)?;
    let length = elements(shape)?;
    let others = (0..shape.len()).filter(|&other| other != axis);
    let steps: Vec<[usize; 3]> = others.map(|other| [own[other], of_indices[other], strides[other]]).collect();
    let base = move |i: usize| steps.iter().map(|[own, size, stride]| i / own % size * stride).sum();
    Ok(Tuples { sizes: vec![shape[axis]], strides: vec![strides[axis]], base: Box::new(base), length })
}

fn with_last_axis(lower: &mut Lower, call: &Call<'_>, indices: &Value) -> Result<Value, Wrong> {
    let shape = [&lower.shape(indices)[..], &[1]].concat();
    Ok(reshaped(lower, call, indices, &shape)?.remove(0))
}

/// `GatherElements`.
pub(super) fn gather_elements(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (value, indices) = (call.input(0)?.clone(), call.input(1)?.clone());
    let (shape, target) = (lower.shape(&value), lower.shape(&indices));
    let axis = axis_of(call.int("axis", 0), shape.len())?;
    let tuples = along(&shape, axis, &target)?;
    let indices = with_last_axis(lower, call, &indices)?;
    let positions = tuples.positions(lower, call, &indices)?;
    take(lower, call, &value, &positions, 1, &target)
}

/// The tuples of `GatherND` and `ScatterND` after `batch` common axes.
fn in_blocks(shape: &[usize], of_indices: &[usize], batch: usize) -> Result<(Tuples, usize), Wrong> {
    let Some(&length) = of_indices.last() else { return invalid("indices without axes") };
    let end = batch + length;
    if of_indices.len() <= batch || end > shape.len() || shape[..batch] != of_indices[..batch] {
        return invalid(format!("indices {of_indices:?} of {shape:?} with {batch} common axes"));
    }
    let inner = elements(&shape[end..])?;
    let strides = Shape::from(shape[..end].to_vec()).strides();
    let each = elements(&of_indices[batch..of_indices.len() - 1])?;
    let block = elements(&shape[batch..end])?;
    Ok((
        Tuples {
            sizes: shape[batch..end].to_vec(),
            strides: strides[batch..].to_vec(),
            base: Box::new(move |i| i / each.max(1) * block),
            length: elements(&shape[..end])?,
        },
        inner,
    ))
}

/// `GatherND`.
pub(super) fn gather_nd(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (value, indices) = (call.input(0)?.clone(), call.input(1)?.clone());
    let (shape, of_indices) = (lower.shape(&value), lower.shape(&indices));
    let Ok(batch) = usize::try_from(call.int("batch_dims", 0)) else { return invalid("negative batch_dims") };
    let (tuples, inner) = in_blocks(&shape, &of_indices, batch)?;
    let after = &shape[batch + tuples.sizes.len()..];
    let target = [&of_indices[..of_indices.len() - 1], after].concat();
    let positions = tuples.positions(lower, call, &indices)?;
    take(lower, call, &value, &positions, inner, &target)
}

/// `ScatterElements` (and `Scatter`, its older name) and `ScatterND`, with known indices.
pub(super) fn scatter(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (data, updates) = (call.input(0)?.clone(), call.input(2)?.clone());
    let Some(indices) = call.known(1)?.cloned() else { return invalid("no indices are given") };
    let shape = lower.shape(&data);
    let (tuples, inner, indices) = if call.op() == "ScatterND" {
        let (tuples, inner) = in_blocks(&shape, &indices.shape, 0)?;
        (tuples, inner, Value::Host(indices))
    } else {
        let axis = axis_of(call.int("axis", 0), shape.len())?;
        let tuples = along(&shape, axis, &indices.shape)?;
        (tuples, 1, with_last_axis(lower, call, &Value::Host(indices))?)
    };
    let Value::Host(places) = tuples.positions(lower, call, &indices)? else { return unsupported("open indices") };
    let places: Vec<usize> = places.to_i64()?.iter().map(|&place| place as usize).collect();
    if elements(&lower.shape(&updates))? != places.len() * inner {
        return invalid(format!("updates {:?} for {} places", lower.shape(&updates), places.len()));
    }
    if places.is_empty() {
        return Ok(vec![data]);
    }
    let function = match call.string("reduction", "none").as_str() {
        "none" => None,
        "add" => Some(BinaryFn::Add),
        "mul" => Some(BinaryFn::Mul),
        "max" => Some(BinaryFn::Max),
        "min" => Some(BinaryFn::Min),
        other => return invalid(format!("reduction {other}")),
    };
    let count = tuples.length;
    if count + places.len() > MOST_POSITIONS {
        return unsupported(format!("updates among {count} blocks (f32 counts to 2^24)"));
    }
    // Of several updates of one place each gets a round of its own; without a reduction the last one counts.
    let mut seen = vec![0; count];
    let rounds = places.iter().map(|&place| {
        seen[place] += usize::from(function.is_some());
        seen[place].saturating_sub(1)
    });
    let rounds: Vec<usize> = rounds.collect();
    let most = rounds.iter().max().map_or(0, |last| last + 1);
    if most > 64 {
        return unsupported(format!("{most} updates of one place (64 at most)"));
    }
    let (x, u) = (lower.place(call, &data)?, lower.place(call, &updates)?);
    let x = lower.reshape(call, x, &[count, inner])?;
    let u = lower.reshape(call, u, &[places.len(), inner])?;
    let both = lower.emit(call, Concat { axis: 0 }, &[x, u])?;
    let mut y = x;
    let mut source = vec![0; count];
    for round in 0..most {
        source.iter_mut().enumerate().for_each(|(place, source)| *source = place);
        for (update, &place) in places.iter().enumerate().filter(|&(update, _)| rounds[update] == round) {
            source[place] = count + update;
        }
        let from = lower.constant(call, &[count], |place| source[place] as f32)?;
        let updated = lower.emit(call, Gather { axis: 0 }, &[both, from])?;
        y = match function {
            None => updated,
            Some(function) => {
                let changed = lower.constant(call, &[count, 1], |place| f32::from(source[place] >= count))?;
                let joined = lower.binary(call, function, y, updated)?;
                lower.emit(call, Select, &[changed, joined, y])?
            }
        };
    }
    Ok(vec![Value::Node(lower.reshape(call, y, &shape)?, data.elem())])
}

/// `MaxUnpool`. Known positions are written; those that a `MaxPool` finds lie within its windows, so that each element of a
/// window is the value spread over it where its own position is the one that was found.
pub(super) fn max_unpool(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (value, indices) = (call.input(0)?.clone(), call.input(1)?.clone());
    let shape = lower.shape(&value);
    let spatial = shape.len().saturating_sub(2);
    let (kernel, strides) = (sizes(call, "kernel_shape", spatial, 1)?, sizes(call, "strides", spatial, 1)?);
    let pads = pads(call, spatial)?;
    let mut full = shape[..shape.len().min(2)].to_vec();
    for axis in 0..spatial {
        let end = (shape[axis + 2].saturating_sub(1)) * strides[axis] + kernel[axis];
        full.push(end.saturating_sub(pads[axis].0 + pads[axis].1));
    }
    let count = elements(&full)?;
    if count > MOST_POSITIONS || count == 0 {
        return unsupported(format!("positions among {count} elements (f32 counts to 2^24)"));
    }
    let x = lower.place(call, &value)?;
    let y = if let Value::Host(known) = &indices {
        let places = in_range(known, count)?;
        let mut from = vec![0.0; count];
        for (element, place) in places.into_iter().enumerate() {
            from[place] = element as f32 + 1.0;
        }
        let from = lower.constant(call, &[count], |i| from[i])?;
        let zero = lower.number(call, 0.0);
        let flat = lower.reshape(call, x, &[elements(&shape)?])?;
        let all = lower.emit(call, Concat { axis: 0 }, &[zero, flat])?;
        let y = lower.emit(call, Gather { axis: 0 }, &[all, from])?;
        lower.reshape(call, y, &full)?
    } else {
        if kernel != strides || pads.iter().any(|&around| around != (0, 0)) {
            return unsupported("windows that overlap or padding, with positions that are computed at run time");
        }
        let factors: Vec<usize> = [1, 1].into_iter().chain(strides).collect();
        let spread = |lower: &mut Lower, id: ValueId| {
            lower.emit(call, Resize { factors: factors.clone(), mode: ResizeMode::Nearest }, &[id])
        };
        let found = lower.place(call, &indices)?;
        let (x, found) = (spread(lower, x)?, spread(lower, found)?);
        let own = lower.constant(call, &full, |i| i as f32)?;
        let here = lower.binary(call, BinaryFn::Equal, found, own)?;
        let zero = lower.number(call, 0.0);
        lower.emit(call, Select, &[here, x, zero])?
    };
    let Some(wanted) = call.known(2)? else { return Ok(vec![Value::Node(y, value.elem())]) };
    let wanted = super::movement::sizes_of(&wanted.to_i64()?)?;
    if wanted.len() != full.len() || wanted.iter().zip(&full).any(|(wanted, own)| wanted < own) {
        return unsupported(format!("an output_shape of {wanted:?} where the windows cover {full:?}"));
    }
    let pads = wanted.iter().zip(&full).map(|(wanted, own)| (0, wanted - own)).collect();
    let y = lower.emit(call, Pad { pads, mode: PadMode::Constant(0.0) }, &[y])?;
    Ok(vec![Value::Node(y, value.elem())])
}

/// `OneHot`.
pub(super) fn one_hot(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let indices = call.input(0)?.clone();
    let (Some(depth), Some(values)) = (call.known(1)?, call.known(2)?) else {
        return invalid("depth and values are needed");
    };
    let (&[off, on], Some(depth)) = (&values.to_f64()[..], depth.first()) else {
        return invalid("depth and two values are needed");
    };
    let shape = lower.shape(&indices);
    let (depth, rank) = (depth.max(0.0) as usize, shape.len());
    let axis = axis_of(call.int("axis", -1), rank + 1)?;
    let mut target = shape.clone();
    target.insert(axis, depth);
    let count = elements(&target)?;
    if let Value::Host(indices) = &indices {
        lower.room.ask(&target)?;
        let inner = elements(&shape[axis..])?;
        let at = indices.to_f64();
        let wrapped = |index: f64| if index < 0.0 { index + depth as f64 } else { index };
        let element = |i: usize| {
            let (inside, position) = (i % inner.max(1), i / inner.max(1) % depth.max(1));
            let outer = i / inner.max(1) / depth.max(1);
            if at.get(outer * inner + inside).is_some_and(|&index| wrapped(index) == position as f64) {
                on
            } else {
                off
            }
        };
        return Ok(vec![Value::Host(HostTensor::from_f64(target, values.elem, (0..count).map(element).collect())?)]);
    }
    let mut opened = shape;
    opened.insert(axis, 1);
    let id = lower.place(call, &indices)?;
    let id = lower.reshape(call, id, &opened)?;
    let zero = lower.number(call, 0.0);
    let negative = lower.binary(call, BinaryFn::Less, id, zero)?;
    let shift = lower.unary(call, UnaryFn::Affine { scale: depth as f32, offset: 0.0 }, negative)?;
    let id = lower.binary(call, BinaryFn::Add, id, shift)?;
    let mut along = vec![1; rank + 1];
    along[axis] = depth;
    let numbers = lower.constant(call, &along, |i| i as f32)?;
    let hit = lower.binary(call, BinaryFn::Equal, id, numbers)?;
    let (on, off) = (lower.number(call, on as f32), lower.number(call, off as f32));
    Ok(vec![Value::Node(lower.emit(call, Select, &[hit, on, off])?, values.elem)])
}
