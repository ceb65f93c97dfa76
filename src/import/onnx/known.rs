//! Ops whose results are known when the graph is built, as a rule: constants, shapes and types.

use super::elementwise::broadcast;
use super::lower::{Call, Lower, Lowered, Value, Wrong, invalid, unsupported};
use super::movement::sizes_of;
use super::tensor::{Elem, HostData, HostTensor, elements};
use crate::ops::{BinaryFn, Distribution, Random, UnaryFn};

/// `Constant`.
pub(super) fn constant(_: &mut Lower, call: &Call<'_>) -> Lowered {
    let known = if let Some(tensor) = call.tensor("value")? {
        tensor
    } else if call.has("value_float") {
        HostTensor::from_f64(vec![], Elem::F32, vec![call.float("value_float", 0.0).into()])?
    } else if let Some(values) = call.floats("value_floats") {
        HostTensor::from_f64(vec![values.len()], Elem::F32, values.into_iter().map(f64::from).collect())?
    } else if call.has("value_int") {
        HostTensor::ints(vec![], Elem::I64, vec![call.int("value_int", 0)])
    } else if let Some(values) = call.ints("value_ints") {
        HostTensor::vector(values)
    } else {
        return unsupported("a constant that is neither a tensor nor numbers");
    };
    Ok(vec![Value::Host(known)])
}

/// `Shape` and `Size`.
pub(super) fn shape(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let shape = lower.shape(call.input(0)?);
    if call.op() == "Size" {
        return Ok(vec![Value::Host(HostTensor::ints(vec![], Elem::I64, vec![elements(&shape)? as i64]))]);
    }
    let rank = shape.len() as i64;
    let clamp = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = (clamp(call.int("start", 0)), clamp(call.int("end", rank)));
    let part = shape.get(start..end).unwrap_or_default();
    Ok(vec![Value::Host(HostTensor::vector(part.iter().map(|&size| size as i64).collect()))])
}

/// `ConstantOfShape`.
pub(super) fn constant_of_shape(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let Some(wanted) = call.known(0)? else { return invalid("no shape is given") };
    let shape = sizes_of(&wanted.to_i64()?)?;
    let count = lower.room.ask(&shape)?;
    let fill = match call.tensor("value")? {
        Some(fill) => fill,
        None => HostTensor::from_f64(vec![1], Elem::F32, vec![0.0])?,
    };
    Ok(vec![Value::Host(fill.take(shape, std::iter::repeat_n(0, count))?)])
}

/// `Range` of known numbers.
pub(super) fn range(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let mut numbers = Vec::new();
    for position in 0..3 {
        match call.known(position)?.and_then(HostTensor::first) {
            Some(number) => numbers.push(number),
            None => return invalid("start, limit and delta are needed"),
        }
    }
    let count = ((numbers[1] - numbers[0]) / numbers[2]).ceil().max(0.0);
    if !count.is_finite() || count > 1e8 {
        return invalid(format!("a range from {} to {} by {}", numbers[0], numbers[1], numbers[2]));
    }
    lower.room.ask(&[count as usize])?;
    let values: Vec<f64> = (0..count as usize).map(|i| numbers[0] + i as f64 * numbers[2]).collect();
    Ok(vec![Value::Host(HostTensor::from_f64(vec![values.len()], call.input(0)?.elem(), values)?)])
}

/// `Cast` and `CastLike`. At run time: to floats, to types that hold the same integers, from floats towards zero, and to
/// bool.
pub(super) fn cast(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let to = if call.op() == "CastLike" {
        call.input(1)?.elem()
    } else {
        match Elem::from_code(call.int("to", 0)) {
            Ok(elem) => elem,
            Err(what) => return unsupported(what),
        }
    };
    let half = |elem: Elem| matches!(elem, Elem::F16 | Elem::Bf16);
    match call.input(0)? {
        Value::Host(tensor) => {
            if half(to) && !half(tensor.elem) {
                return unsupported("rounding to half precision");
            }
            Ok(vec![Value::Host(tensor.cast(to)?)])
        }
        &Value::Node(id, from) => {
            let widens = from.is_float() && matches!(to, Elem::F32 | Elem::F64);
            let holds = from == to || from == Elem::Bool || widens || (!from.is_float() && to.holds(from));
            if holds {
                return Ok(vec![Value::Node(id, to)]);
            }
            if to == Elem::Bool {
                let zero = lower.number(call, 0.0);
                let id = lower.in_any_order(call, &[id], |lower, ids| {
                    let same = lower.binary(call, BinaryFn::Equal, ids[0], zero)?;
                    lower.unary(call, UnaryFn::Affine { scale: -1.0, offset: 1.0 }, same)
                })?;
                return Ok(vec![Value::Node(id, to)]);
            }
            if from.is_float() && !to.is_float() {
                let id = lower.in_any_order(call, &[id], |lower, ids| {
                    let size = lower.unary(call, UnaryFn::Abs, ids[0])?;
                    let size = lower.unary(call, UnaryFn::Floor, size)?;
                    let sign = lower.unary(call, UnaryFn::Sign, ids[0])?;
                    lower.binary(call, BinaryFn::Mul, size, sign)
                })?;
                return Ok(vec![Value::Node(id, to)]);
            }
            unsupported(format!("a cast from {from:?} to {to:?} at run time"))
        }
    }
}

