//! Layers that change elements in place: activations as layers, and those that do nothing at inference.

use serde_json::{Map, Value, json};

use super::settings::setters;
use super::to_config::number;
use super::{
    Activation, Emitter, Initializer, IntoLayer, KerasSite, Layer, LayerRef, Rescaling, WeightSpec, axis_of, in_keras,
};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops::{self, Binary, BinaryFn, SoftmaxKind, UnaryFn};
use crate::tensor::Shape;

/// An activation as a layer of its own, under the Keras class that it was made as.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationLayer {
    class: &'static str,
    activation: Activation,
}

impl ActivationLayer {
    /// Keras's `Activation`.
    pub fn new(activation: Activation) -> ActivationLayer {
        ActivationLayer { class: "Activation", activation }
    }

    /// The class of a function that has one, beside `Activation`.
    pub(super) fn class_of(function: UnaryFn) -> Option<&'static str> {
        match function {
            UnaryFn::Relu | UnaryFn::Relu6 | UnaryFn::ReluGeneral { .. } => Some("ReLU"),
            UnaryFn::LeakyRelu { .. } => Some("LeakyReLU"),
            UnaryFn::Elu { .. } => Some("ELU"),
            _ => None,
        }
    }

    /// Under another class: `ReLU`, `ELU`, `LeakyReLU`.
    pub(super) fn of_class(class: &'static str, activation: impl Into<Activation>) -> ActivationLayer {
        ActivationLayer { class, activation: activation.into() }
    }
}

impl Layer for ActivationLayer {
    fn class_name(&self) -> &'static str {
        self.class
    }

    fn config(&self) -> Value {
        match (self.class, self.activation) {
            ("ReLU", Activation::Function(function)) => {
                let (max_value, negative_slope, threshold) = match function {
                    UnaryFn::Relu6 => (6.0, 0.0, 0.0),
                    UnaryFn::ReluGeneral { max_value, negative_slope, threshold } => {
                        (max_value, negative_slope, threshold)
                    }
                    _ => (f32::INFINITY, 0.0, 0.0),
                };
                // JSON has no infinity; no bound is null, as in Keras.
                let max_value = if max_value.is_finite() { number(max_value) } else { Value::Null };
                json!({
                    "max_value": max_value,
                    "negative_slope": number(negative_slope),
                    "threshold": number(threshold),
                })
            }
            ("LeakyReLU", Activation::Function(UnaryFn::LeakyRelu { negative_slope })) => {
                json!({ "negative_slope": number(negative_slope) })
            }
            ("ELU", Activation::Function(UnaryFn::Elu { alpha })) => json!({ "alpha": number(alpha) }),
            _ => json!({ "activation": self.activation.to_config() }),
        }
    }

    fn in_keras(&self, site: &KerasSite<'_>) -> Result<Vec<LayerRef>, String> {
        let Activation::Function(function) = self.activation else { return Ok(Vec::new()) };
        if self.class != "Activation" || self.activation.name().is_some() {
            return Ok(Vec::new());
        }
        Ok(vec![match (ActivationLayer::class_of(function), function) {
            (Some(class), _) => ActivationLayer::of_class(class, function).named(site.name),
            (None, UnaryFn::Affine { scale, offset }) => Rescaling::new(vec![scale], vec![offset]).named(site.name),
            _ => return in_keras::named(self.activation).map(|()| Vec::new()),
        }])
    }

    fn weights(&self, _inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        Ok(Vec::new())
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        _weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let x = emitter.one(inputs)?;
        Ok(vec![self.activation.emit(emitter, x)?])
    }
}

/// Softmax along any axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftmaxLayer {
    axis: i64,
}

impl SoftmaxLayer {
    /// Along `axis`; Keras's default is the last one, -1.
    pub fn new(axis: i64) -> SoftmaxLayer {
        SoftmaxLayer { axis }
    }
}

impl Layer for SoftmaxLayer {
    fn class_name(&self) -> &'static str {
        "Softmax"
    }

    fn config(&self) -> Value {
        json!({ "axis": self.axis })
    }

    fn weights(&self, _inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        Ok(Vec::new())
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        _weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let x = emitter.one(inputs)?;
        let axis = axis_of(self.axis, emitter.shape(x).rank()).map_err(|what| emitter.wrong(what))?;
        Ok(vec![emitter.node("", ops::Softmax { kind: SoftmaxKind::Softmax, axis }, &[x])?])
    }
}

/// `x` where `x >= 0`, else `alpha * x` with a learnt `alpha` per element, shared along some axes.
#[derive(Debug, Clone, PartialEq)]
pub struct PReLU {
    shared_axes: Vec<usize>,
    alpha_initializer: Initializer,
}

impl PReLU {
    /// `shared_axes` count from 1, the batch not counted.
    pub fn new(shared_axes: Vec<usize>) -> PReLU {
        PReLU { shared_axes, alpha_initializer: Initializer::Zeros }
    }

    setters! {
        /// How `alpha` starts (zeros).
        alpha_initializer: Initializer,
    }
}

impl Layer for PReLU {
    fn class_name(&self) -> &'static str {
        "PReLU"
    }

    fn config(&self) -> Value {
        let shared_axes = (!self.shared_axes.is_empty()).then_some(&self.shared_axes);
        json!({ "alpha_initializer": self.alpha_initializer.to_config(), "shared_axes": shared_axes })
    }

    fn weights(&self, inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        let shape = inputs.first().ok_or("it takes one input")?;
        let sizes = (1..shape.rank()).map(|axis| if self.shared_axes.contains(&axis) { 1 } else { shape[axis] });
        Ok(vec![WeightSpec::new("alpha", sizes.collect::<Vec<_>>(), self.alpha_initializer.clone())])
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let x = emitter.one(inputs)?;
        Ok(vec![emitter.node("", Binary { function: BinaryFn::Prelu }, &[x, weights[0]])?])
    }
}

/// A layer that passes its input through: `Identity` and `ActivityRegularization`.
#[derive(Debug, Clone, PartialEq)]
pub struct PassThrough {
    class: &'static str,
    /// What the class is set to in Keras: it matters in training only.
    settings: Map<String, Value>,
}

impl PassThrough {
    /// Classes that are the identity.
    pub(super) const CLASSES: &'static [&'static str] = &["ActivityRegularization", "Identity"];

    /// One of the classes that are the identity, by its Keras name.
    pub fn of_class(name: &str) -> Option<PassThrough> {
        let class = PassThrough::CLASSES.iter().find(|class| **class == name)?;
        let none = || json!(0.0);
        let settings = match *class {
            "ActivityRegularization" => Map::from_iter([("l1".into(), none()), ("l2".into(), none())]),
            _ => Map::new(),
        };
        Some(PassThrough { class, settings })
    }

    /// Takes over what belongs to the classes from a configuration.
    pub(super) fn settings(mut self, config: &Map<String, Value>) -> PassThrough {
        let own = config.iter().filter(|(key, _)| ["l1", "l2"].contains(&key.as_str()));
        self.settings.extend(own.map(|(key, value)| (key.clone(), value.clone())));
        self
    }
}

impl Layer for PassThrough {
    fn class_name(&self) -> &'static str {
        self.class
    }

    fn config(&self) -> Value {
        Value::Object(self.settings.clone())
    }

    fn weights(&self, _inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        Ok(Vec::new())
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        _weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        Ok(vec![emitter.one(inputs)?])
    }
}
