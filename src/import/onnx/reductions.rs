//! Matrix products and reductions.

use super::elementwise::chain;
use super::lower::{Call, Lower, Lowered, Value, Wrong, axes_of, axis_of, invalid, unsupported};
use super::tensor::{HostTensor, broadcast_positions, elements};
use crate::graph::ValueId;
use crate::ops::{BinaryFn, Conv, MatMul, Pad, PadMode, Reduce, ReduceFn, Slice, Softmax, SoftmaxKind, UnaryFn};
use crate::tensor::Window;

/// A product with known weights `[k, n]`, which is a convolution without spatial axes; of computed operands otherwise.
fn product(lower: &mut Lower, call: &Call<'_>, a: ValueId, b: ValueId, known: bool) -> Result<ValueId, Wrong> {
    if known && lower.graph.ty(b).shape.rank() == 2 && lower.graph.ty(a).shape.rank() >= 2 {
        return lower.emit(call, Conv::new(Window::unit(0), 1), &[a, b]);
    }
    lower.emit(call, MatMul { transpose_a: false, transpose_b: false }, &[a, b])
}

/// `MatMul`, with NumPy's rule for vectors.
pub(super) fn matmul(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let (mut a_shape, mut b_shape) = (lower.shape(a), lower.shape(b));
    let (a_rank, b_rank) = (a_shape.len(), b_shape.len());
    if a_rank == 0 || b_rank == 0 {
        return invalid("a scalar operand");
    }
    if a_rank == 1 {
        a_shape.insert(0, 1);
    }
    if b_rank == 1 {
        b_shape.push(1);
    }
    let known = matches!(b, Value::Host(_));
    let (x, w) = (lower.place(call, a)?, lower.place(call, b)?);
    let (x, w) = (lower.reshape(call, x, &a_shape)?, lower.reshape(call, w, &b_shape)?);
    let y = product(lower, call, x, w, known)?;
    let mut shape = lower.graph.ty(y).shape.to_vec();
    if b_rank == 1 {
        shape.pop();
    }
    if a_rank == 1 {
        shape.remove(shape.len() - if b_rank == 1 { 1 } else { 2 });
    }
    Ok(vec![Value::Node(lower.reshape(call, y, &shape)?, a.elem())])
}

/// `Gemm`: `alpha * a b + beta * c`.
pub(super) fn gemm(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (a, b) = (call.input(0)?, call.input(1)?);
    if lower.shape(a).len() != 2 || lower.shape(b).len() != 2 {
        return invalid("operands of other than two axes");
    }
    let known = matches!(b, Value::Host(_));
    let (mut x, mut w) = (lower.place(call, a)?, lower.place(call, b)?);
    if call.int("transA", 0) != 0 {
        x = lower.transpose(call, x, vec![1, 0])?;
    }
    if call.int("transB", 0) != 0 {
        w = lower.transpose(call, w, vec![1, 0])?;
    }
    let mut y = product(lower, call, x, w, known)?;
    let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
    if alpha != 1.0 {
        y = lower.unary(call, UnaryFn::Affine { scale: alpha, offset: 0.0 }, y)?;
    }
    if let Some(c) = call.optional(2) {
        let mut c = lower.place(call, c)?;
        if beta != 1.0 {
            c = lower.unary(call, UnaryFn::Affine { scale: beta, offset: 0.0 }, c)?;
        }
        y = lower.binary(call, BinaryFn::Add, y, c)?;
    }
    Ok(vec![Value::Node(y, a.elem())])
}

/// What an op does before, while and after it reduces.
fn reduction(op: &str) -> Option<(Vec<UnaryFn>, ReduceFn, Vec<UnaryFn>)> {
    Some(match op {
        "ReduceSum" => (vec![], ReduceFn::Sum, vec![]),
        "ReduceMean" => (vec![], ReduceFn::Mean, vec![]),
        "ReduceMax" => (vec![], ReduceFn::Max, vec![]),
        "ReduceMin" => (vec![], ReduceFn::Min, vec![]),
        "ReduceL1" => (vec![UnaryFn::Abs], ReduceFn::Sum, vec![]),
        "ReduceL2" => (vec![UnaryFn::Square], ReduceFn::Sum, vec![UnaryFn::Sqrt]),
        "ReduceSumSquare" => (vec![UnaryFn::Square], ReduceFn::Sum, vec![]),
        "ReduceLogSum" => (vec![], ReduceFn::Sum, vec![UnaryFn::Log]),
        _ => return None,
    })
}

