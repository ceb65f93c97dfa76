//! Normalisations: by statistics of a batch, of instances, groups and layers, and by norms.

use super::lower::{Call, Lower, Lowered, Value, Wrong, axes_of, axis_of, invalid, unsupported};
use super::tensor::Elem;
use crate::graph::ValueId;
use crate::ops::{BatchNorm, BinaryFn, Moments, Normalize, Reduce, ReduceFn, UnaryFn};

fn mean(lower: &mut Lower, call: &Call<'_>, x: ValueId, axes: &[usize]) -> Result<ValueId, Wrong> {
    lower.emit(call, Reduce { function: ReduceFn::Mean, axes: axes.to_vec(), keepdims: true }, &[x])
}

/// `BatchNormalization`, with given statistics or, in training mode, with those of the batch.
pub(super) fn batch_norm(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    if call.int("spatial", 1) == 0 {
        return unsupported("spatial = 0");
    }
    let further = (1..5).any(|output| call.wants_output(output));
    let training = if call.opset < 14 { further } else { call.int("training_mode", 0) != 0 };
    if further && !training {
        return invalid("further outputs, which there are in training mode only");
    }
    let input = call.input(0)?;
    let (rank, elem) = (lower.shape(input).len(), input.elem());
    let x = lower.place(call, input)?;
    let mut inputs = vec![lower.channels_last(call, x)?];
    for position in 1..5 {
        inputs.push(lower.place(call, call.input(position)?)?);
    }
    let axis = if rank < 3 { 1 } else { rank - 1 };
    let mut statistics = Vec::new();
    if training {
        let known = inputs.split_off(3);
        let own = lower.emit_all(call, Moments { axis }, &inputs[..1])?;
        let momentum = call.float("momentum", 0.9);
        for (known, &own) in known.into_iter().zip(&own) {
            let kept = lower.unary(call, UnaryFn::Affine { scale: momentum, offset: 0.0 }, known)?;
            let share = lower.unary(call, UnaryFn::Affine { scale: 1.0 - momentum, offset: 0.0 }, own)?;
            statistics.push(Value::Node(lower.binary(call, BinaryFn::Add, kept, share)?, elem));
        }
        // Older versions hand out the statistics of the batch as well.
        statistics.extend(own.iter().map(|&own| Value::Node(own, elem)));
        inputs.extend(own);
    }
    let y = lower.emit(call, BatchNorm { axis, epsilon: call.float("epsilon", 1e-5) }, &inputs)?;
    Ok([vec![Value::Node(lower.channels_first(call, y)?, elem)], statistics].concat())
}

/// `InstanceNormalization` and `GroupNormalization` (with a scale per channel since version 21, per group before).
pub(super) fn group_norm(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let shape = lower.shape(input);
    let rank = shape.len();
    if rank < 2 {
        return invalid(format!("an input of {rank} axes"));
    }
    let groups = if call.op() == "InstanceNormalization" { shape[1] as i64 } else { call.int("num_groups", 0) };
    let Some(groups) = usize::try_from(groups).ok().filter(|&g| g > 0 && shape[1].is_multiple_of(g)) else {
        return invalid(format!("{groups} groups of {} channels", shape[1]));
    };
    let each = shape[1] / groups;
    let of_channels = call.op() == "InstanceNormalization" || call.opset >= 21;
    let mut inputs = Vec::with_capacity(3);
    let x = lower.place(call, input)?;
    let x = lower.channels_last(call, x)?;
    let full = lower.graph.ty(x).shape.to_vec();
    let split = [&full[..rank - 1], &[groups, each]].concat();
    inputs.push(lower.reshape(call, x, &split)?);
    for position in 1..3 {
        let factors = lower.place(call, call.input(position)?)?;
        inputs.push(lower.reshape(call, factors, &[groups, if of_channels { each } else { 1 }])?);
    }
    let axes = (1..rank - 1).chain([rank]).collect();
    let y = lower.emit(call, Normalize { axes, epsilon: call.float("epsilon", 1e-5) }, &inputs)?;
    let y = lower.reshape(call, y, &full)?;
    Ok(vec![Value::Node(lower.channels_first(call, y)?, input.elem())])
}

