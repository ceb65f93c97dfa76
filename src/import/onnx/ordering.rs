//! Ops about the order of elements along an axis: positions of extremes, the largest few, running sums.

use super::lower::{Call, Lower, Lowered, Value, Wrong, axis_of, invalid, unsupported};
use super::resize::multiply;
use super::tensor::{Elem, HostTensor, elements};
use crate::graph::ValueId;
use crate::ops::{BinaryFn, Reduce, ReduceFn, Select, UnaryFn};

/// Products of pairs along an axis that are not worth more memory.
const MOST_PAIRS: usize = 1 << 24;

/// The numbers that `number` gives along one of `rank` axes.
fn numbers(
    lower: &mut Lower,
    call: &Call<'_>,
    rank: usize,
    axis: usize,
    size: usize,
    number: impl Fn(usize) -> f32,
) -> Result<ValueId, Wrong> {
    let mut sizes = vec![1; rank];
    sizes[axis] = size;
    lower.constant(call, &sizes, number)
}

fn reduced(
    lower: &mut Lower,
    call: &Call<'_>,
    function: ReduceFn,
    x: ValueId,
    axis: usize,
    keepdims: bool,
) -> Result<ValueId, Wrong> {
    lower.emit(call, Reduce { function, axes: vec![axis], keepdims }, &[x])
}

/// The position of the first or last extreme element along an axis, which stays with size 1. As in NumPy, NaN is extreme.
fn extreme(
    lower: &mut Lower,
    call: &Call<'_>,
    x: ValueId,
    axis: usize,
    function: ReduceFn,
    last: bool,
) -> Result<ValueId, Wrong> {
    let shape = lower.graph.ty(x).shape.clone();
    let size = shape[axis];
    if size > 1 << 24 {
        return unsupported(format!("positions along an axis of {size} elements (f32 counts to 2^24)"));
    }
    let value = reduced(lower, call, function, x, axis, true)?;
    let equal = lower.binary(call, BinaryFn::Equal, x, value)?;
    let nan = lower.unary(call, UnaryFn::IsNan, x)?;
    let chosen = lower.binary(call, BinaryFn::Max, equal, nan)?;
    // The chosen element with the largest number is the one that is sought; numbers fall where it is the first.
    let number = |i: usize| if last { i + 1 } else { size - i } as f32;
    let numbers = numbers(lower, call, shape.rank(), axis, size, number)?;
    let marked = lower.binary(call, BinaryFn::Mul, chosen, numbers)?;
    let largest = reduced(lower, call, ReduceFn::Max, marked, axis, true)?;
    let (scale, offset) = if last { (1.0, -1.0) } else { (-1.0, size as f32) };
    lower.unary(call, UnaryFn::Affine { scale, offset }, largest)
}

/// `ArgMax` and `ArgMin`.
pub(super) fn arg_extreme(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let mut shape = lower.shape(input);
    let axis = axis_of(call.int("axis", 0), shape.len())?;
    let function = if call.op() == "ArgMax" { ReduceFn::Max } else { ReduceFn::Min };
    let last = call.int("select_last_index", 0) != 0;
    let x = lower.place(call, input)?;
    let mut y = lower.along_axis(call, x, axis, |lower, x, axis| extreme(lower, call, x, axis, function, last))?;
    if call.int("keepdims", 1) == 0 {
        shape.remove(axis);
        y = lower.reshape(call, y, &shape)?;
    }
    Ok(vec![Value::Node(y, Elem::I64)])
}

/// `Hardmax`: 1 at the first largest element (of all axes from `axis` on, before version 13).
pub(super) fn hardmax(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let shape = lower.shape(input);
    let axis = axis_of(call.int("axis", if call.opset < 13 { 1 } else { -1 }), shape.len())?;
    let x = lower.place(call, input)?;
    let hard = |lower: &mut Lower, x: ValueId, axis: usize| {
        let shape = lower.graph.ty(x).shape.clone();
        let position = extreme(lower, call, x, axis, ReduceFn::Max, false)?;
        let numbers = numbers(lower, call, shape.rank(), axis, shape[axis], |i| i as f32)?;
        lower.binary(call, BinaryFn::Equal, numbers, position)
    };
    let y = if call.opset < 13 {
        let flat = lower.reshape(call, x, &[elements(&shape[..axis])?, elements(&shape[axis..])?])?;
        let y = hard(lower, flat, 1)?;
        lower.reshape(call, y, &shape)?
    } else {
        lower.along_axis(call, x, axis, hard)?
    };
    Ok(vec![Value::Node(y, input.elem())])
}

