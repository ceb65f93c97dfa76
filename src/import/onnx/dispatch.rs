//! Which translation each op has.

use super::lower::{Call, Lower, Lowered};
use super::{elementwise, known, movement, reductions, resize, windows};

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
            "Erf",
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
    (&["BatchNormalization"], reductions::batch_norm),
    (&["InstanceNormalization", "LayerNormalization", "GroupNormalization"], reductions::normalization),
    (&["Reshape"], movement::reshape),
    (&["Flatten"], movement::flatten),
    (&["Squeeze", "Unsqueeze"], movement::squeeze),
    (&["Transpose"], movement::transpose),
    (&["Concat"], movement::concat),
    (&["Slice"], movement::slice),
    (&["Split"], movement::split),
    (&["Gather"], movement::gather),
    (&["Expand"], movement::expand),
    (&["Tile"], movement::tile),
    (&["Pad"], movement::pad),
    (&["DepthToSpace", "SpaceToDepth"], movement::depth_to_space),
    (&["Resize", "Upsample"], resize::resize),
    (&["Constant"], known::constant),
    (&["Shape", "Size"], known::shape),
    (&["ConstantOfShape"], known::constant_of_shape),
    (&["Range"], known::range),
    (&["Cast", "CastLike"], known::cast),
    (&["Identity", "Dropout"], known::identity),
    (&["OneHot"], known::one_hot),
];

pub(super) fn translation(op: &str) -> Option<Translation> {
    TRANSLATIONS.iter().find(|(ops, _)| ops.contains(&op)).map(|&(_, translate)| translate)
}

/// The ops that have a translation, in alphabetical order.
pub fn supported_ops() -> Vec<&'static str> {
    let mut ops: Vec<&str> = TRANSLATIONS.iter().flat_map(|(ops, _)| ops.iter().copied()).collect();
    ops.sort_unstable();
    ops
}
