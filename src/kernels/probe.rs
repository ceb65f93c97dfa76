//! Dispatches that measure a device instead of computing an op.

use super::Dispatch;
use crate::ops::Cost;
use crate::tensor::{Tensor, TensorType};

/// A dispatch without an op: it reads constants and writes one output whose every element is known.
#[derive(Debug, Clone)]
pub struct Probe {
    /// `shaders/<stem>.wgsl`.
    pub stem: &'static str,
    /// What is dispatched; [`Operand::Input`](super::Operand::Input) names a constant.
    pub dispatch: Dispatch,
    /// The constants that it reads.
    pub constants: Vec<Tensor>,
    /// What it writes.
    pub output: TensorType,
    /// Its work.
    pub cost: Cost,
    /// The element that it writes at a position.
    pub expected: fn(usize) -> f32,
}
