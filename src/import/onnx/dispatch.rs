//! Which translation each op has.

use super::lower::{Call, Lower, Lowered};
use super::{
    einsum, elementwise, gathering, known, movement, normalizations, ordering, quantize, reductions, resize, sampling,
    shaping, windows,
};

/// The translation of one op.
pub(super) type Translation = fn(&mut Lower, &Call<'_>) -> Lowered;

const TRANSLATIONS: &[(&[&str], Translation)] = &[
    (&["Conv"], windows::conv),
    (&["ConvTranspose"], windows::conv_transpose),
    (&["MaxPool", "AveragePool", "LpPool"], windows::pool),
    (&["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"], windows::global_pool),
    (&["LRN"], windows::lrn),
    (
        &[
            "Relu",
            "LeakyRelu",
            "Elu",
            "Selu",
            "Celu",
            "Sigmoid",
            "HardSigmoid",
            "HardSwish",
            "Tanh",
            "Softplus",
            "Softsign",
            "Mish",
            "Exp",
            "Log",
            "Sqrt",
            "Reciprocal",
            "ThresholdedRelu",
            "Shrink",
            "Gelu",
            "Swish",
            "Neg",
            "Abs",
            "Sign",
            "Not",
            "Floor",
            "Ceil",
            "Round",
            "Sin",
            "Cos",
            "Tan",
            "Asin",
            "Acos",
            "Atan",
            "Sinh",
            "Cosh",
            "Asinh",
            "Acosh",
            "Atanh",
            "Erf",
            "IsNaN",
            "IsInf",
        ],
        elementwise::unary,
    ),
    (
        &[
            "Add",
            "Sub",
            "Mul",
            "Div",
            "Max",
            "Min",
            "Sum",
            "Mean",
            "PRelu",
            "Equal",
            "Less",
            "LessOrEqual",
            "Greater",
            "GreaterOrEqual",
            "And",
            "Or",
            "Xor",
        ],
        elementwise::binary,
    ),
    (&["Clip"], elementwise::clip),
    (&["Pow"], elementwise::pow),
    (&["Where"], elementwise::choose),
    (&["MatMul"], reductions::matmul),
    (&["Gemm"], reductions::gemm),
    (
        &[
            "ReduceSum",
            "ReduceMean",
            "ReduceMax",
            "ReduceMin",
            "ReduceL1",
            "ReduceL2",
            "ReduceSumSquare",
            "ReduceLogSum",
            "ReduceLogSumExp",
            "ReduceProd",
        ],
        reductions::reduce,
    ),
    (&["Softmax", "LogSoftmax"], reductions::softmax),
    (&["BatchNormalization"], normalizations::batch_norm),
    (&["InstanceNormalization", "GroupNormalization"], normalizations::group_norm),
    (&["LayerNormalization"], normalizations::layer_norm),
    (&["RMSNormalization"], normalizations::rms_norm),
    (&["LpNormalization"], normalizations::lp_norm),
    (&["MeanVarianceNormalization"], normalizations::mean_variance),
    (&["ArgMax", "ArgMin"], ordering::arg_extreme),
    (&["Hardmax"], ordering::hardmax),
    (&["TopK"], ordering::top_k),
    (&["CumSum"], ordering::cumulative_sum),
    (&["Reshape"], movement::reshape),
    (&["Flatten"], movement::flatten),
    (&["Squeeze", "Unsqueeze"], movement::squeeze),
    (&["Transpose"], movement::transpose),
    (&["Concat"], movement::concat),
    (&["Slice"], movement::slice),
    (&["Split"], movement::split),
    (&["Gather"], gathering::gather),
    (&["GatherElements"], gathering::gather_elements),
    (&["GatherND"], gathering::gather_nd),
    (&["Scatter", "ScatterElements", "ScatterND"], gathering::scatter),
    (&["MaxUnpool"], gathering::max_unpool),
    (&["Trilu"], shaping::triangle),
    (&["EyeLike"], shaping::eye),
    (&["CenterCropPad"], shaping::center),
    (&["Col2Im"], shaping::columns),
    (&["Expand"], movement::expand),
    (&["Tile"], movement::tile),
    (&["Pad"], movement::pad),
    (&["DepthToSpace", "SpaceToDepth"], movement::depth_to_space),
    (&["Resize", "Upsample"], resize::resize),
    (&["GridSample"], sampling::grid_sample),
    (&["Einsum"], einsum::einsum),
    (&["Constant"], known::constant),
    (&["Shape", "Size"], known::shape),
    (&["ConstantOfShape"], known::constant_of_shape),
    (&["Range"], known::range),
    (&["Cast", "CastLike"], known::cast),
    (&["Identity"], known::identity),
    (&["Dropout"], known::dropout),
    (&["Mod"], known::modulo),
    (&["DequantizeLinear"], quantize::dequantize),
    (&["QuantizeLinear"], quantize::quantize),
    (&["DynamicQuantizeLinear"], quantize::dynamic_quantize),
    (&["ConvInteger", "MatMulInteger"], quantize::integer_product),
    (&["QLinearConv", "QLinearMatMul"], quantize::quantised_product),
    (&["OneHot"], gathering::one_hot),
];

pub(super) fn translation(op: &str) -> Option<Translation> {
    TRANSLATIONS.iter().find(|(ops, _)| ops.contains(&op)).map(|&(_, translate)| translate)
}

/// Ops that choose between graphs, which the walk itself does.
const CONTROL: &[&str] = &["If"];

pub(super) fn is_supported(op: &str) -> bool {
    translation(op).is_some() || CONTROL.contains(&op)
}

/// The ops of ONNX that are supported, in alphabetical order.
pub fn supported_ops() -> Vec<&'static str> {
    let translated = TRANSLATIONS.iter().flat_map(|(ops, _)| ops.iter().copied());
    let mut ops: Vec<&str> = translated.chain(CONTROL.iter().copied()).collect();
    ops.sort_unstable();
    ops
}
