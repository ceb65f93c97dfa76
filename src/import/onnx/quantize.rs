//! Quantised models: integers are computed with as `f32`, which holds them exactly up to 2^24, and never silently: every
//! translation leaves a note.

use super::elementwise::chain;
use super::lower::{Call, Lower, Lowered, Value, Wrong, axis_of, invalid, unsupported};
use super::tensor::{Elem, HostData};
use super::{reductions, windows};
use crate::graph::ValueId;
use crate::ops::{BinaryFn, Gather, Reduce, ReduceFn, UnaryFn};

/// The largest integer up to which `f32` holds every one.
const EXACT: f64 = 16_777_216.0;

/// The integers that a quantised type holds.
fn range(elem: Elem) -> Result<(f32, f32), Wrong> {
    Ok(match elem {
        Elem::I8 => (-128.0, 127.0),
        Elem::U8 => (0.0, 255.0),
        Elem::I16 => (-32_768.0, 32_767.0),
        Elem::U16 => (0.0, 65_535.0),
        other => return unsupported(format!("quantising to {other:?} (8 and 16 bits are)")),
    })
}

/// A value as `f32` numbers.
fn numbers(lower: &mut Lower, call: &Call<'_>, value: &Value) -> Result<ValueId, Wrong> {
    match value {
        Value::Host(tensor) => {
            if !matches!(tensor.data, HostData::Floats(_)) {
                lower.room.spend(&tensor.shape, 4)?;
            }
            let tensor = Value::Host(tensor.cast(Elem::F32)?);
            lower.place(call, &tensor)
        }
        Value::Node(id, _) => Ok(*id),
    }
}

fn both(lower: &mut Lower, call: &Call<'_>, function: BinaryFn, a: ValueId, b: ValueId) -> Result<ValueId, Wrong> {
    lower.in_any_order(call, &[a, b], |lower, ids| lower.binary(call, function, ids[0], ids[1]))
}

/// A scale or zero point laid over a tensor: one number for all of it, a vector along an axis, or one number for every `block`
/// elements along that axis.
fn over(
    lower: &mut Lower,
    call: &Call<'_>,
    value: &Value,
    shape: &[usize],
    (axis, block): (i64, usize),
) -> Result<ValueId, Wrong> {
    let own = lower.shape(value);
    if own.iter().all(|&size| size == 1) {
        let id = numbers(lower, call, value)?;
        return lower.reshape(call, id, &[1]);
    }
    let axis = axis_of(axis, shape.len())?;
    let size = shape[axis];
    if own == [size] {
        let id = numbers(lower, call, value)?;
        let full: Vec<usize> = (0..shape.len()).map(|i| if i == axis { size } else { 1 }).collect();
        return lower.reshape(call, id, &full);
    }
    let blocks: Vec<usize> =
        shape.iter().enumerate().map(|(i, &size)| if i == axis { size.div_ceil(block.max(1)) } else { size }).collect();
    if block == 0 || own != blocks {
        return invalid(format!(
            "scales or zero points of the shape {own:?} for {shape:?} (axis {axis}, blocks of {block})"
        ));
    }
    let id = numbers(lower, call, value)?;
    let blocks = lower.constant(call, &[size], |i| (i / block) as f32)?;
    lower.emit(call, Gather { axis }, &[id, blocks])
}

/// `x - zero point`, exactly.
fn centred(
    lower: &mut Lower,
    call: &Call<'_>,
    (x, zero): (&Value, Option<&Value>),
    layout: (i64, usize),
) -> Result<ValueId, Wrong> {
    let (shape, id) = (lower.shape(x), numbers(lower, call, x)?);
    match zero {
        Some(Value::Host(zero)) if zero.to_f64().iter().all(|&zero| zero == 0.0) => Ok(id),
        Some(zero) => {
            let zero = over(lower, call, zero, &shape, layout)?;
            both(lower, call, BinaryFn::Sub, id, zero)
        }
        None => Ok(id),
    }
}