/// `Identity`.
pub(super) fn identity(_: &mut Lower, call: &Call<'_>) -> Lowered {
    Ok(vec![call.input(0)?.clone()])
}

/// `Dropout`: nothing, or factors of 0 and `1 / (1 - ratio)` in training mode. They follow from the seed and the position;
/// ONNX leaves the generator open.
pub(super) fn dropout(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?.clone();
    let shape = lower.shape(&value);
    let first =
        |position: usize| -> Result<Option<f64>, Wrong> { Ok(call.known(position)?.and_then(HostTensor::first)) };
    let training = call.opset >= 12 && first(2)?.unwrap_or(0.0) != 0.0;
    let ratio = if call.opset >= 12 { first(1)?.unwrap_or(0.5) } else { 0.0 };
    if call.opset < 7 && call.int("is_test", 0) == 0 {
        return unsupported("training");
    }
    if (!training || ratio == 0.0) && !call.wants_output(1) {
        return Ok(vec![value]);
    }
    if !training || ratio == 0.0 {
        let elem = if call.opset < 10 { value.elem() } else { Elem::Bool };
        let kept = HostTensor::from_f64(shape.clone(), elem, vec![1.0; lower.room.ask(&shape)?])?;
        return Ok(vec![value, Value::Host(kept)]);
    }
    let x = lower.place(call, &value)?;
    let seed = call.int("seed", 0) as u64;
    let words = [seed & 0xff_ffff, seed >> 24 & 0xff_ffff, seed >> 48, 0];
    let key = lower.constant(call, &[4], |i| words[i] as f32)?;
    let stream = lower.graph.nodes().len() as u32;
    let distribution = Distribution::Keep { rate: ratio as f32 };
    let factors = lower.emit(call, Random { distribution, shape: shape.into(), stream }, &[key])?;
    let y = lower.binary(call, BinaryFn::Mul, x, factors)?;
    let zero = lower.number(call, 0.0);
    let kept = lower.binary(call, BinaryFn::Greater, factors, zero)?;
    Ok(vec![Value::Node(y, value.elem()), Value::Node(kept, Elem::Bool)])
}

/// `Mod` of known numbers: with the sign of the divisor, or of the dividend with `fmod`.
pub(super) fn modulo(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (Some(a), Some(b)) = (call.known(0)?, call.known(1)?) else { return invalid("two inputs are needed") };
    let shape = broadcast(&a.shape, &b.shape)?;
    lower.room.ask(&shape)?;
    let (x, y) = (a.spread(&shape)?, b.spread(&shape)?);
    let truncated = call.int("fmod", 0) != 0;
    let known = if let (HostData::Ints(x), HostData::Ints(y)) = (&x.data, &y.data) {
        let remainder = |(&x, &y): (&i64, &i64)| {
            let rest = x.checked_rem(y).unwrap_or(0);
            if truncated || rest == 0 || (rest < 0) == (y < 0) { rest } else { rest + y }
        };
        if y.contains(&0) {
            return invalid("division of integers by zero");
        }
        HostTensor::ints(shape.clone(), a.elem, x.iter().zip(y.iter()).map(remainder).collect())
    } else {
        let values = x.to_f64().into_iter().zip(y.to_f64()).map(|(x, y)| x % y).collect();
        HostTensor::from_f64(shape.clone(), a.elem, values)?
    };
    Ok(vec![Value::Host(known)])
}
