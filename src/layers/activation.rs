//! The functions of `keras.activations`, by name.

use serde_json::{Value, json};

use super::config::Config;
use super::from_config::activation_class;
use super::{ActivationLayer, Emitter, Layer};
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

    /// The names of `keras.activations`, one each.
    const NAMES: &'static [&'static str] = &[
        "linear",
        "softmax",
        "log_softmax",
        "sparsemax",
        "glu",
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "selu",
        "celu",
        "gelu",
        "silu",
        "hard_silu",
        "sigmoid",
        "hard_sigmoid",
        "log_sigmoid",
        "sparse_sigmoid",
        "tanh",
        "hard_tanh",
        "tanh_shrink",
        "softplus",
        "softsign",
        "sparse_plus",
        "squareplus",
        "hard_shrink",
        "soft_shrink",
        "threshold",
        "mish",
        "exponential",
    ];

    /// Its name in `keras.activations`; `None` for parameters or functions that no name there stands for.
    pub fn name(&self) -> Option<&'static str> {
        Activation::NAMES.iter().copied().find(|name| Activation::from_name(name) == Some(*self))
    }

    /// As Keras writes it: the name, or the layer that it is as an activation. A function that Keras lacks is written as a
    /// class of this crate.
    pub(super) fn to_config(self) -> Value {
        if let Some(name) = self.name() {
            return json!(name);
        }
        let Activation::Function(function) = self else { return Value::Null };
        match ActivationLayer::class_of(function) {
            Some(class) => json!({
                "module": "keras.layers",
                "class_name": class,
                "config": ActivationLayer::of_class(class, function).config(),
                "registered_name": null,
            }),
            None => json!({ "module": "wgconv.ops", "class_name": "UnaryFn", "config": function }),
        }
    }

    /// What [`Activation::to_config`] wrote.
    pub(super) fn from_config(value: &Value) -> Option<Activation> {
        if let Some(name) = value.as_str() {
            return Activation::from_name(name);
        }
        let config = value.get("config")?;
        match (value.get("class_name")?.as_str()?, config) {
            (_, Value::String(name)) => Activation::from_name(name),
            ("UnaryFn", function) => serde_json::from_value(function.clone()).ok().map(Activation::Function),
            (class, Value::Object(map)) => {
                let config = Config::new(class, map);
                let Some((class, function)) = activation_class(class, &config) else {
                    return Activation::from_name(class);
                };
                config.done(ActivationLayer::of_class(class, function)).ok().map(|_| Activation::Function(function))
            }
            _ => None,
        }
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