/// `saturate(round(x * or / scale) + zero point)`; halves are rounded to even.
fn rounded(
    lower: &mut Lower,
    call: &Call<'_>,
    (x, scaling, scale): (ValueId, BinaryFn, ValueId),
    zero: Option<ValueId>,
    elem: Elem,
) -> Result<Value, Wrong> {
    let (low, high) = range(elem)?;
    let mut y = both(lower, call, scaling, x, scale)?;
    y = chain(lower, call, y, &[UnaryFn::Round])?;
    if let Some(zero) = zero {
        y = both(lower, call, BinaryFn::Add, y, zero)?;
    }
    Ok(Value::Node(chain(lower, call, y, &[UnaryFn::Clip { low, high }])?, elem))
}

/// Says that a node does not run as its integers, and makes known what follows from known inputs.
fn noted(lower: &mut Lower, call: &Call<'_>, first: usize, values: Vec<Value>) -> Lowered {
    *lower.quantised.entry(call.op().to_string()).or_default() += 1;
    let known = call.inputs.iter().flatten().all(|value| matches!(value, Value::Host(_)));
    if known { lower.folded(first, values) } else { Ok(values) }
}

fn layout(call: &Call<'_>) -> Result<(i64, usize), Wrong> {
    match usize::try_from(call.int("block_size", 0)) {
        Ok(block) => Ok((call.int("axis", 1), block)),
        Err(_) => invalid(format!("block_size {}", call.int("block_size", 0))),
    }
}

fn single_precision(scale: &Value) -> Result<(), Wrong> {
    match scale.elem() {
        Elem::F32 => Ok(()),
        other => unsupported(format!("scales of the type {other:?}")),
    }
}

/// `DequantizeLinear`: `(x - zero point) * scale`.
pub(super) fn dequantize(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (x, scale, layout) = (call.input(0)?, call.input(1)?, layout(call)?);
    single_precision(scale)?;
    let (first, shape) = (lower.graph.nodes().len(), lower.shape(x));
    let x = centred(lower, call, (x, call.optional(2)), layout)?;
    let scale = over(lower, call, scale, &shape, layout)?;
    let y = both(lower, call, BinaryFn::Mul, x, scale)?;
    noted(lower, call, first, vec![Value::Node(y, Elem::F32)])
}

/// `QuantizeLinear`: `saturate(round(x / scale) + zero point)`.
pub(super) fn quantize(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (x, scale, layout) = (call.input(0)?, call.input(1)?, layout(call)?);
    single_precision(scale)?;
    let elem = match (call.optional(2), call.int("output_dtype", 0)) {
        (Some(zero), _) => zero.elem(),
        (None, 0) => Elem::U8,
        (None, code) => Elem::from_code(code).or_else(unsupported)?,
    };
    let (first, shape) = (lower.graph.nodes().len(), lower.shape(x));
    let scale = over(lower, call, scale, &shape, layout)?;
    let zero = call.optional(2).map(|zero| over(lower, call, zero, &shape, layout)).transpose()?;
    let x = numbers(lower, call, x)?;
    let y = rounded(lower, call, (x, BinaryFn::Div, scale), zero, elem)?;
    noted(lower, call, first, vec![y])
}

/// `DynamicQuantizeLinear`: to `uint8`, with a scale and a zero point from the extremes of the input and 0.
pub(super) fn dynamic_quantize(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (first, input) = (lower.graph.nodes().len(), call.input(0)?);
    let axes: Vec<usize> = (0..lower.shape(input).len()).collect();
    let x = numbers(lower, call, input)?;
    let zero = lower.number(call, 0.0);
    let mut extreme = |reduce: ReduceFn, with_zero: BinaryFn| {
        let all = lower.emit(call, Reduce { function: reduce, axes: axes.clone(), keepdims: false }, &[x])?;
        let all = lower.reshape(call, all, &[1])?;
        lower.binary(call, with_zero, all, zero)
    };
    let low = extreme(ReduceFn::Min, BinaryFn::Min)?;
    let high = extreme(ReduceFn::Max, BinaryFn::Max)?;
    let span = both(lower, call, BinaryFn::Sub, high, low)?;
    let steps = lower.number(call, 255.0);
    let scale = both(lower, call, BinaryFn::Div, span, steps)?;
    // Nothing but zeros would be divided by zero; ONNX Runtime takes a scale of 1.
    let nothing = both(lower, call, BinaryFn::Equal, scale, zero)?;
    let scale = both(lower, call, BinaryFn::Add, scale, nothing)?;
    let start = both(lower, call, BinaryFn::Sub, zero, low)?;
    let start = both(lower, call, BinaryFn::Div, start, scale)?;
    let start = chain(lower, call, start, &[UnaryFn::Clip { low: 0.0, high: 255.0 }, UnaryFn::Round])?;
    let y = rounded(lower, call, (x, BinaryFn::Div, scale), Some(start), Elem::U8)?;
    let (scale, start) = (lower.reshape(call, scale, &[])?, lower.reshape(call, start, &[])?);
    noted(lower, call, first, vec![y, Value::Node(scale, Elem::F32), Value::Node(start, Elem::U8)])
}

