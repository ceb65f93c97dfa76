//! Functions of one, two and more elements.

use super::lower::{Call, Lower, Lowered, Value, Wrong, axis_of, invalid, unsupported};
use super::tensor::{Elem, HostData, HostTensor};
use crate::graph::ValueId;
use crate::ops::{BinaryFn, Select, UnaryFn};
use crate::tensor::Shape;

/// The functions of one element that an op amounts to, one after the other.
fn steps(call: &Call<'_>) -> Option<Vec<UnaryFn>> {
    let alpha = |default| call.float("alpha", default);
    Some(match call.op() {
        "Relu" => vec![UnaryFn::Relu],
        "LeakyRelu" => vec![UnaryFn::LeakyRelu { negative_slope: alpha(0.01) }],
        "Elu" => vec![UnaryFn::Elu { alpha: alpha(1.0) }],
        "Selu" => {
            let (a, g) = if call.opset < 6 { (1.6732, 1.0507) } else { (1.673_263_2, 1.050_701) };
            let scale = call.float("gamma", g);
            vec![UnaryFn::Elu { alpha: alpha(a) }, UnaryFn::Affine { scale, offset: 0.0 }]
        }
        "Celu" => vec![UnaryFn::Celu { alpha: alpha(1.0) }],
        "Sigmoid" => vec![UnaryFn::Sigmoid],
        "HardSigmoid" => vec![UnaryFn::HardSigmoid { alpha: alpha(0.2), beta: call.float("beta", 0.5) }],
        "HardSwish" => vec![UnaryFn::HardSilu],
        "Tanh" => vec![UnaryFn::Tanh],
        "Softplus" => vec![UnaryFn::Softplus],
        "Softsign" => vec![UnaryFn::Softsign],
        "Mish" => vec![UnaryFn::Mish],
        "Exp" => vec![UnaryFn::Exp],
        "Log" => vec![UnaryFn::Log],
        "Sqrt" => vec![UnaryFn::Sqrt],
        "Reciprocal" => vec![UnaryFn::Reciprocal],
        "Neg" => vec![UnaryFn::Neg],
        "Abs" => vec![UnaryFn::Abs],
        "Floor" => vec![UnaryFn::Floor],
        "Ceil" => vec![UnaryFn::Ceil],
        "Round" => vec![UnaryFn::Round],
        "Sign" => vec![UnaryFn::Sign],
        "Erf" => vec![UnaryFn::Erf],
        "IsNaN" => vec![UnaryFn::IsNan],
        "Not" => vec![UnaryFn::Affine { scale: -1.0, offset: 1.0 }],
        "ThresholdedRelu" => vec![UnaryFn::Threshold { threshold: alpha(1.0), value: 0.0 }],
        "Shrink" => {
            let (threshold, bias) = (call.float("lambd", 0.5), call.float("bias", 0.0));
            if bias == 0.0 {
                vec![UnaryFn::HardShrink { threshold }]
            } else if bias == threshold {
                vec![UnaryFn::SoftShrink { threshold }]
            } else {
                return None;
            }
        }
        "Gelu" if call.string("approximate", "none") == "tanh" => vec![UnaryFn::GeluTanh],
        "Gelu" => vec![UnaryFn::Gelu],
        "Swish" if alpha(1.0) == 1.0 => vec![UnaryFn::Silu],
        _ => return None,
    })
}

/// Functions of one element that only known tensors get.
fn on_host(op: &str) -> Option<fn(f64) -> f64> {
    Some(match op {
        "Sin" => f64::sin,
        "Cos" => f64::cos,
        "Tan" => f64::tan,
        "Asin" => f64::asin,
        "Acos" => f64::acos,
        "Atan" => f64::atan,
        "Sinh" => f64::sinh,
        "Cosh" => f64::cosh,
        "Asinh" => f64::asinh,
        "Acosh" => f64::acosh,
        "Atanh" => f64::atanh,
        _ => return None,
    })
}

