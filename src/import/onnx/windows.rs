//! Ops of sliding windows: convolutions and pooling.

use super::lower::{Call, Lower, Lowered, Value, Wrong, invalid, unsupported};
use super::tensor::elements;
use crate::graph::ValueId;
use crate::ops::{BinaryFn, Conv, ConvTranspose, Epilogue, Pool, PoolKind, Reduce, ReduceFn, UnaryFn};
use crate::tensor::{Padding, Tensor, Window};

/// Numbers of an attribute, one for each axis.
pub(super) fn sizes(call: &Call<'_>, name: &str, spatial: usize, default: usize) -> Result<Vec<usize>, Wrong> {
    let Some(values) = call.ints(name) else { return Ok(vec![default; spatial]) };
    let sizes: Option<Vec<usize>> =
        values.iter().map(|&value| usize::try_from(value).ok().filter(|&size| size <= 1 << 24)).collect();
    match sizes.filter(|sizes| sizes.len() == spatial) {
        Some(sizes) => Ok(sizes),
        None => invalid(format!("{name} {values:?} for {spatial} spatial axes")),
    }
}

/// `pads` as pairs: all that come before, then all that come after.
pub(super) fn pads(call: &Call<'_>, spatial: usize) -> Result<Vec<(usize, usize)>, Wrong> {
    let flat = sizes(call, "pads", 2 * spatial, 0)?;
    Ok((0..spatial).map(|axis| (flat[axis], flat[axis + spatial])).collect())
}

fn window(call: &Call<'_>, spatial: usize) -> Result<Window, Wrong> {
    let padding = match call.string("auto_pad", "NOTSET").as_str() {
        "SAME_UPPER" => Padding::Same,
        "SAME_LOWER" => Padding::SameLower,
        "VALID" => Padding::Valid,
        "NOTSET" | "" => Padding::Explicit(pads(call, spatial)?),
        other => return invalid(format!("auto_pad {other}")),
    };
    Ok(Window {
        stride: sizes(call, "strides", spatial, 1)?,
        dilation: sizes(call, "dilations", spatial, 1)?,
        padding,
        ceil_mode: call.int("ceil_mode", 0) != 0,
    })
}

fn spatial_axes(shape: &[usize]) -> Result<usize, Wrong> {
    match shape.len() {
        rank @ 3..=5 => Ok(rank - 2),
        rank if rank > 5 => unsupported(format!("{} spatial axes (at most 3)", rank - 2)),
        rank => invalid(format!("an input of {rank} axes")),
    }
}

fn group_count(call: &Call<'_>) -> Result<usize, Wrong> {
    match usize::try_from(call.int("group", 1)) {
        Ok(groups @ 1..) if groups <= 1 << 24 => Ok(groups),
        _ => invalid(format!("group {}", call.int("group", 1))),
    }
}

/// Places input, weights `[a, b, k..]` as `[k.., b, a]`, and bias.
fn operands(lower: &mut Lower, call: &Call<'_>, spatial: usize) -> Result<Vec<ValueId>, Wrong> {
    let x = lower.place(call, call.input(0)?)?;
    let w = lower.place(call, call.input(1)?)?;
    if lower.graph.ty(w).shape.rank() != spatial + 2 {
        return invalid(format!("weights {} for {spatial} spatial axes", lower.graph.ty(w).shape));
    }
    let w = lower.transpose(call, w, (2..spatial + 2).chain([1, 0]).collect())?;
    let mut inputs = vec![lower.channels_last(call, x)?, w];
    if let Some(bias) = call.optional(2) {
        inputs.push(lower.place(call, bias)?);
    }
    Ok(inputs)
}

/// `Conv`.
pub(super) fn conv(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let spatial = spatial_axes(&lower.shape(call.input(0)?))?;
    let inputs = operands(lower, call, spatial)?;
    let mut conv = Conv::new(window(call, spatial)?, group_count(call)?);
    conv.epilogue.bias = inputs.len() > 2;
    let y = lower.emit(call, conv, &inputs)?;
    Ok(vec![Value::Node(lower.channels_first(call, y)?, call.input(0)?.elem())])
}

