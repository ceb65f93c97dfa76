//! The list of all templates, and the candidates of each op in order of preference.

use super::{
    DeviceClass, DeviceTraits, Kernel, batch_norm, binary, chain, concat, conv_direct, conv_few, conv_gemm,
    conv_generic, conv_grad_filter, conv_grad_filter_gemm, conv_grad_filter_lane, conv_lane, conv_transpose,
    conv_transpose_gemm, conv_transpose_lane, conv_winograd, conv_winograd_lane, dense_lane, dense_rows, depthwise,
    depthwise_grad_filter, depthwise_lane, depthwise_transpose, expand, gather, inverted_residual, matmul, matmul_tile,
    moments, normalize, pad, pad_grad, pointwise, pointwise_lane, pool, pool_grad, pool_grad_cells, random, reduce,
    resize, resize_grad, select, separable, shared_depthwise, shared_depthwise_lane, slice, slice_grad, softmax,
    squeeze_excite, transpose, transpose_block, transpose_tile, unary, unary_grad, update,
};
use crate::ops::Op;

/// Every template under `shaders/`, by the name that templates include it with.
pub(super) const TEMPLATES: &[(&str, &str)] = &[
    ("lib/activation.wgsl", include_str!("../../shaders/lib/activation.wgsl")),
    ("lib/axes.wgsl", include_str!("../../shaders/lib/axes.wgsl")),
    ("lib/copy.wgsl", include_str!("../../shaders/lib/copy.wgsl")),
    ("lib/epilogue.wgsl", include_str!("../../shaders/lib/epilogue.wgsl")),
    ("lib/functions.wgsl", include_str!("../../shaders/lib/functions.wgsl")),
    ("lib/gemm.wgsl", include_str!("../../shaders/lib/gemm.wgsl")),
    ("lib/gemm_operands.wgsl", include_str!("../../shaders/lib/gemm_operands.wgsl")),
    ("lib/window_register.wgsl", include_str!("../../shaders/lib/window_register.wgsl")),
    ("lib/index.wgsl", include_str!("../../shaders/lib/index.wgsl")),
    ("lib/nan.wgsl", include_str!("../../shaders/lib/nan.wgsl")),
    ("lib/texel.wgsl", include_str!("../../shaders/lib/texel.wgsl")),
    ("lib/team.wgsl", include_str!("../../shaders/lib/team.wgsl")),
    ("batch_norm", include_str!("../../shaders/batch_norm.wgsl")),
    ("binary", include_str!("../../shaders/binary.wgsl")),
    ("chain", include_str!("../../shaders/chain.wgsl")),
    ("concat", include_str!("../../shaders/concat.wgsl")),
    ("depthwise_grad_filter", include_str!("../../shaders/depthwise_grad_filter.wgsl")),
    ("depthwise_transpose", include_str!("../../shaders/depthwise_transpose.wgsl")),
    ("expand", include_str!("../../shaders/expand.wgsl")),
    ("gather", include_str!("../../shaders/gather.wgsl")),
    ("matmul", include_str!("../../shaders/matmul.wgsl")),
    ("matmul_tile", include_str!("../../shaders/matmul_tile.wgsl")),
    ("normalize", include_str!("../../shaders/normalize.wgsl")),
    ("inverted_residual", include_str!("../../shaders/inverted_residual.wgsl")),
    ("pad", include_str!("../../shaders/pad.wgsl")),
    ("peak_copy", include_str!("../../shaders/peak_copy.wgsl")),
    ("peak_multiply", include_str!("../../shaders/peak_multiply.wgsl")),
    ("pool", include_str!("../../shaders/pool.wgsl")),
    ("reduce", include_str!("../../shaders/reduce.wgsl")),
    ("resize", include_str!("../../shaders/resize.wgsl")),
    ("select", include_str!("../../shaders/select.wgsl")),
    ("slice", include_str!("../../shaders/slice.wgsl")),
    ("softmax", include_str!("../../shaders/softmax.wgsl")),
    ("transpose", include_str!("../../shaders/transpose.wgsl")),
    ("transpose_block", include_str!("../../shaders/transpose_block.wgsl")),
    ("transpose_tile", include_str!("../../shaders/transpose_tile.wgsl")),
    ("lib/lane.wgsl", include_str!("../../shaders/lib/lane.wgsl")),
    ("lib/tile_lane.wgsl", include_str!("../../shaders/lib/tile_lane.wgsl")),
    ("lib/window_lane.wgsl", include_str!("../../shaders/lib/window_lane.wgsl")),
    ("lib/window_strip.wgsl", include_str!("../../shaders/lib/window_strip.wgsl")),
    ("conv_gemm", include_str!("../../shaders/conv_gemm.wgsl")),
    ("depthwise", include_str!("../../shaders/depthwise.wgsl")),
    ("pointwise", include_str!("../../shaders/pointwise.wgsl")),
    ("shared_depthwise", include_str!("../../shaders/shared_depthwise.wgsl")),
    ("conv_generic", include_str!("../../shaders/conv_generic.wgsl")),
    ("conv_transpose", include_str!("../../shaders/conv_transpose.wgsl")),
    ("conv_transpose_gemm", include_str!("../../shaders/conv_transpose_gemm.wgsl")),
    ("conv_grad_filter_gemm", include_str!("../../shaders/conv_grad_filter_gemm.wgsl")),
    ("conv_grad_filter_lane", include_str!("../../shaders/conv_grad_filter_lane.wgsl")),
    ("conv_lane", include_str!("../../shaders/conv_lane.wgsl")),
    ("conv_transpose_lane", include_str!("../../shaders/conv_transpose_lane.wgsl")),
    ("conv_winograd", include_str!("../../shaders/conv_winograd.wgsl")),
    ("conv_winograd_lane", include_str!("../../shaders/conv_winograd_lane.wgsl")),
    ("conv_few", include_str!("../../shaders/conv_few.wgsl")),
    ("conv_direct", include_str!("../../shaders/conv_direct.wgsl")),
    ("dense_rows", include_str!("../../shaders/dense_rows.wgsl")),
    ("dense_lane", include_str!("../../shaders/dense_lane.wgsl")),
    ("depthwise_lane", include_str!("../../shaders/depthwise_lane.wgsl")),
    ("pointwise_lane", include_str!("../../shaders/pointwise_lane.wgsl")),
    ("shared_depthwise_lane", include_str!("../../shaders/shared_depthwise_lane.wgsl")),
    ("separable", include_str!("../../shaders/separable.wgsl")),
    ("squeeze_excite", include_str!("../../shaders/squeeze_excite.wgsl")),
    ("split_sum", include_str!("../../shaders/split_sum.wgsl")),
    ("unary", include_str!("../../shaders/unary.wgsl")),
    ("conv_grad_filter", include_str!("../../shaders/conv_grad_filter.wgsl")),
    ("moments", include_str!("../../shaders/moments.wgsl")),
    ("pad_grad", include_str!("../../shaders/pad_grad.wgsl")),
    ("pool_grad_cells", include_str!("../../shaders/pool_grad_cells.wgsl")),
    ("pool_grad", include_str!("../../shaders/pool_grad.wgsl")),
    ("random", include_str!("../../shaders/random.wgsl")),
    ("resize_grad", include_str!("../../shaders/resize_grad.wgsl")),
    ("slice_grad", include_str!("../../shaders/slice_grad.wgsl")),
    ("unary_grad", include_str!("../../shaders/unary_grad.wgsl")),
    ("update", include_str!("../../shaders/update.wgsl")),
];

