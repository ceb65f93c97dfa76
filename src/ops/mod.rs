//! The closed set of ops: what each one means, apart from any device or file format.
//!
//! Activations are `[batch.., spatial.., channels]`, dense and row-major. Each op has, in its own file or folder, its
//! shape rule, its CPU reference, its gradient (or why there is none), its cost and its accuracy class.

mod batch_norm;
mod binary;
mod chain;
mod concat;
mod conv;
mod conv_grad_filter;
mod conv_transpose;
mod cost;
mod expand;
mod gather;
mod gradient;
mod inverted_residual;
mod matmul;
mod moments;
mod normalize;
mod pad;
mod pad_grad;
mod pool;
mod pool_grad;
mod random;
mod reduce;
mod reshape;
mod resize;
mod resize_grad;
mod select;
mod separable;
mod slice;
mod slice_grad;
mod softmax;
mod squeeze_excite;
mod transpose;
mod unary;
mod unary_grad;
mod update;
mod winograd;

pub use batch_norm::BatchNorm;
pub use binary::{Binary, BinaryFn};
pub use chain::{Chain, ChainOperand, ChainStep};
pub use concat::Concat;
pub use conv::{Conv, ConvSite, Epilogue, Filters};
pub use conv_grad_filter::{ConvGradFilter, ConvGradFilterSite};
pub use conv_transpose::{ConvTranspose, ConvTransposeSite, TransposeAxis};
pub use cost::Cost;
pub use expand::Expand;
pub use gather::Gather;
pub use gradient::{Gradient, GradientBuilder, GradientSite, Operand};
pub use inverted_residual::InvertedResidual;
pub use matmul::{MatMul, MatMulSite};
pub use moments::Moments;
pub use normalize::Normalize;
pub use pad::{Pad, PadMode};
pub use pad_grad::PadGrad;
pub use pool::{Pool, PoolKind, PoolSite};
pub use pool_grad::PoolGrad;
pub use random::{Distribution, Random};
pub use reduce::{Reduce, ReduceFn};
pub use reshape::{Dim, Reshape};
pub use resize::{Resize, ResizeMode};
pub use resize_grad::ResizeGrad;
pub use select::Select;
pub use separable::Separable;
pub use slice::{Slice, SliceAxis};
pub use slice_grad::SliceGrad;
pub use softmax::{Softmax, SoftmaxKind};
pub use squeeze_excite::SqueezeExcite;
pub use transpose::Transpose;
pub use unary::{Unary, UnaryFn};
pub use unary_grad::UnaryGrad;
pub use update::{Update, UpdateRule};
pub use winograd::Winograd;

use crate::error::ShapeError;
use crate::tensor::{Accuracy, DType, Tensor, TensorType};

/// What every op states about itself. There are no default bodies: an op that lacks one does not compile.
pub trait OpSpec {
    /// The op's name in prints and errors.
    fn name(&self) -> &'static str;

    /// The shape rule.
    ///
    /// # Errors
    /// [`ShapeError`] when the op does not take these inputs.
    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError>;

    /// The CPU reference: plain loops with `f64` accumulators, the oracle of every kernel.
    ///
    /// # Errors
    /// As [`OpSpec::infer`]; nothing else goes wrong for inputs that it accepts.
    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError>;

    /// The gradients of the inputs, written as further ops, or why there are none.
    ///
    /// # Errors
    /// [`ShapeError`] for inputs that [`OpSpec::infer`] refuses.
    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError>;

    /// Multiply-accumulates and bytes.
    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost;