/// `ConvTranspose`. `output_shape` and `auto_pad` decide the pads: half before, and the odd one after (`SAME_UPPER` before
/// version 11 and `SAME_LOWER`: before).
pub(super) fn conv_transpose(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let shape = lower.shape(call.input(0)?);
    let spatial = spatial_axes(&shape)?;
    let inputs = operands(lower, call, spatial)?;
    let taps = lower.graph.ty(inputs[1]).shape.to_vec();
    let stride = sizes(call, "strides", spatial, 1)?;
    let dilation = sizes(call, "dilations", spatial, 1)?;
    let mut output_padding = sizes(call, "output_padding", spatial, 0)?;
    let auto_pad = call.string("auto_pad", "NOTSET");
    let wanted = match call.ints("output_shape") {
        Some(sizes) if sizes.len() == spatial || sizes.len() == spatial + 2 => {
            let sizes = &sizes[sizes.len() - spatial..];
            match sizes.iter().map(|&size| usize::try_from(size).ok()).collect::<Option<Vec<usize>>>() {
                Some(sizes) => Some(sizes),
                None => return invalid(format!("output_shape {sizes:?}")),
            }
        }
        Some(sizes) => return invalid(format!("output_shape {sizes:?} for {spatial} spatial axes")),
        None if auto_pad.starts_with("SAME") => Some((0..spatial).map(|axis| shape[axis + 2] * stride[axis]).collect()),
        None => None,
    };
    let mut around = if auto_pad == "VALID" { vec![(0, 0); spatial] } else { pads(call, spatial)? };
    if let Some(wanted) = wanted {
        for axis in 0..spatial {
            let input = shape[axis + 2].saturating_sub(1);
            let full = input * stride[axis] + dilation[axis] * taps[axis].saturating_sub(1) + 1 + output_padding[axis];
            let total = full.saturating_sub(wanted[axis]);
            output_padding[axis] += wanted[axis].saturating_sub(full);
            let small = total / 2;
            around[axis] = if auto_pad == "SAME_UPPER" { (small, total - small) } else { (total - small, small) };
        }
    }
    let epilogue = Epilogue { bias: inputs.len() > 2, ..Epilogue::default() };
    let groups = group_count(call)?;
    let op = ConvTranspose { stride, dilation, pads: around, output_padding, groups, epilogue };
    let y = lower.emit(call, op, &inputs)?;
    Ok(vec![Value::Node(lower.channels_first(call, y)?, call.input(0)?.elem())])
}

/// `MaxPool`, `AveragePool` and `LpPool`.
pub(super) fn pool(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let spatial = spatial_axes(&lower.shape(input))?;
    let window = window(call, spatial)?;
    if !call.has("kernel_shape") {
        return invalid("kernel_shape is missing");
    }
    let size = sizes(call, "kernel_shape", spatial, 1)?;
    let taps = elements(&size)?;
    if call.wants_output(1) {
        return super::argmax::max_pool(lower, call, &Pool { kind: PoolKind::Max, size, window });
    }
    let x = lower.place(call, input)?;
    let mut x = lower.channels_last(call, x)?;
    let kind = match call.op() {
        "MaxPool" => PoolKind::Max,
        "AveragePool" => PoolKind::Average { count_include_pad: call.int("count_include_pad", 0) != 0 },
        _ => PoolKind::Average { count_include_pad: true },
    };
    let power = call.int("p", 2);
    if call.op() == "LpPool" {
        x = to_the(lower, call, x, power)?;
    }
    let pool = Pool { kind, size, window };
    let counts = taps_within_padding(lower, &pool, x)?;
    let mut y = lower.emit(call, pool, &[x])?;
    if let Some(counts) = counts.filter(|_| call.op() == "AveragePool") {
        let counts = lower.graph.constant(call.name.clone(), counts);
        y = lower.binary(call, BinaryFn::Mul, y, counts)?;
    }
    if call.op() == "LpPool" {
        y = lower.unary(call, UnaryFn::Affine { scale: taps as f32, offset: 0.0 }, y)?;
        y = root(lower, call, y, power)?;
    }
    Ok(vec![Value::Node(lower.channels_first(call, y)?, input.elem())])
}

/// Factors that take the taps of windows which a rounded-up output lets hang over the padding out of their means;
/// `None` where no window does.
fn taps_within_padding(lower: &Lower, pool: &Pool, x: ValueId) -> Result<Option<Tensor>, Wrong> {
    let counts_padding = pool.kind == PoolKind::Average { count_include_pad: true };
    let Padding::Explicit(pads) = &pool.window.padding else { return Ok(None) };
    if !counts_padding || !pool.window.ceil_mode {
        return Ok(None);
    }
    let site = pool.site(&[lower.graph.ty(x).clone()]).map_err(|e| Wrong::Invalid(e.to_string()))?;
    let axes = &site.axes[3 - pads.len()..];
    let within = |axis: usize, output: usize| {
        let window = &axes[axis];
        let end = window.input + pads[axis].0 + pads[axis].1;
        end.saturating_sub(output * window.stride).div_ceil(window.dilation).min(window.size)
    };
    let sizes: Vec<usize> = [1].into_iter().chain(axes.iter().map(|axis| axis.output)).chain([1]).collect();
    if axes.iter().enumerate().all(|(axis, window)| within(axis, window.output - 1) == window.size) {
        return Ok(None);
    }
    let strides = crate::tensor::Shape::from(sizes.clone()).strides();
    let factor = |i: usize| {
        let share = |axis: usize| {
            let at = i / strides[axis + 1] % sizes[axis + 1];
            axes[axis].size as f32 / within(axis, at).max(1) as f32
        };
        (0..axes.len()).map(share).product()
    };
    lower.tensor(&sizes, factor).map(Some)
}