/// `TopK`. The place of an element is the number of those that come before it, which all pairs tell; the results are then
/// picked by place.
pub(super) fn top_k(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let shape = lower.shape(input);
    let rank = shape.len();
    let axis = axis_of(call.int("axis", -1), rank)?;
    let wanted = match call.known(1)? {
        Some(k) if call.opset >= 10 => k.to_i64()?.first().copied().unwrap_or(-1),
        _ => call.int("k", -1),
    };
    let size = shape[axis];
    let Some(k) = usize::try_from(wanted).ok().filter(|k| (1..=size).contains(k)) else {
        return invalid(format!("k = {wanted} of an axis of {size}"));
    };
    if elements(&shape)?.saturating_mul(size) > MOST_PAIRS {
        return unsupported(format!("{shape:?} along axis {axis}: more than 2^24 pairs of elements"));
    }
    let mut perm: Vec<usize> = (0..rank).collect();
    perm.swap(axis, rank - 1);
    let x = lower.place(call, input)?;
    let x = lower.transpose(call, x, perm.clone())?;
    let with = |tail: &[usize]| [&lower_dims(&shape, &perm)[..], tail].concat();
    let (own, others) = (lower.reshape(call, x, &with(&[size, 1]))?, lower.reshape(call, x, &with(&[1, size]))?);
    let before = if call.int("largest", 1) != 0 { BinaryFn::Greater } else { BinaryFn::Less };
    let ahead = lower.binary(call, before, others, own)?;
    let equal = lower.binary(call, BinaryFn::Equal, others, own)?;
    let earlier = lower.constant(call, &[size, size], |i| f32::from(u8::from(i % size < i / size)))?;
    let tied = lower.binary(call, BinaryFn::Mul, equal, earlier)?;
    let ahead = lower.binary(call, BinaryFn::Add, ahead, tied)?;
    let place = reduced(lower, call, ReduceFn::Sum, ahead, rank, true)?;
    let places = numbers(lower, call, rank + 1, rank, k, |i| i as f32)?;
    let chosen = lower.binary(call, BinaryFn::Equal, place, places)?;
    let zero = lower.number(call, 0.0);
    let values = lower.emit(call, Select, &[chosen, own, zero])?;
    let positions = numbers(lower, call, rank + 1, rank - 1, size, |i| i as f32)?;
    let positions = lower.binary(call, BinaryFn::Mul, chosen, positions)?;
    let mut outputs = Vec::with_capacity(2);
    for (marked, elem) in [(values, input.elem()), (positions, Elem::I64)] {
        let picked = reduced(lower, call, ReduceFn::Sum, marked, rank - 1, false)?;
        outputs.push(Value::Node(lower.transpose(call, picked, perm.clone())?, elem));
    }
    Ok(outputs)
}

/// The permuted axes without the last one.
fn lower_dims(shape: &[usize], perm: &[usize]) -> Vec<usize> {
    perm[..perm.len() - 1].iter().map(|&axis| shape[axis]).collect()
}

/// `CumSum`: a product with a triangle of ones.
pub(super) fn cumulative_sum(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let shape = lower.shape(input);
    let axis = call.known(1)?.and_then(HostTensor::first).unwrap_or(0.0);
    let axis = axis_of(axis as i64, shape.len())?;
    let size = shape[axis];
    if size > 1 << 12 {
        return unsupported(format!("sums along an axis of {size} elements (4096 at most)"));
    }
    let (exclusive, reverse) = (call.int("exclusive", 0) != 0, call.int("reverse", 0) != 0);
    let summed = |i: usize| {
        let (from, to) = if reverse { (i % size, i / size) } else { (i / size, i % size) };
        f32::from(u8::from(from < to || (from == to && !exclusive)))
    };
    let matrix = lower.tensor(&[size, size], summed)?;
    let x = lower.place(call, input)?;
    Ok(vec![Value::Node(multiply(lower, call, x, axis, matrix)?, input.elem())])
}