/// Ops of one input.
pub(super) fn unary(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let elem = if call.op() == "IsNaN" { Elem::Bool } else { input.elem() };
    if let Value::Host(tensor) = input {
        let value = |function: &dyn Fn(f64) -> f64| {
            HostTensor::from_f64(tensor.shape.clone(), elem, tensor.to_f64().into_iter().map(function).collect())
        };
        match (steps(call), on_host(call.op())) {
            (Some(steps), _) => {
                return Ok(vec![Value::Host(value(&|x| steps.iter().fold(x, |x, step| step.evaluate(x)))?)]);
            }
            (_, Some(function)) => return Ok(vec![Value::Host(value(&function)?)]),
            _ => {}
        }
    }
    let x = lower.place(call, input)?;
    let id = match (call.op(), steps(call)) {
        (_, Some(steps)) => chain(lower, call, x, &steps)?,
        ("Swish", _) => lower.in_any_order(call, &[x], |lower, ids| {
            let scaled = lower.unary(call, UnaryFn::Affine { scale: call.float("alpha", 1.0), offset: 0.0 }, ids[0])?;
            let gate = lower.unary(call, UnaryFn::Sigmoid, scaled)?;
            lower.binary(call, BinaryFn::Mul, ids[0], gate)
        })?,
        ("Shrink", _) => lower.in_any_order(call, &[x], |lower, ids| {
            let band = lower.unary(call, UnaryFn::HardShrink { threshold: call.float("lambd", 0.5) }, ids[0])?;
            let sign = lower.unary(call, UnaryFn::Sign, band)?;
            let bias = lower.unary(call, UnaryFn::Affine { scale: call.float("bias", 0.0), offset: 0.0 }, sign)?;
            lower.binary(call, BinaryFn::Sub, band, bias)
        })?,
        ("IsInf", _) => infinite(lower, call, x)?,
        (op, _) => return unsupported(format!("{op} of a tensor that is computed at run time")),
    };
    let elem = if call.op() == "IsInf" { Elem::Bool } else { elem };
    Ok(vec![Value::Node(id, elem)])
}

/// 1 where an element is one of the infinities that are looked for.
fn infinite(lower: &mut Lower, call: &Call<'_>, x: ValueId) -> Result<ValueId, Wrong> {
    let (negative, positive) = (call.int("detect_negative", 1) != 0, call.int("detect_positive", 1) != 0);
    let function = match (negative, positive) {
        (true, true) => UnaryFn::Abs,
        (true, false) => UnaryFn::Neg,
        _ => UnaryFn::Affine { scale: 1.0, offset: 0.0 },
    };
    let sought = if negative || positive { f32::INFINITY } else { f32::NAN };
    let sought = lower.number(call, sought);
    lower.in_any_order(call, &[x], |lower, ids| {
        let turned = lower.unary(call, function, ids[0])?;
        lower.binary(call, BinaryFn::Equal, turned, sought)
    })
}

/// Functions of one element, one after the other, in whichever order of axes the value has.
pub(super) fn chain(lower: &mut Lower, call: &Call<'_>, id: ValueId, steps: &[UnaryFn]) -> Result<ValueId, Wrong> {
    lower.in_any_order(call, &[id], |lower, ids| steps.iter().try_fold(ids[0], |id, &step| lower.unary(call, step, id)))
}

/// The function behind an op of two or more inputs, and whether it answers with bools.
fn function_of(op: &str) -> Option<(BinaryFn, bool)> {
    Some(match op {
        "Add" | "Sum" | "Mean" => (BinaryFn::Add, false),
        "Sub" => (BinaryFn::Sub, false),
        "Mul" => (BinaryFn::Mul, false),
        "Div" => (BinaryFn::Div, false),
        "Max" => (BinaryFn::Max, false),
        "Min" => (BinaryFn::Min, false),
        "PRelu" => (BinaryFn::Prelu, false),
        "Equal" => (BinaryFn::Equal, true),
        "Less" => (BinaryFn::Less, true),
        "LessOrEqual" => (BinaryFn::LessEqual, true),
        "Greater" => (BinaryFn::Greater, true),
        "GreaterOrEqual" => (BinaryFn::GreaterEqual, true),
        "And" => (BinaryFn::Mul, true),
        "Or" => (BinaryFn::Max, true),
        // 1 or -1 where they differ, until the sign is taken off.
        "Xor" => (BinaryFn::Sub, true),
        _ => return None,
    })
}

/// Ops of two or more inputs, with broadcasting.
pub(super) fn binary(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let mut values = call.given();
    if values.len() == 2 {
        values[1] = aligned(lower, call, &values[0], &values[1])?;
    }
    let Some((function, bools)) = function_of(call.op()) else { return unsupported("not an op of elements") };
    let Some(first) = values.first().cloned() else { return invalid("no inputs") };
    let count = values.len();
    let mut total = first;
    for value in &values[1..] {
        total = pair(lower, call, function, bools, &total, value)?;
    }
    if let ("Xor", &Value::Node(id, elem)) = (call.op(), &total) {
        total = Value::Node(chain(lower, call, id, &[UnaryFn::Abs])?, elem);
    }
    if call.op() == "Mean" {
        let id = lower.place(call, &total)?;
        let scale = 1.0 / count as f32;
        total = Value::Node(chain(lower, call, id, &[UnaryFn::Affine { scale, offset: 0.0 }])?, total.elem());
    }
    Ok(vec![total])
}

