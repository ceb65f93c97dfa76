//! Errors of host tensors, window arithmetic and op shape rules.

use std::path::PathBuf;

use thiserror::Error;

use crate::tensor::{DType, Shape};

/// A host tensor could not be made, read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TensorError {
    /// Element count and shape disagree.
    #[error("{found} elements do not fill the shape {shape}, which has {expected}")]
    Length {
        /// The shape asked for.
        shape: Shape,
        /// Its element count.
        expected: usize,
        /// The elements given.
        found: usize,
    },
    /// Another element type was expected.
    #[error("the tensor holds {found} elements where {expected} was expected; convert it with `Tensor::to_f32`")]
    DType {
        /// What the operation works on.
        expected: DType,
        /// What the tensor holds.
        found: DType,
    },
    /// A file could not be read or written.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        what: String,
    },
}

/// A sliding window does not work on an input.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WindowError {
    /// Axis counts disagree.
    #[error("the window has {expected} spatial axes, its filter {size} and the input {input}")]
    Axes {
        /// Axes of stride.
        expected: usize,
        /// Axes of the input.
        input: usize,
        /// Axes of the filter or pool size.
        size: usize,
    },
    /// A size, stride or dilation is zero.
    #[error(
        "spatial axis {axis}: input {input}, window size {size}, stride {stride} and dilation {dilation} must all be at least 1"
    )]
    Zero {
        /// The spatial axis, counted from 0.
        axis: usize,
        /// Input elements.
        input: usize,
        /// Taps.
        size: usize,
        /// Stride.
        stride: usize,
        /// Dilation.
        dilation: usize,
    },
    /// The window is larger than the padded input.
    #[error(
        "spatial axis {axis}: a window that reaches over {extent} elements never fits into {input} elements with {padding} of padding; use a smaller kernel or dilation, or `same` padding"
    )]
    NeverFits {
        /// The spatial axis, counted from 0.
        axis: usize,
        /// Input elements.
        input: usize,
        /// Reach of the window: `dilation * (size - 1) + 1`.
        extent: usize,
        /// Padding before and after together.
        padding: usize,
    },
}

/// An op cannot take the inputs it was given.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ShapeError {
    /// The number of inputs is wrong.
    #[error("{op} takes {expected} inputs and got {found}")]
    Inputs {
        /// The op.
        op: &'static str,
        /// Inputs it takes.
        expected: usize,
        /// Inputs given.
        found: usize,
    },
    /// An input has the wrong shape or attributes do not go with it.
    #[error("{op}: {what}")]
    Mismatch {
        /// The op.
        op: &'static str,
        /// What was wrong, and what would work.
        what: String,
    },
    /// A window does not fit.
    #[error("{op}: {source}")]
    Window {
        /// The op.
        op: &'static str,
        /// Why.
        source: WindowError,
    },
    /// Elements of the wrong type, or a tensor that cannot be formed.
    #[error("{op}: {source}")]
    Tensor {
        /// The op.
        op: &'static str,
        /// Why.
        source: TensorError,
    },
}

impl ShapeError {
    /// A [`ShapeError::Mismatch`].
    pub fn mismatch(op: &'static str, what: impl Into<String>) -> ShapeError {
        ShapeError::Mismatch { op, what: what.into() }
    }
}