/// The largest distance of a value's elements from their zero point.
fn reach(value: &Value, zero: Option<&Value>) -> Result<f64, Wrong> {
    let (low, high) = match value {
        Value::Host(tensor) => tensor.to_f64().iter().fold((0f64, 0f64), |(low, high), &v| (low.min(v), high.max(v))),
        Value::Node(_, elem) => {
            let (low, high) = range(*elem)?;
            (low.into(), high.into())
        }
    };
    let zeros = match zero {
        None => vec![0.0],
        Some(Value::Host(zero)) => zero.to_f64(),
        Some(Value::Node(..)) => vec![low, high],
    };
    Ok(zeros.iter().fold(0f64, |most, zero| most.max(high - zero).max(zero - low)))
}

/// The most that a sum of `terms` products may come to. Known weights are added up for each output, whose axis of `outputs`
/// indices lies `inner` elements apart.
fn largest_sum(
    terms: usize,
    a: (&Value, Option<&Value>),
    b: (&Value, Option<&Value>),
    (outputs, inner): (usize, usize),
) -> Result<f64, Wrong> {
    let (Value::Host(weights), zero) = b else { return Ok(terms as f64 * reach(a.0, a.1)? * reach(b.0, b.1)?) };
    let zeros = match zero {
        None => vec![0.0],
        Some(Value::Host(zero)) if zero.len() == 1 || zero.len() == outputs => zero.to_f64(),
        Some(_) => return Ok(terms as f64 * reach(a.0, a.1)? * reach(b.0, b.1)?),
    };
    let mut sums = vec![0f64; outputs];
    for (i, weight) in weights.to_f64().into_iter().enumerate() {
        let output = i / inner.max(1) % outputs;
        sums[output] += (weight - zeros[output % zeros.len()]).abs();
    }
    Ok(sums.into_iter().fold(0f64, f64::max) * reach(a.0, a.1)?)
}

/// The same node on other inputs.
fn on<'a>(call: &Call<'a>, inputs: Vec<Option<Value>>) -> Call<'a> {
    Call { inputs, name: call.name.clone(), ..*call }
}