/// The second operand as versions before 7 broadcast it: from an axis on; PReLU's slope by channels.
fn aligned(lower: &mut Lower, call: &Call<'_>, a: &Value, b: &Value) -> Result<Value, Wrong> {
    let (rank, shape) = (lower.shape(a).len(), lower.shape(b));
    let axis = match call.op() {
        "PRelu" if call.opset < 7 && shape.len() == 1 && rank > 1 => 1,
        "PRelu" => return Ok(b.clone()),
        _ if call.int("broadcast", 0) != 0 && call.has("axis") => axis_of(call.int("axis", 0), rank)?,
        _ => return Ok(b.clone()),
    };
    let Some(after) = rank.checked_sub(axis + shape.len()) else {
        return invalid(format!("{shape:?} does not lie at axis {axis} of {rank} axes"));
    };
    let full: Vec<usize> = shape.iter().copied().chain(std::iter::repeat_n(1, after)).collect();
    match b {
        Value::Host(tensor) => Ok(Value::Host(tensor.reshaped(full)?)),
        Value::Node(id, elem) => Ok(Value::Node(lower.reshape(call, *id, &full)?, *elem)),
    }
}

fn pair(
    lower: &mut Lower,
    call: &Call<'_>,
    function: BinaryFn,
    bools: bool,
    a: &Value,
    b: &Value,
) -> Result<Value, Wrong> {
    let elem = if bools { Elem::Bool } else { a.elem() };
    if let (Value::Host(a), Value::Host(b)) = (a, b) {
        return Ok(Value::Host(host_pair(lower, function, elem, a, b)?));
    }
    if !a.elem().is_float()
        && matches!(function, BinaryFn::Add | BinaryFn::Sub | BinaryFn::Mul | BinaryFn::Div | BinaryFn::Pow)
        && !bools
    {
        return unsupported("integer arithmetic at run time");
    }
    let ids = [lower.place(call, a)?, lower.place(call, b)?];
    let id = lower.in_any_order(call, &ids, |lower, ids| lower.binary(call, function, ids[0], ids[1]))?;
    Ok(Value::Node(id, elem))
}

/// The shape that two operands broadcast to.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    Shape::from(a.to_vec())
        .broadcast(&Shape::from(b.to_vec()))
        .map(|shape| shape.to_vec())
        .ok_or_else(|| format!("{a:?} and {b:?} do not broadcast"))
}

fn host_pair(
    lower: &Lower,
    function: BinaryFn,
    elem: Elem,
    a: &HostTensor,
    b: &HostTensor,
) -> Result<HostTensor, Wrong> {
    let shape = broadcast(&a.shape, &b.shape)?;
    lower.room.ask(&shape)?;
    let (a, b) = (a.spread(&shape)?, b.spread(&shape)?);
    if let (HostData::Ints(a), HostData::Ints(b)) = (&a.data, &b.data) {
        let values = a.iter().zip(b.iter()).map(|(&a, &b)| int_pair(function, a, b)).collect::<Option<Vec<i64>>>();
        return match values {
            Some(values) => Ok(HostTensor::ints(shape, elem, values)),
            None => invalid("division of integers by zero"),
        };
    }
    let values = a.to_f64().into_iter().zip(b.to_f64()).map(|(a, b)| function.evaluate(a, b)).collect();
    Ok(HostTensor::from_f64(shape, elem, values)?)
}

fn int_pair(function: BinaryFn, a: i64, b: i64) -> Option<i64> {
    Some(match function {
        BinaryFn::Add => a.wrapping_add(b),
        BinaryFn::Sub => a.wrapping_sub(b),
        BinaryFn::Mul => a.wrapping_mul(b),
        BinaryFn::Div if b == 0 => return None,
        BinaryFn::Div => a.wrapping_div(b),
        BinaryFn::Max => a.max(b),
        BinaryFn::Min => a.min(b),
        BinaryFn::Prelu => {
            if a >= 0 {
                a
            } else {
                a.wrapping_mul(b)
            }
        }
        BinaryFn::Pow => (a as f64).powf(b as f64) as i64,
        BinaryFn::Equal => i64::from(a == b),
        BinaryFn::Less => i64::from(a < b),
        BinaryFn::LessEqual => i64::from(a <= b),
        BinaryFn::Greater => i64::from(a > b),
        BinaryFn::GreaterEqual => i64::from(a >= b),
    })
}

