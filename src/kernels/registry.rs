//! The list of all templates, and the candidates of each op in order of preference.

use super::{Kernel, binary, unary};
use crate::ops::Op;

/// Every template under `shaders/`, by the name that templates include it with.
pub(super) const TEMPLATES: &[(&str, &str)] = &[
    ("lib/activation.wgsl", include_str!("../../shaders/lib/activation.wgsl")),
    ("lib/axes.wgsl", include_str!("../../shaders/lib/axes.wgsl")),
    ("lib/index.wgsl", include_str!("../../shaders/lib/index.wgsl")),
    ("lib/nan.wgsl", include_str!("../../shaders/lib/nan.wgsl")),
    ("binary", include_str!("../../shaders/binary.wgsl")),
    ("unary", include_str!("../../shaders/unary.wgsl")),
];

/// The kernels that may take an op, the fastest first and the one that takes every case last.
///
/// A reshape has none: it is planned as another name for the same buffer.
pub fn candidates(op: &Op) -> &'static [Kernel] {
    match op {
        Op::Binary(_) => &[binary::KERNEL],
        Op::Unary(_) => &[unary::KERNEL],
        _ => &[],
    }
}
