//! Operators of TFLite as nodes of a graph.

use super::lower::{Call, Value, size_of, window};
use super::resize;
use super::schema::{
    AddOptions, ConcatenationOptions, Conv2DOptions, DepthwiseConv2DOptions, DivOptions, FullyConnectedOptions,
    LeakyReluOptions, MirrorPadOptions, MulOptions, Pool2DOptions, ReducerOptions, ReshapeOptions, SoftmaxOptions,
    SqueezeOptions, SubOptions,
};
use crate::graph::{Graph, ValueId};
use crate::import::bounds::{axes_of, axis_of, elements};
use crate::import::refusal::{Wrong, invalid, unsupported};
use crate::ops::{
    Binary, BinaryFn, Concat, Conv, Dim, Pad, PadMode, Pool, PoolKind, Reduce, ReduceFn, Softmax, SoftmaxKind,
    Transpose, UnaryFn,
};
use crate::tensor::Window;

type Lowered = Result<Value, Wrong>;

/// Operators by what translates them.
const KNOWN: &[(&[&str], fn(&mut Graph, &Call<'_>) -> Lowered)] = &[
    (&["CONV_2D"], conv),
    (&["DEPTHWISE_CONV_2D"], depthwise),
    (&["FULLY_CONNECTED"], fully_connected),
    (&["ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "PRELU"], binary),
    (&["AVERAGE_POOL_2D", "MAX_POOL_2D"], pool),
    (&["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"], reduce),
    (&["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"], resize::resize),
    (&["PAD", "PADV2", "MIRROR_PAD"], pad),
    (&["RESHAPE", "SQUEEZE"], reshape),
    (&["TRANSPOSE"], transpose),
    (&["SOFTMAX", "LOG_SOFTMAX"], softmax),
    (&["CONCATENATION"], concatenation),
    (&["DEQUANTIZE"], dequantize),
    (
        &[
            "RELU",
            "RELU6",
            "RELU_N1_TO_1",
            "RELU_0_TO_1",
            "LEAKY_RELU",
            "ELU",
            "LOGISTIC",
            "TANH",
            "HARD_SWISH",
            "EXP",
            "LOG",
            "ABS",
            "NEG",
            "SQRT",
            "SQUARE",
        ],
        unary,
    ),
];

fn translation(kind: &str) -> Option<fn(&mut Graph, &Call<'_>) -> Lowered> {
    KNOWN.iter().find(|(kinds, _)| kinds.contains(&kind)).map(|(_, translate)| *translate)
}

/// Whether an operator is supported as such.
pub(super) fn known(kind: &str) -> bool {
    translation(kind).is_some()
}

/// Adds an operator to a graph.
pub(super) fn lower(graph: &mut Graph, call: &Call<'_>) -> Lowered {
    match translation(&call.kind) {
        Some(translate) => translate(graph, call),
        None => unsupported(""),
    }
}

/// Input and filter of a convolution, with the filter's axes in another order, and the bias if there is one.
fn convolution(graph: &mut Graph, call: &Call<'_>, op: Conv, filter: ValueId, activation: Option<i8>) -> Lowered {
    let x = call.place(graph, 0)?;
    let mut conv = op;
    let mut inputs = vec![x, filter];
    if call.optional(2).is_some() {
        conv.epilogue.bias = true;
        inputs.push(call.place(graph, 2)?);
    }
    let y = call.emit(graph, conv, &inputs)?;
    call.activate(graph, activation, y)
}

/// The sizes of a value with as many axes as wanted.
fn sizes<const N: usize>(graph: &Graph, id: ValueId) -> Result<[usize; N], Wrong> {
    let shape = &graph.ty(id).shape;
    shape.to_vec().try_into().map_err(|_| Wrong::Invalid(format!("{shape} where {N} axes are needed")))
}

/// `CONV_2D`: filters `[out, rows, columns, in / groups]`.
fn conv(graph: &mut Graph, call: &Call<'_>) -> Lowered {
    let options: Conv2DOptions<'_> = call.options()?;
    let (x, filter) = (call.place(graph, 0)?, call.place(graph, 1)?);
    let ([.., channels], [_, _, _, own]) = (sizes::<4>(graph, x)?, sizes::<4>(graph, filter)?);
    if own == 0 || !channels.is_multiple_of(own) {
        return invalid(format!("filters of {own} channels for an input of {channels}"));
    }
    let filter = call.emit(graph, Transpose { perm: vec![1, 2, 3, 0] }, &[filter])?;
    let stride = [options.stride_h(), options.stride_w()];
    let window = window(options.padding(), stride, [options.dilation_h(), options.dilation_w()])?;
    convolution(graph, call, Conv::new(window, channels / own), filter, options.activation())
}

/// `DEPTHWISE_CONV_2D`: filters `[1, rows, columns, out]`, which are the bytes of `[rows, columns, 1, out]`.
fn depthwise(graph: &mut Graph, call: &Call<'_>) -> Lowered {
    let options: DepthwiseConv2DOptions<'_> = call.options()?;
    let (x, filter) = (call.place(graph, 0)?, call.place(graph, 1)?);
    let ([.., channels], [one, rows, columns, out]) = (sizes::<4>(graph, x)?, sizes::<4>(graph, filter)?);
    if one != 1 {
        return invalid(format!("filters {}", graph.ty(filter).shape));
    }
    let filter = call.reshape(graph, filter, [rows, columns, 1, out].map(Dim::Size).to_vec())?;
    let stride = [options.stride_h(), options.stride_w()];
    let window = window(options.padding(), stride, [options.dilation_h(), options.dilation_w()])?;
    convolution(graph, call, Conv::new(window, channels), filter, options.activation())
}

/// `FULLY_CONNECTED`: weights `[out, in]`; leading axes of the input become one unless they are kept.
fn fully_connected(graph: &mut Graph, call: &Call<'_>) -> Lowered {
    let options: FullyConnectedOptions<'_> = call.options()?;
    if options.weights_format().unwrap_or(0) != 0 {
        return unsupported("shuffled weights");
    }
    let (x, weights) = (call.place(graph, 0)?, call.place(graph, 1)?);
    let [_, length] = sizes::<2>(graph, weights)?;
    let weights = call.emit(graph, Transpose { perm: vec![1, 0] }, &[weights])?;
    let shape = graph.ty(x).shape.to_vec();
    let kept = options.keep_num_dims().unwrap_or(false) && shape.last() == Some(&length);
    let x = match kept || (shape.len() == 2 && shape[1] == length) {
        true => x,
        false => call.reshape(graph, x, vec![Dim::Infer, Dim::Size(length)])?,
    };
    let inputs = [Some(Value::Node(x)), None, call.optional(2).cloned()];
    let (kind, name) = (call.kind.clone(), call.name.clone());
    let call = Call { operator: call.operator, kind, name, inputs: inputs.into(), room: call.room };
    convolution(graph, &call, Conv::new(Window::unit(0), 1), weights, options.activation())
}

fn binary(graph: &mut Graph, call: &Call<'_>) -> Lowered {
    let options = &call.operator;
    let (function, activation) = match &*call.kind {
        "ADD" => (BinaryFn::Add, options.options().and_then(|own: AddOptions<'_>| own.activation())),
        "SUB" => (BinaryFn::Sub, options.options().and_then(|own: SubOptions<'_>| own.activation())),
        "MUL" => (BinaryFn::Mul, options.options().and_then(|own: MulOptions<'_>| own.activation())),
        "DIV" => (BinaryFn::Div, options.options().and_then(|own: DivOptions<'_>| own.activation())),
        "MAXIMUM" => (BinaryFn::Max, None),
        "MINIMUM" => (BinaryFn::Min, None),
        _ => (BinaryFn::Prelu, None),
    };
    let inputs = [call.place(graph, 0)?, call.place(graph, 1)?];
    let y = call.emit(graph, Binary { function }, &inputs)?;
    call.activate(graph, activation, y)
}

/// Averages count what lies inside of the input.
fn pool(graph: &mut Graph, call: &Call<'_>) -> Lowered {
    let options: Pool2DOptions<'_> = call.options()?;
    let window = window(options.padding(), [options.stride_h(), options.stride_w()], [None, None])?;
    let [rows, columns] = [options.filter_h(), options.filter_w()].map(|size| size_of("window", size.unwrap_or(0)));
    let kind = match &*call.kind {
        "MAX_POOL_2D" => PoolKind::Max,
        _ => PoolKind::Average { count_include_pad: false },
    };
    let x = call.place(graph, 0)?;
    let size = vec![rows?, columns?];
    elements(&size)?;
    let y = call.emit(graph, Pool { kind, size, window }, &[x])?;
    call.activate(graph, options.activation(), y)
}

fn reduce(graph: &mut Graph, call: &Call<'_>) -> Lowered {
    let function = match &*call.kind {
        "MEAN" => ReduceFn::Mean,
        "SUM" => ReduceFn::Sum,
        "REDUCE_MAX" => ReduceFn::Max,
        _ => ReduceFn::Min,
    };
    let keepdims = call.operator.options().and_then(|own: ReducerOptions<'_>| own.keep_dims()).unwrap_or(false);
    let x = call.place(graph, 0)?;
    // TFLite takes an axis that is named twice as one.
    let rank = graph.ty(x).shape.rank();
    let mut axes = call.ints(1)?.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(Value::Node(call.emit(graph, Reduce { function, axes, keepdims }, &[x])?))
}

fn pad(graph: &mut Graph, call: &Call<'_>) -> Lowered {
    let x = call.place(graph, 0)?;
    let size = |&size: &i64| usize::try_from(size).ok().filter(|&size| size <= 1 << 24);
    let sizes: Option<Vec<usize>> = call.ints(1)?.iter().map(size).collect();
    let rank = graph.ty(x).shape.rank();
    let Some(sizes) = sizes.filter(|sizes| sizes.len() == 2 * rank) else {
        return invalid(format!("paddings {:?} for {rank} axes", call.ints(1)?));
    };
    let mode = match (&*call.kind, call.optional(2)) {
        ("MIRROR_PAD", _) => match call.options::<MirrorPadOptions<'_>>()?.mode().unwrap_or(0) {
            0 => PadMode::Reflect,
            mode => return unsupported(format!("mode {mode} (REFLECT is)")),
        },
        ("PADV2", Some(Value::Floats(value))) => {
            PadMode::Constant(value.f32s().ok().and_then(|value| value.first().copied()).unwrap_or(0.0))
        }
        ("PADV2", Some(_)) => return unsupported("a value that is computed at run time"),
        _ => PadMode::Constant(0.0),
    };
    let pads = sizes.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    Ok(Value::Node(call.emit(graph, Pad { pads, mode }, &[x])?))
}

fn reshape(graph: &mut Graph, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    if *call.kind == *"SQUEEZE" {
        let x = call.placed(graph, input)?;
        let shape = graph.ty(x).shape.to_vec();
        let axes: Vec<i64> = match call.operator.options().and_then(|own: SqueezeOptions<'_>| own.axes()) {
            Some(axes) if !axes.is_empty() => axes.iter().map(i64::from).collect(),
            _ => (0..shape.len() as i64).filter(|&axis| shape[axis as usize] == 1).collect(),
        };
        let gone = axes_of(&axes, shape.len())?;
        if gone.iter().any(|&axis| shape[axis] != 1) {
            return invalid(format!("axes {axes:?} of {:?} are not all 1", shape));
        }
        let dims = (0..shape.len()).filter(|axis| !gone.contains(axis)).map(Dim::Keep).collect();
        return Ok(Value::Node(call.reshape(graph, x, dims)?));
    }
    let own: Vec<i64> = match call.optional(1) {
        Some(_) => call.ints(1)?.to_vec(),
        None => {
            let options: ReshapeOptions<'_> = call.options()?;
            options.new_shape().into_iter().flatten().map(i64::from).collect()
        }
    };
    let dim = |&size: &i64| match size {
        -1 => Some(Dim::Infer),
        size => usize::try_from(size).ok().map(Dim::Size),
    };
    let Some(dims) = own.iter().map(dim).collect::<Option<Vec<Dim>>>() else {
        return invalid(format!("shape {own:?}"));
    };
    let x = call.placed(graph, input)?;
    Ok(Value::Node(call.reshape(graph, x, dims)?))
}

fn transpose(graph: &mut Graph, call: &Call<'_>) -> Lowered {
    let x = call.place(graph, 0)?;
    let perm = axes_of(call.ints(1)?, graph.ty(x).shape.rank())?;
    Ok(Value::Node(call.emit(graph, Transpose { perm }, &[x])?))
}

fn softmax(graph: &mut Graph, call: &Call<'_>) -> Lowered {
    let mut x = call.place(graph, 0)?;
    let Some(axis) = graph.ty(x).shape.rank().checked_sub(1) else { return invalid("an input without axes") };
    let kind = match &*call.kind {
        "SOFTMAX" => {
            let beta = call.options::<SoftmaxOptions<'_>>()?.beta().unwrap_or(0.0);
            if beta != 1.0 {
                x = call.unary(graph, UnaryFn::Affine { scale: beta, offset: 0.0 }, x)?;
            }
            SoftmaxKind::Softmax
        }
        _ => SoftmaxKind::LogSoftmax,
    };
    Ok(Value::Node(call.emit(graph, Softmax { kind, axis }, &[x])?))
}

fn concatenation(graph: &mut Graph, call: &Call<'_>) -> Lowered {
    let options: ConcatenationOptions<'_> = call.options()?;
    let inputs = (0..call.inputs.len()).map(|position| call.place(graph, position)).collect::<Result<Vec<_>, _>>()?;
    let Some(&first) = inputs.first() else { return invalid("nothing to put together") };
    let axis = axis_of(options.axis().unwrap_or(0).into(), graph.ty(first).shape.rank())?;
    let y = call.emit(graph, Concat { axis }, &inputs)?;
    call.activate(graph, options.activation(), y)
}

/// Half-precision weights are widened when they are read.
fn dequantize(_: &mut Graph, call: &Call<'_>) -> Lowered {
    match call.input(0)? {
        Value::Floats(tensor) => Ok(Value::Floats(tensor.clone())),
        _ => unsupported("numbers other than constants of FLOAT16"),
    }
}

fn unary(graph: &mut Graph, call: &Call<'_>) -> Lowered {
    let function = match &*call.kind {
        "RELU" => UnaryFn::Relu,
        "RELU6" => UnaryFn::Relu6,
        "RELU_N1_TO_1" => UnaryFn::HardTanh,
        "RELU_0_TO_1" => UnaryFn::Clip { low: 0.0, high: 1.0 },
        "LEAKY_RELU" => {
            let options: LeakyReluOptions<'_> = call.options()?;
            UnaryFn::LeakyRelu { negative_slope: options.alpha().unwrap_or(0.0) }
        }
        "ELU" => UnaryFn::Elu { alpha: 1.0 },
        "LOGISTIC" => UnaryFn::Sigmoid,
        "TANH" => UnaryFn::Tanh,
        "HARD_SWISH" => UnaryFn::HardSilu,
        "EXP" => UnaryFn::Exp,
        "LOG" => UnaryFn::Log,
        "ABS" => UnaryFn::Abs,
        "NEG" => UnaryFn::Neg,
        "SQRT" => UnaryFn::Sqrt,
        _ => UnaryFn::Square,
    };
    let x = call.place(graph, 0)?;
    Ok(Value::Node(call.unary(graph, function, x)?))
}
