//! Ops whose results are known when the graph is built: constants, shapes and types.

use super::lower::{Call, Lower, Lowered, Value, axis_of, invalid, unsupported};
use super::movement::sizes_of;
use super::tensor::{Elem, HostTensor, elements};

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
pub(super) fn constant_of_shape(_: &mut Lower, call: &Call<'_>) -> Lowered {
    let Some(wanted) = call.known(0)? else { return invalid("no shape is given") };
    let shape = sizes_of(&wanted.to_i64()?)?;
    let count = elements(&shape)?;
    let fill = match call.tensor("value")? {
        Some(fill) => fill,
        None => HostTensor::from_f64(vec![1], Elem::F32, vec![0.0])?,
    };
    Ok(vec![Value::Host(fill.take(shape, &vec![0; count])?)])
}

/// `Range` of known numbers.
pub(super) fn range(_: &mut Lower, call: &Call<'_>) -> Lowered {
    let mut numbers = Vec::new();
    for position in 0..3 {
        match call.known(position)?.and_then(|tensor| tensor.to_f64().first().copied()) {
            Some(number) => numbers.push(number),
            None => return invalid("start, limit and delta are needed"),
        }
    }
    let count = ((numbers[1] - numbers[0]) / numbers[2]).ceil().max(0.0);
    if !count.is_finite() || count > 1e8 {
        return invalid(format!("a range from {} to {} by {}", numbers[0], numbers[1], numbers[2]));
    }
    let values: Vec<f64> = (0..count as usize).map(|i| numbers[0] + i as f64 * numbers[2]).collect();
    Ok(vec![Value::Host(HostTensor::from_f64(vec![values.len()], call.input(0)?.elem(), values)?)])
}

/// `Cast` and `CastLike`. At run time only between types that hold the same numbers, or from anything to floats.
pub(super) fn cast(_: &mut Lower, call: &Call<'_>) -> Lowered {
    let to = if call.op() == "CastLike" {
        call.input(1)?.elem()
    } else {
        match Elem::from_code(call.int("to", 0)) {
            Ok(elem) => elem,
            Err(what) => return unsupported(what),
        }
    };
    match call.input(0)? {
        Value::Host(tensor) => {
            if matches!(to, Elem::F16 | Elem::Bf16) && !matches!(tensor.elem, Elem::F16 | Elem::Bf16) {
                return unsupported("rounding to half precision");
            }
            Ok(vec![Value::Host(tensor.cast(to)?)])
        }
        Value::Node(id, from) => {
            let widens = matches!((from, to), (Elem::F16 | Elem::Bf16 | Elem::Bool, _) if to.is_float());
            if *from == to || widens || (to == Elem::F32 && from.is_float()) || (to == Elem::F64 && *from == Elem::F32)
            {
                return Ok(vec![Value::Node(*id, to)]);
            }
            unsupported(format!("a cast from {from:?} to {to:?} at run time"))
        }
    }
}

/// `Identity`, and `Dropout` when nothing is trained.
pub(super) fn identity(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?.clone();
    if call.op() == "Identity" {
        return Ok(vec![value]);
    }
    let training = call.known(2)?.and_then(|mode| mode.to_f64().first().copied()).unwrap_or(0.0) != 0.0;
    let ratio = call.known(1)?.and_then(|ratio| ratio.to_f64().first().copied()).unwrap_or(0.5);
    if (training && ratio != 0.0) || (call.opset < 7 && call.int("is_test", 0) == 0) {
        return unsupported("training");
    }
    let shape = lower.shape(&value);
    let elem = if call.opset < 10 { value.elem() } else { Elem::Bool };
    let kept = HostTensor::from_f64(shape.clone(), elem, vec![1.0; elements(&shape)?])?;
    Ok(vec![value, Value::Host(kept)])
}

/// `OneHot` of known indices.
pub(super) fn one_hot(_: &mut Lower, call: &Call<'_>) -> Lowered {
    let (Some(indices), Some(depth), Some(values)) = (call.known(0)?, call.known(1)?, call.known(2)?) else {
        return invalid("indices, depth and values are needed");
    };
    let (&[off, on], Some(&depth)) = (&values.to_f64()[..], depth.to_f64().first()) else {
        return invalid("depth and two values are needed");
    };
    let (depth, rank) = (depth as usize, indices.shape.len());
    let axis = axis_of(call.int("axis", -1), rank + 1)?;
    let mut shape = indices.shape.clone();
    shape.insert(axis, depth);
    let count = elements(&shape)?;
    let inner = elements(&indices.shape[axis..])?;
    let at = indices.to_f64();
    let wrapped = |index: f64| if index < 0.0 { index + depth as f64 } else { index };
    let element = |i: usize| {
        let (inside, position) = (i % inner.max(1), i / inner.max(1) % depth.max(1));
        let outer = i / inner.max(1) / depth.max(1);
        if at.get(outer * inner + inside).is_some_and(|&index| wrapped(index) == position as f64) { on } else { off }
    };
    Ok(vec![Value::Host(HostTensor::from_f64(shape, values.elem, (0..count).map(element).collect())?)])
}
