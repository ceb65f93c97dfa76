//! The functions of `keras.activations`, by name.

use super::Emitter;
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops::{Binary, BinaryFn, Slice, Softmax, SoftmaxKind, Unary, UnaryFn};

/// What a layer does to its result.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Activation {
    /// Nothing.
    #[default]
    Linear,
    /// A function of each element.
    Function(UnaryFn),
    /// Softmax and its kin along the last axis.
    Softmax(SoftmaxKind),
    /// The first half of the last axis times the sigmoid of the second.
    Glu,
}

impl Activation {
    /// `max(x, 0)`.
    pub const RELU: Activation = Activation::Function(UnaryFn::Relu);
    /// `min(max(x, 0), 6)`.
    pub const RELU6: Activation = Activation::Function(UnaryFn::Relu6);
    /// `1 / (1 + exp(-x))`.
    pub const SIGMOID: Activation = Activation::Function(UnaryFn::Sigmoid);
    /// `x * sigmoid(x)`, also known as swish.
    pub const SILU: Activation = Activation::Function(UnaryFn::Silu);
    /// Hyperbolic tangent.
    pub const TANH: Activation = Activation::Function(UnaryFn::Tanh);
    /// Softmax along the last axis.
    pub const SOFTMAX: Activation = Activation::Softmax(SoftmaxKind::Softmax);

    /// The activation of a Keras name, with Keras's defaults for its parameters; `None` for a name that Keras lacks.
    pub fn from_name(name: &str) -> Option<Activation> {
        let function = match name {
            "linear" => return Some(Activation::Linear),
            "softmax" => return Some(Activation::SOFTMAX),
            "log_softmax" => return Some(Activation::Softmax(SoftmaxKind::LogSoftmax)),
            "sparsemax" => return Some(Activation::Softmax(SoftmaxKind::Sparsemax)),
            "glu" => return Some(Activation::Glu),
            "relu" => UnaryFn::Relu,
            "relu6" => UnaryFn::Relu6,
            "leaky_relu" => UnaryFn::LeakyRelu { negative_slope: 0.2 },
            "elu" => UnaryFn::Elu { alpha: 1.0 },
            "selu" => UnaryFn::Selu,
            "celu" => UnaryFn::Celu { alpha: 1.0 },
            "gelu" => UnaryFn::Gelu,
            "silu" | "swish" => UnaryFn::Silu,
            "hard_silu" | "hard_swish" => UnaryFn::HardSilu,
            "sigmoid" => UnaryFn::Sigmoid,
            "hard_sigmoid" => UnaryFn::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 },
            "log_sigmoid" => UnaryFn::LogSigmoid,
            "sparse_sigmoid" => UnaryFn::SparseSigmoid,
            "tanh" => UnaryFn::Tanh,
            "hard_tanh" => UnaryFn::HardTanh,
            "tanh_shrink" => UnaryFn::TanhShrink,
            "softplus" => UnaryFn::Softplus,
            "softsign" => UnaryFn::Softsign,
            "sparse_plus" => UnaryFn::SparsePlus,
            "squareplus" => UnaryFn::Squareplus { b: 4.0 },
            "hard_shrink" => UnaryFn::HardShrink { threshold: 0.5 },
            "soft_shrink" => UnaryFn::SoftShrink { threshold: 0.5 },
            "threshold" => UnaryFn::Threshold { threshold: 0.0, value: 0.0 },
            "mish" => UnaryFn::Mish,
            "exponential" => UnaryFn::Exp,
            _ => return None,
        };
        Some(Activation::Function(function))
    }

    /// Adds the activation to a graph.
    pub(super) fn emit(self, emitter: &mut Emitter<'_>, x: ValueId) -> Result<ValueId, LayerError> {
        match self {
            Activation::Linear => Ok(x),
            Activation::Function(function) => emitter.node("activation", Unary { function }, &[x]),
            Activation::Softmax(kind) => {
                let axis = emitter.shape(x).rank().saturating_sub(1);
                emitter.node("activation", Softmax { kind, axis }, &[x])
            }
            Activation::Glu => {
                let shape = emitter.shape(x);
                let axis = shape.rank().saturating_sub(1);
                let half = (shape.last_axis() / 2) as i64;
                if half * 2 != shape.last_axis() as i64 {
                    return Err(emitter.wrong(format!("glu halves the last axis, which has {}", shape.last_axis())));
                }
                let value = emitter.node("value", Slice::range(axis, 0, Some(half)), &[x])?;
                let gate = emitter.node("gate", Slice::range(axis, half, None), &[x])?;
                let gate = emitter.node("gate", Unary { function: UnaryFn::Sigmoid }, &[gate])?;
                emitter.node("activation", Binary { function: BinaryFn::Mul }, &[value, gate])
            }
        }
    }
}

impl From<UnaryFn> for Activation {
    fn from(function: UnaryFn) -> Activation {
        Activation::Function(function)
    }
}