/// A fingerprint of every template's text: what was measured of kernels holds for no others. FNV-1a, whose value, unlike that
/// of the standard library's hasher, is the same in every build.
pub fn shaders_fingerprint() -> String {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in TEMPLATES.iter().flat_map(|(name, text)| name.bytes().chain(text.bytes())) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    }
    format!("{hash:016x}")
}

/// The kernels that may take an op, the fastest first and the one that takes every case last.
///
/// A reshape has none: it is planned as another name for the same buffer.
pub fn candidates(op: &Op) -> &'static [Kernel] {
    match op {
        Op::Binary(_) => &[binary::KERNEL],
        Op::Chain(_) => &[chain::KERNEL],
        Op::Reduce(_) => &[reduce::KERNEL],
        Op::Softmax(_) => &[softmax::KERNEL],
        Op::Pad(_) => &[pad::KERNEL],
        Op::Resize(_) => &[resize::KERNEL],
        Op::Pool(_) => &[pool::KERNEL],
        Op::BatchNorm(_) => &[batch_norm::KERNEL],
        Op::Normalize(_) => &[normalize::KERNEL],
        Op::MatMul(_) => &[matmul_tile::KERNEL, matmul::KERNEL],
        Op::Transpose(_) => &[transpose_block::KERNEL, transpose_tile::KERNEL, transpose::KERNEL],
        Op::Concat(_) => &[concat::KERNEL],
        Op::Slice(_) => &[slice::KERNEL],
        Op::Expand(_) => &[expand::KERNEL],
        Op::Select(_) => &[select::KERNEL],
        Op::Gather(_) => &[gather::KERNEL],
        Op::Conv(_) => &[
            dense_lane::KERNEL,
            pointwise_lane::KERNEL,
            conv_lane::KERNEL,
            depthwise_lane::KERNEL,
            shared_depthwise_lane::KERNEL,
            dense_rows::KERNEL,
            conv_few::KERNEL,
            pointwise::KERNEL,
            depthwise::KERNEL,
            shared_depthwise::KERNEL,
            conv_direct::KERNEL,
            conv_gemm::KERNEL,
            conv_generic::KERNEL,
        ],
        Op::ConvTranspose(_) => &[
            depthwise_transpose::KERNEL,
            conv_transpose_lane::KERNEL,
            conv_transpose_gemm::KERNEL,
            conv_transpose::KERNEL,
        ],
        Op::Separable(_) => &[separable::KERNEL],
        Op::InvertedResidual(_) => &[inverted_residual::KERNEL],
        Op::SqueezeExcite(_) => &[squeeze_excite::KERNEL],
        Op::Winograd(_) => &[conv_winograd_lane::KERNEL, conv_winograd::KERNEL],
        Op::Unary(_) => &[unary::KERNEL],
        Op::UnaryGrad(_) => &[unary_grad::KERNEL],
        Op::ConvGradFilter(_) => &[
            depthwise_grad_filter::KERNEL,
            conv_grad_filter_lane::KERNEL,
            conv_grad_filter_gemm::KERNEL,
            conv_grad_filter::KERNEL,
        ],
        Op::PoolGrad(_) => &[pool_grad_cells::KERNEL, pool_grad::KERNEL],
        Op::SliceGrad(_) => &[slice_grad::KERNEL],
        Op::PadGrad(_) => &[pad_grad::KERNEL],
        Op::ResizeGrad(_) => &[resize_grad::KERNEL],
        Op::Moments(_) => &[moments::KERNEL],
        Op::Random(_) => &[random::KERNEL],
        Op::Update(_) => &[update::KERNEL],
        _ => &[],
    }
}

/// Kernels that stage tiles in workgroup memory. A processor has none, and pays for every barrier.
const TILED: &[&str] = &[
    "conv_gemm",
    "conv_grad_filter_gemm",
    "conv_transpose_gemm",
    "dense_rows",
    "matmul_tile",
    "pointwise",
    "transpose_tile",
];

/// The candidates in the order in which a device prefers them.
pub fn preferred(op: &Op, traits: &DeviceTraits) -> Vec<&'static Kernel> {
    let mut order: Vec<&'static Kernel> = candidates(op).iter().collect();
    if traits.class == DeviceClass::Cpu {
        order.sort_by_key(|kernel| TILED.contains(&kernel.stem));
    }
    order
}
