//! Layers that change elements in place: activations as layers, and those that do nothing at inference.

use super::{Activation, Emitter, Initializer, Layer, WeightSpec, axis_of};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops::{self, Binary, BinaryFn, SoftmaxKind};
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

    /// Under another class: `ReLU`, `ELU`, `LeakyReLU`.
    pub(super) fn of_class(class: &'static str, activation: impl Into<Activation>) -> ActivationLayer {
        ActivationLayer { class, activation: activation.into() }
    }
}

impl Layer for ActivationLayer {
    fn class_name(&self) -> &'static str {
        self.class
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
}

impl Layer for PReLU {
    fn class_name(&self) -> &'static str {
        "PReLU"
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassThrough {
    class: &'static str,
}

impl PassThrough {
    /// Classes that are the identity.
    pub(super) const CLASSES: &'static [&'static str] = &["ActivityRegularization", "Identity"];

    /// One of the classes that are the identity, by its Keras name.
    pub fn of_class(name: &str) -> Option<PassThrough> {
        PassThrough::CLASSES.iter().find(|class| **class == name).map(|class| PassThrough { class })
    }
}

impl Layer for PassThrough {
    fn class_name(&self) -> &'static str {
        self.class
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