    /// How close a kernel must come to the reference.
    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy;
}

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// One op with its attributes.
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        pub enum Op {
            $($(#[$doc])* $name($name),)*
        }

        impl Op {
            /// The op's own statement of itself.
            pub fn spec(&self) -> &dyn OpSpec {
                match self {
                    $(Op::$name(op) => op,)*
                }
            }

            /// How far each element of the first output may lie from the reference beside the op's accuracy class; `None` for most
            /// ops. See [`Chain::slack`].
            ///
            /// # Errors
            /// [`ShapeError`] as for the reference.
            pub fn slack(&self, inputs: &[&Tensor]) -> Result<Option<Tensor>, ShapeError> {
                match self {
                    Op::Chain(chain) => chain.slack(inputs),
                    _ => Ok(None),
                }
            }
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Op {
                Op::$name(op)
            }
        })*
    };
}

ops! {
    /// Convolution over 0 to 3 spatial axes; depthwise, pointwise, shared-kernel and dense are its special cases.
    Conv,
    /// Transposed convolution.
    ConvTranspose,
    /// A depthwise and a pointwise convolution in one.
    Separable,
    /// A pointwise, a depthwise and a pointwise convolution in one.
    InvertedResidual,
    /// The factors of a squeeze-and-excite block: a mean over all pixels and two dense layers in one.
    SqueezeExcite,
    /// A 3x3 convolution with transformed filters.
    Winograd,
    /// Max and average pooling.
    Pool,
    /// Batched matrix product of two computed operands.
    MatMul,
    /// A function of each element.
    Unary,
    /// A function of two elements, with broadcasting.
    Binary,
    /// Functions of each element, one after the other.
    Chain,
    /// Reduction over axes.
    Reduce,
    /// Softmax and its kin along one axis.
    Softmax,
    /// Mean and variance normalisation over axes, with scale and offset (layer and group normalisation).
    Normalize,
    /// Batch normalisation with given statistics.
    BatchNorm,
    /// The same elements under another shape.
    Reshape,
    /// Permutation of axes.
    Transpose,
    /// Concatenation along an axis.
    Concat,
    /// Part of a tensor, per axis from, to and step.
    Slice,
    /// Elements added around a tensor.
    Pad,
    /// Spatial up- and downsampling.
    Resize,
    /// Repetition along axes of size 1.
    Expand,
    /// A choice between two operands.
    Select,
    /// Elements along an axis by their positions.
    Gather,
    /// Mean and variance of each channel.
    Moments,
    /// Random numbers by position.
    Random,
    /// The gradient of a convolution's weights.
    ConvGradFilter,
    /// The gradient of a pool's input.
    PoolGrad,
    /// The gradient of a function of each element.
    UnaryGrad,
    /// The gradient of a slice.
    SliceGrad,
    /// The gradient of mirrored and repeated padding.
    PadGrad,
    /// The gradient of linear upsampling.
    ResizeGrad,
    /// An optimizer's step on one weight.
    Update,
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.spec().name())
    }
}

/// Checks the number of inputs and that all of them are `f32`.
fn expect_f32(op: &'static str, inputs: &[TensorType], count: usize) -> Result<(), ShapeError> {
    if inputs.len() != count {
        return Err(ShapeError::Inputs { op, expected: count, found: inputs.len() });
    }
    match inputs.iter().find(|input| input.dtype != DType::F32) {
        Some(input) => Err(ShapeError::mismatch(op, format!("works on f32 and got {input}; cast it first"))),
        None => Ok(()),
    }
}

/// Types of the reference's inputs, for running the shape rule inside it.
fn types(inputs: &[&Tensor]) -> Vec<TensorType> {
    inputs.iter().map(|tensor| tensor.tensor_type()).collect()
}

/// The elements of each input.
fn values<'a>(op: &'static str, inputs: &[&'a Tensor]) -> Result<Vec<&'a [f32]>, ShapeError> {
    inputs.iter().map(|tensor| tensor.f32s().map_err(|source| ShapeError::Tensor { op, source })).collect()
}

/// The single output of a reference.
fn output(op: &'static str, ty: &TensorType, data: Vec<f32>) -> Result<Vec<Tensor>, ShapeError> {
    Tensor::from_f32(ty.shape.clone(), data)
        .map(|tensor| vec![tensor])
        .map_err(|source| ShapeError::Tensor { op, source })
}