/// The reductions: axes are an attribute in older versions and an input since (`ReduceSum` 13, the others 18).
pub(super) fn reduce(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?.clone();
    let shape = lower.shape(&input);
    let axes = call.ints_or_input("axes", 1)?.unwrap_or_default();
    let axes = if axes.is_empty() {
        if call.int("noop_with_empty_axes", 0) != 0 { vec![] } else { (0..shape.len()).collect() }
    } else {
        axes_of(&axes, shape.len())?
    };
    let keepdims = call.int("keepdims", 1) != 0;
    if let Value::Host(tensor) = &input
        && let Some(known) = reduce_on_host(call, tensor, &axes, keepdims)?
    {
        return Ok(vec![Value::Host(known)]);
    }
    let id = lower.place(call, &input)?;
    if call.op() == "ReduceProd" {
        return Ok(vec![Value::Node(product_over(lower, call, id, &axes, keepdims)?, input.elem())]);
    }
    if call.op() == "ReduceLogSumExp" {
        return Ok(vec![Value::Node(log_sum_exp(lower, call, id, axes, keepdims)?, input.elem())]);
    }
    let Some((before, function, after)) = reduction(call.op()) else {
        return unsupported(format!("{} at run time", call.op()));
    };
    let id = chain(lower, call, id, &before)?;
    let id = reduce_over(lower, call, id, function, axes, keepdims)?;
    let id = chain(lower, call, id, &after)?;
    Ok(vec![Value::Node(id, input.elem())])
}

/// Reduces in the order of axes that a value was computed in, where the result has one order only, or all axes.
fn reduce_over(
    lower: &mut Lower,
    call: &Call<'_>,
    id: ValueId,
    function: ReduceFn,
    axes: Vec<usize>,
    keepdims: bool,
) -> Result<ValueId, Wrong> {
    if axes.is_empty() {
        return Ok(id);
    }
    let rank = lower.graph.ty(id).shape.rank();
    let pixels = axes.len() == rank.saturating_sub(2) && !axes.contains(&0) && !axes.contains(&1);
    match lower.twin(id) {
        Some(twin) if keepdims || pixels => {
            let axes = axes.into_iter().map(|axis| Lower::axis_in_twin(axis, rank)).collect();
            let twin = lower.emit(call, Reduce { function, axes, keepdims }, &[twin])?;
            if keepdims { lower.channels_first(call, twin) } else { Ok(twin) }
        }
        _ => lower.emit(call, Reduce { function, axes, keepdims }, &[id]),
    }
}

/// The product over axes: halves of an axis are multiplied until one element is left.
fn product_over(
    lower: &mut Lower,
    call: &Call<'_>,
    x: ValueId,
    axes: &[usize],
    keepdims: bool,
) -> Result<ValueId, Wrong> {
    let mut y = x;
    for &axis in axes {
        loop {
            let shape = lower.graph.ty(y).shape.clone();
            let (size, half) = (shape[axis], shape[axis].div_ceil(2));
            if size < 2 {
                break;
            }
            if size % 2 != 0 {
                let mut pads = vec![(0, 0); shape.rank()];
                pads[axis] = (0, 1);
                y = lower.emit(call, Pad { pads, mode: PadMode::Constant(1.0) }, &[y])?;
            }
            let first = lower.emit(call, Slice::range(axis, 0, Some(half as i64)), &[y])?;
            let second = lower.emit(call, Slice::range(axis, half as i64, None), &[y])?;
            y = lower.binary(call, BinaryFn::Mul, first, second)?;
        }
    }
    without_axes(lower, call, y, axes, keepdims)
}

/// Drops axes of one element unless they are kept.
fn without_axes(
    lower: &mut Lower,
    call: &Call<'_>,
    y: ValueId,
    axes: &[usize],
    keepdims: bool,
) -> Result<ValueId, Wrong> {
    let shape = lower.graph.ty(y).shape.to_vec();
    let rest: Vec<usize> = (0..shape.len()).filter(|axis| keepdims || !axes.contains(axis)).map(|a| shape[a]).collect();
    lower.reshape(call, y, &rest)
}