/// The products behind an op: what is left after the zero points are taken off, with the translation of the op without them.
fn product(
    lower: &mut Lower,
    call: &Call<'_>,
    [a, b]: [(&Value, Option<&Value>); 2],
    [a_axis, b_axis]: [i64; 2],
    bias: Option<Value>,
    multiply: fn(&mut Lower, &Call<'_>) -> Lowered,
) -> Result<ValueId, Wrong> {
    let known = matches!(b.0, Value::Host(_)) && !matches!(b.1, Some(Value::Node(..)));
    let x = centred(lower, call, a, (a_axis, 0))?;
    let first = lower.graph.nodes().len();
    let w = vec![Value::Node(centred(lower, call, b, (b_axis, 0))?, Elem::F32)];
    let w = if known { lower.folded(first, w)? } else { w };
    let inputs = [Value::Node(x, Elem::F32)].into_iter().chain(w).chain(bias).map(Some).collect();
    match multiply(lower, &on(call, inputs))?.first() {
        Some(Value::Node(id, _)) => Ok(*id),
        _ => invalid("nothing is computed"),
    }
}

/// `ConvInteger` and `MatMulInteger`: sums of products of integers, as `int32`.
pub(super) fn integer_product(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let first = lower.graph.nodes().len();
    let a = (call.input(0)?, call.optional(2));
    let b = (call.input(1)?, call.optional(3));
    let (a_shape, b_shape) = (lower.shape(a.0), lower.shape(b.0));
    let (y, terms, outputs) = if call.op() == "ConvInteger" {
        let terms = b_shape.iter().skip(1).product();
        let outputs = (b_shape.first().copied().unwrap_or(1), terms);
        (product(lower, call, [a, b], [1, 0], None, windows::conv)?, terms, outputs)
    } else {
        let outputs = if b_shape.len() > 1 { b_shape[b_shape.len() - 1] } else { 1 };
        let y = product(lower, call, [a, b], [-2, -1], None, reductions::matmul)?;
        (y, a_shape.last().copied().unwrap_or(1), (outputs, 1))
    };
    if largest_sum(terms, a, b, outputs)? > EXACT {
        lower.rounded.push(call.name.clone());
    }
    noted(lower, call, first, vec![Value::Node(y, Elem::I32)])
}

/// `QLinearConv` and `QLinearMatMul`: sums of products of integers, scaled and rounded to integers again.
pub(super) fn quantised_product(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let first = lower.graph.nodes().len();
    let scales = [call.input(1)?, call.input(4)?, call.input(6)?];
    scales.iter().try_for_each(|scale| single_precision(scale))?;
    let zero = call.input(7)?;
    let a = (call.input(0)?, call.optional(2));
    let b = (call.input(3)?, call.optional(5));
    let (sums, axes) = if call.op() == "QLinearConv" {
        let bias = match call.optional(8) {
            Some(Value::Host(bias)) => Some(Value::Host(bias.cast(Elem::F32)?)),
            Some(Value::Node(id, _)) => Some(Value::Node(*id, Elem::F32)),
            None => None,
        };
        (product(lower, call, [a, b], [1, 0], bias, windows::conv)?, [1, 1, 1])
    } else {
        (product(lower, call, [a, b], [-2, -1], None, reductions::matmul)?, [-2, -1, -1])
    };
    let shape = lower.graph.ty(sums).shape.to_vec();
    let [x_scale, w_scale, y_scale] = scales;
    let x_scale = over(lower, call, x_scale, &shape, (axes[0], 0))?;
    let w_scale = over(lower, call, w_scale, &shape, (axes[1], 0))?;
    let y_scale = over(lower, call, y_scale, &shape, (axes[2], 0))?;
    let scale = both(lower, call, BinaryFn::Mul, x_scale, w_scale)?;
    let scale = both(lower, call, BinaryFn::Div, scale, y_scale)?;
    let start = over(lower, call, zero, &shape, (axes[2], 0))?;
    let y = rounded(lower, call, (sums, BinaryFn::Mul, scale), Some(start), zero.elem())?;
    noted(lower, call, first, vec![y])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message;

    use super::super::proto::*;
    use super::super::{OnnxGraph, OnnxOutput, read_onnx};
    use super::*;
    use crate::cpu;
    use crate::tensor::Tensor;

    const FLOAT: i32 = 1;
    const UINT8: i32 = 2;
    const INT8: i32 = 3;
    const INT32: i32 = 6;

    fn scale(name: &str, values: &[f32]) -> TensorProto {
        let dims = if values.len() == 1 { vec![] } else { vec![values.len() as i64] };
        TensorProto { name: name.into(), data_type: FLOAT, dims, float_data: values.to_vec(), ..Default::default() }
    }

    fn integers(name: &str, data_type: i32, dims: &[i64], values: &[i32]) -> TensorProto {
        let (dims, int32_data) = (dims.to_vec(), values.to_vec());
        TensorProto { name: name.into(), data_type, dims, int32_data, ..Default::default() }
    }

    fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
        let input = inputs.iter().map(|name| name.to_string()).collect();
        NodeProto { op_type: op.into(), input, output: vec![output.into()], ..Default::default() }
    }

    /// The graph of nodes from an input `x` of `f32` to an output `y`.
    fn lowered(shape: &[i64], node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Result<OnnxGraph, String> {
        let info = |name: &str| {
            let dim =
                shape.iter().map(|&size| DimensionProto { dim_value: Some(size), ..Default::default() }).collect();
            let tensor = TensorTypeProto { elem_type: FLOAT, shape: Some(TensorShapeProto { dim }) };
            ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
        };
        let (input, output) = (vec![info("x")], vec![info("y")]);
        let graph = Some(GraphProto { node, initializer, input, output, ..Default::default() });
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 19 }];
        let model = ModelProto { ir_version: 9, graph, opset_import, ..Default::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        std::fs::write(&path, model.encode_to_vec()).unwrap();
        read_onnx(&path).and_then(|model| model.graph(&BTreeMap::new())).map_err(|e| e.to_string())
    }

    fn run(lowered: &OnnxGraph, x: &[f32]) -> Vec<f32> {
        let shape = lowered.graph.ty(lowered.graph.inputs()[0]).shape.clone();
        let x = Tensor::from_f32(shape, x.to_vec()).unwrap();
        cpu::run(&lowered.graph, &BTreeMap::from([("x".to_string(), x)])).unwrap()[0].f32s().unwrap().to_vec()
    }

    #[test]
    fn halves_go_to_even_and_what_is_too_large_to_the_last_integer() {
        let initializers = vec![scale("s", &[0.5]), integers("z", UINT8, &[], &[128])];
        let found = lowered(&[8], vec![node("QuantizeLinear", &["x", "s", "z"], "y")], initializers).unwrap();
        let x = [0.25, 0.75, -0.25, -0.75, 0.74, 1e9, -1e9, 3.0];
        assert_eq!(run(&found, &x), [128.0, 130.0, 128.0, 126.0, 129.0, 255.0, 0.0, 134.0]);
        assert_eq!(found.outputs[0].1, OnnxOutput::Computed(Elem::U8));
        assert_eq!(found.notes, ["quantised nodes run dequantised, with f32 numbers: QuantizeLinear x1"]);
        assert!(found.integers.is_empty(), "f16 holds eight bits");
    }

    #[test]
    fn a_quantised_convolution_is_that_of_its_integers() {
        // [1, 2, 1, 2] in steps of 0.5 from 10, filters [2, 2, 1, 1] in steps of their own.
        let nodes = vec![
            node("QuantizeLinear", &["x", "s", "z"], "q"),
            node("QLinearConv", &["q", "s", "z", "w", "ws", "wz", "ys", "yz", "b"], "c"),
            node("DequantizeLinear", &["c", "ys", "yz"], "y"),
        ];
        let initializers = vec![
            scale("s", &[0.5]),
            integers("z", UINT8, &[], &[10]),
            integers("w", INT8, &[2, 2, 1, 1], &[3, -2, 1, 7]),
            scale("ws", &[0.25, 2.0]),
            integers("wz", INT8, &[2], &[0, 0]),
            scale("ys", &[1.0]),
            integers("yz", INT8, &[], &[-3]),
            integers("b", INT32, &[2], &[8, -1]),
        ];
        let found = lowered(&[1, 2, 1, 2], nodes, initializers).unwrap();
        // Integers without zero points: x = [[4, 5], [-6, 1]]; sums with bias: [[32, 21], [-39, 11]], times 0.125 and 1.
        assert_eq!(run(&found, &[2.0, 2.6, -3.0, 0.4]), [4.0, 3.0, -39.0, 11.0]);
        assert!(
            found.notes[0].ends_with("DequantizeLinear x1, QLinearConv x1, QuantizeLinear x1"),
            "{:?}",
            found.notes
        );
    }

    #[test]
    fn sums_that_f32_may_round_are_named() {
        let product = |terms: i64| {
            let nodes = vec![
                node("QuantizeLinear", &["x", "s", "z"], "q"),
                node("MatMulInteger", &["q", "w"], "p"),
                node("Cast", &["p"], "y"),
            ];
            let cast = AttributeProto { name: "to".into(), i: FLOAT.into(), r#type: 2, ..Default::default() };
            let nodes = nodes.into_iter().map(|node| match node.op_type.as_str() {
                "Cast" => NodeProto { attribute: vec![cast.clone()], ..node },
                _ => node,
            });
            let weights = integers("w", INT8, &[terms, 1], &vec![-128; terms as usize]);
            let initializers = vec![scale("s", &[1.0]), integers("z", UINT8, &[], &[0]), weights];
            lowered(&[1, terms], nodes.collect(), initializers)
        };
        let found = product(514).unwrap();
        assert_eq!(run(&found, &[255.0; 514]), [514.0 * 255.0 * -128.0]);
        assert_eq!(found.integers, ["p"]);
        assert_eq!(found.notes.len(), 1, "{:?}", found.notes);
        let noted = product(515).unwrap();
        assert!(noted.notes[1].contains("2^24") && noted.notes[1].ends_with(": p"), "{:?}", noted.notes);
        assert_eq!(run(&noted, &[1.0; 515]), [515.0 * -128.0]);
    }
}