/// `LayerNormalization`, with the mean and the inverse deviation as further outputs.
pub(super) fn layer_norm(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let rank = lower.shape(input).len();
    let epsilon = call.float("epsilon", 1e-5);
    let axes: Vec<usize> = (axis_of(call.int("axis", -1), rank)?..rank).collect();
    let x = lower.place(call, input)?;
    let scale = lower.place(call, call.input(1)?)?;
    let offset = match call.optional(2) {
        Some(offset) => lower.place(call, offset)?,
        None => lower.number(call, 0.0),
    };
    let y = lower.emit(call, Normalize { axes: axes.clone(), epsilon }, &[x, scale, offset])?;
    let mut outputs = vec![Value::Node(y, input.elem())];
    if call.wants_output(1) || call.wants_output(2) {
        let centre = mean(lower, call, x, &axes)?;
        let centred = lower.binary(call, BinaryFn::Sub, x, centre)?;
        let squares = lower.unary(call, UnaryFn::Square, centred)?;
        let variance = mean(lower, call, squares, &axes)?;
        let shifted = lower.unary(call, UnaryFn::Affine { scale: 1.0, offset: epsilon }, variance)?;
        let deviation = lower.unary(call, UnaryFn::Sqrt, shifted)?;
        let inverse = lower.unary(call, UnaryFn::Reciprocal, deviation)?;
        outputs.extend([Value::Node(centre, Elem::F32), Value::Node(inverse, Elem::F32)]);
    }
    Ok(outputs)
}

/// `RMSNormalization`: by the root of the mean square.
pub(super) fn rms_norm(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let rank = lower.shape(input).len();
    let axes: Vec<usize> = (axis_of(call.int("axis", -1), rank)?..rank).collect();
    let (x, scale) = (lower.place(call, input)?, lower.place(call, call.input(1)?)?);
    let squares = lower.unary(call, UnaryFn::Square, x)?;
    let squares = mean(lower, call, squares, &axes)?;
    let affine = UnaryFn::Affine { scale: 1.0, offset: call.float("epsilon", 1e-5) };
    let shifted = lower.unary(call, affine, squares)?;
    let root = lower.unary(call, UnaryFn::Sqrt, shifted)?;
    let unit = lower.binary(call, BinaryFn::Div, x, root)?;
    Ok(vec![Value::Node(lower.binary(call, BinaryFn::Mul, unit, scale)?, input.elem())])
}

/// `LpNormalization`: by the sum of magnitudes or the root of the sum of squares. Lines of zeros stay.
pub(super) fn lp_norm(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let axis = axis_of(call.int("axis", -1), lower.shape(input).len())?;
    let square = match call.int("p", 2) {
        1 => false,
        2 => true,
        p => return invalid(format!("p = {p} (1 and 2 there are)")),
    };
    let x = lower.place(call, input)?;
    let y = lower.along_axis(call, x, axis, |lower, x, axis| {
        let sizes = lower.unary(call, if square { UnaryFn::Square } else { UnaryFn::Abs }, x)?;
        let sum = lower.emit(call, Reduce { function: ReduceFn::Sum, axes: vec![axis], keepdims: true }, &[sizes])?;
        let norm = if square { lower.unary(call, UnaryFn::Sqrt, sum)? } else { sum };
        let zero = lower.number(call, 0.0);
        let nothing = lower.binary(call, BinaryFn::Equal, norm, zero)?;
        let divisor = lower.binary(call, BinaryFn::Add, norm, nothing)?;
        lower.binary(call, BinaryFn::Div, x, divisor)
    })?;
    Ok(vec![Value::Node(y, input.elem())])
}

/// `MeanVarianceNormalization`.
pub(super) fn mean_variance(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let rank = lower.shape(input).len();
    let mut axes = axes_of(&call.ints("axes").unwrap_or_else(|| vec![0, 2, 3]), rank)?;
    let x = lower.place(call, input)?;
    let twin = lower.twin(x);
    if twin.is_some() {
        axes.iter_mut().for_each(|axis| *axis = Lower::axis_in_twin(*axis, rank));
    }
    let (scale, offset) = (lower.number(call, 1.0), lower.number(call, 0.0));
    // ONNX adds 1e-9 to the deviation.
    let op = Normalize { axes, epsilon: 1e-18 };
    let y = lower.emit(call, op, &[twin.unwrap_or(x), scale, offset])?;
    let y = if twin.is_some() { lower.channels_first(call, y)? } else { y };
    Ok(vec![Value::Node(y, input.elem())])
}