/// `Clip`: bounds are attributes before version 11, inputs since.
pub(super) fn clip(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let mut value = call.input(0)?.clone();
    let bounds = [(1, "min", BinaryFn::Max), (2, "max", BinaryFn::Min)];
    let fixed = |position: usize, name: &str, default: f32| match call.optional(position) {
        _ if call.opset < 11 => Some(call.float(name, default)),
        None => Some(default),
        Some(Value::Host(bound)) => bound.first().map(|bound| bound as f32),
        Some(Value::Node(..)) => None,
    };
    let limits = (fixed(1, "min", f32::NEG_INFINITY), fixed(2, "max", f32::INFINITY));
    if let (Value::Node(id, elem), (Some(low), Some(high))) = (&value, limits)
        && low <= high
    {
        let (id, elem) = (*id, *elem);
        let function = match (low, high) {
            (0.0, 6.0) => UnaryFn::Relu6,
            (0.0, f32::INFINITY) => UnaryFn::Relu,
            _ => UnaryFn::Clip { low, high },
        };
        return Ok(vec![Value::Node(chain(lower, call, id, &[function])?, elem)]);
    }
    for (position, name, function) in bounds {
        let bound = if call.opset < 11 {
            match call.has(name) {
                true => {
                    Some(Value::Host(HostTensor::from_f64(vec![], value.elem(), vec![call.float(name, 0.0).into()])?))
                }
                false => None,
            }
        } else {
            call.optional(position).cloned()
        };
        if let Some(bound) = bound {
            value = pair(lower, call, function, false, &value, &bound)?;
        }
    }
    Ok(vec![value])
}

/// `Pow`. A known exponent that is a small whole number or a half becomes products or a root.
pub(super) fn pow(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (base, exponent) = (call.input(0)?.clone(), aligned(lower, call, call.input(0)?, call.input(1)?)?);
    let elem = base.elem();
    if let (Value::Host(a), Value::Host(b)) = (&base, &exponent) {
        return Ok(vec![Value::Host(host_pair(lower, BinaryFn::Pow, elem, a, b)?)]);
    }
    let shape = lower.shape(&base);
    let power = match &exponent {
        Value::Host(exponent) if broadcast(&shape, &exponent.shape)? == shape => {
            let powers = exponent.to_f64();
            powers.first().copied().filter(|power| powers.iter().all(|other| other == power))
        }
        _ => None,
    };
    let plain = |power: &f64| power.abs() == 0.5 || (power.fract() == 0.0 && (1.0..=8.0).contains(&power.abs()));
    let Some(power) = power.filter(plain) else {
        return Ok(vec![pair(lower, call, BinaryFn::Pow, false, &base, &exponent)?]);
    };
    if !elem.is_float() {
        return unsupported("integer arithmetic at run time");
    }
    let id = lower.place(call, &base)?;
    let id = lower.in_any_order(call, &[id], |lower, ids| {
        let result = match power.abs() {
            0.5 => lower.unary(call, UnaryFn::Sqrt, ids[0])?,
            2.0 => lower.unary(call, UnaryFn::Square, ids[0])?,
            whole => {
                (1..whole as u32).try_fold(ids[0], |product, _| lower.binary(call, BinaryFn::Mul, product, ids[0]))?
            }
        };
        if power < 0.0 { lower.unary(call, UnaryFn::Reciprocal, result) } else { Ok(result) }
    })?;
    Ok(vec![Value::Node(id, elem)])
}

/// `Where`.
pub(super) fn choose(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (condition, a, b) = (call.input(0)?, call.input(1)?, call.input(2)?);
    if let Value::Host(condition) = condition
        && condition.len() == 1
        && lower.shape(a) == lower.shape(b)
    {
        let first = condition.first().is_some_and(|one| one != 0.0);
        return Ok(vec![if first { a.clone() } else { b.clone() }]);
    }
    if let (Value::Host(condition), Value::Host(a), Value::Host(b)) = (condition, a, b) {
        let shape = broadcast(&broadcast(&condition.shape, &a.shape)?, &b.shape)?;
        lower.room.ask(&shape)?;
        let (condition, first, second) = (condition.spread(&shape)?.to_f64(), a.spread(&shape)?, b.spread(&shape)?);
        if let (HostData::Ints(x), HostData::Ints(y)) = (&first.data, &second.data) {
            let values =
                condition.iter().zip(x.iter().zip(y.iter())).map(|(&c, (&x, &y))| if c != 0.0 { x } else { y });
            return Ok(vec![Value::Host(HostTensor::ints(shape, a.elem, values.collect()))]);
        }
        let both = first.to_f64().into_iter().zip(second.to_f64());
        let values = condition.iter().zip(both).map(|(&c, (x, y))| if c != 0.0 { x } else { y }).collect();
        return Ok(vec![Value::Host(HostTensor::from_f64(shape, a.elem, values)?)]);
    }
    let mut ids = Vec::with_capacity(3);
    for value in [condition, a, b] {
        ids.push(lower.place(call, value)?);
    }
    let id = lower.in_any_order(call, &ids, |lower, ids| lower.emit(call, Select, ids))?;
    Ok(vec![Value::Node(id, a.elem())])
}