/// `m + log(sum(exp(x - m)))` with the largest element `m`.
fn log_sum_exp(
    lower: &mut Lower,
    call: &Call<'_>,
    x: ValueId,
    axes: Vec<usize>,
    keepdims: bool,
) -> Result<ValueId, Wrong> {
    let largest = lower.emit(call, Reduce { function: ReduceFn::Max, axes: axes.clone(), keepdims: true }, &[x])?;
    let shifted = lower.binary(call, BinaryFn::Sub, x, largest)?;
    let powers = lower.unary(call, UnaryFn::Exp, shifted)?;
    let sum = lower.emit(call, Reduce { function: ReduceFn::Sum, axes: axes.clone(), keepdims: true }, &[powers])?;
    let log = lower.unary(call, UnaryFn::Log, sum)?;
    let y = lower.binary(call, BinaryFn::Add, log, largest)?;
    without_axes(lower, call, y, &axes, keepdims)
}

/// Reduces known numbers in double precision.
fn reduce_on_host(
    call: &Call<'_>,
    tensor: &HostTensor,
    axes: &[usize],
    keepdims: bool,
) -> Result<Option<HostTensor>, Wrong> {
    let step: fn(f64, f64) -> f64 = match call.op() {
        "ReduceSum" | "ReduceMean" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" | "ReduceLogSum"
        | "ReduceLogSumExp" => |a, b| a + b,
        "ReduceProd" => |a, b| a * b,
        "ReduceMax" => |a, b| if b > a || b.is_nan() { b } else { a },
        "ReduceMin" => |a, b| if b < a || b.is_nan() { b } else { a },
        _ => return Ok(None),
    };
    let shape = &tensor.shape;
    let full: Vec<usize> = (0..shape.len()).map(|axis| if axes.contains(&axis) { 1 } else { shape[axis] }).collect();
    let start = match call.op() {
        "ReduceProd" => 1.0,
        "ReduceMax" => f64::NEG_INFINITY,
        "ReduceMin" => f64::INFINITY,
        _ => 0.0,
    };
    let count = elements(&full)?;
    let mut sums = vec![start; count];
    let places = broadcast_positions(&full, shape)?;
    for (x, place) in tensor.to_f64().into_iter().zip(places) {
        let x = match call.op() {
            "ReduceL1" => x.abs(),
            "ReduceL2" | "ReduceSumSquare" => x * x,
            "ReduceLogSumExp" => x.exp(),
            _ => x,
        };
        sums[place] = step(sums[place], x);
    }
    let length = tensor.len() as f64 / count.max(1) as f64;
    for sum in &mut sums {
        *sum = match call.op() {
            "ReduceMean" => *sum / length,
            "ReduceL2" => sum.sqrt(),
            "ReduceLogSum" | "ReduceLogSumExp" => sum.ln(),
            _ => *sum,
        };
    }
    if !tensor.elem.is_float() && sums.iter().any(|sum| !sum.is_finite()) {
        return unsupported("the largest of no integers");
    }
    let rest = (0..shape.len()).filter(|axis| keepdims || !axes.contains(axis)).map(|axis| full[axis]).collect();
    Ok(Some(HostTensor::from_f64(rest, tensor.elem, sums)?))
}

/// `Softmax`, `LogSoftmax` (over all axes from `axis` on, before version 13).
pub(super) fn softmax(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let shape = lower.shape(input);
    let kind = if call.op() == "Softmax" { SoftmaxKind::Softmax } else { SoftmaxKind::LogSoftmax };
    let axis = axis_of(call.int("axis", if call.opset < 13 { 1 } else { -1 }), shape.len())?;
    let id = lower.place(call, input)?;
    let id = if call.opset < 13 && axis + 1 != shape.len() {
        let flat = lower.reshape(call, id, &[elements(&shape[..axis])?, elements(&shape[axis..])?])?;
        let soft = lower.emit(call, Softmax { kind, axis: 1 }, &[flat])?;
        lower.reshape(call, soft, &shape)?
    } else {
        lower.along_axis(call, id, axis, |lower, id, axis| lower.emit(call, Softmax { kind, axis }, &[id]))?
    };
    Ok(vec![Value::Node(id, input.elem())])
}