/// `GlobalAveragePool`, `GlobalMaxPool` and `GlobalLpPool`.
pub(super) fn global_pool(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let rank = lower.shape(input).len();
    if rank < 2 {
        return invalid(format!("an input of {rank} axes"));
    }
    let x = lower.place(call, input)?;
    let mut x = lower.channels_last(call, x)?;
    let function = match call.op() {
        "GlobalAveragePool" => ReduceFn::Mean,
        "GlobalMaxPool" => ReduceFn::Max,
        _ => ReduceFn::Sum,
    };
    let power = call.int("p", 2);
    if function == ReduceFn::Sum {
        x = to_the(lower, call, x, power)?;
    }
    let mut y = lower.emit(call, Reduce { function, axes: (1..rank - 1).collect(), keepdims: true }, &[x])?;
    if function == ReduceFn::Sum {
        y = root(lower, call, y, power)?;
    }
    Ok(vec![Value::Node(lower.channels_first(call, y)?, input.elem())])
}

/// `|x|^p`, the terms of a norm.
fn to_the(lower: &mut Lower, call: &Call<'_>, x: ValueId, power: i64) -> Result<ValueId, Wrong> {
    match power {
        1 => lower.unary(call, UnaryFn::Abs, x),
        2 => lower.unary(call, UnaryFn::Square, x),
        3.. => {
            let size = lower.unary(call, UnaryFn::Abs, x)?;
            scalar_power(lower, call, size, power as f32)
        }
        _ => invalid(format!("p = {power}")),
    }
}

/// What a norm is of the sum of its terms.
fn root(lower: &mut Lower, call: &Call<'_>, sum: ValueId, power: i64) -> Result<ValueId, Wrong> {
    match power {
        1 => Ok(sum),
        2 => lower.unary(call, UnaryFn::Sqrt, sum),
        _ => scalar_power(lower, call, sum, 1.0 / power as f32),
    }
}

fn scalar_power(lower: &mut Lower, call: &Call<'_>, x: ValueId, power: f32) -> Result<ValueId, Wrong> {
    let power = lower.number(call, power);
    lower.binary(call, BinaryFn::Pow, x, power)
}

/// `LRN`: `x / (bias + alpha / size * sum(x^2 over neighbouring channels)) ^ beta`.
pub(super) fn lrn(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let shape = lower.shape(input);
    let Some(size) = usize::try_from(call.int("size", 0)).ok().filter(|size| (1..=1 << 24).contains(size)) else {
        return invalid(format!("size {}", call.int("size", 0)));
    };
    if shape.len() < 3 {
        return invalid(format!("an input of {} axes", shape.len()));
    }
    let x = lower.place(call, input)?;
    let x = lower.channels_last(call, x)?;
    let (channels, pixels) = (shape[1], shape[0] * shape[2..].iter().product::<usize>());
    let squares = lower.unary(call, UnaryFn::Square, x)?;
    let rows = lower.reshape(call, squares, &[pixels, channels, 1])?;
    let around = Padding::Explicit(vec![((size - 1) / 2, size / 2)]);
    let window = Window { padding: around, ..Window::unit(1) };
    let kind = PoolKind::Average { count_include_pad: true };
    let means = lower.emit(call, Pool { kind, size: vec![size], window }, &[rows])?;
    let full = lower.graph.ty(x).shape.to_vec();
    let means = lower.reshape(call, means, &full)?;
    let affine = UnaryFn::Affine { scale: call.float("alpha", 1e-4), offset: call.float("bias", 1.0) };
    let base = lower.unary(call, affine, means)?;
    let divisor = match call.float("beta", 0.75) {
        0.5 => lower.unary(call, UnaryFn::Sqrt, base)?,
        1.0 => base,
        0.75 => {
            let half = lower.unary(call, UnaryFn::Sqrt, base)?;
            let quarter = lower.unary(call, UnaryFn::Sqrt, half)?;
            lower.binary(call, BinaryFn::Mul, half, quarter)?
        }
        beta => scalar_power(lower, call, base, beta)?,
    };
    let y = lower.binary(call, BinaryFn::Div, x, divisor)?;
    Ok(vec![Value::Node(lower.channels_first(call, y)?, input.elem())])
}
