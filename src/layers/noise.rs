//! Layers that add noise in training and do nothing at inference: the dropout family.

use serde_json::{Value, json};

use super::to_config::number;
use super::{DataFormat, Emitter, Layer, WeightSpec};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops::{Binary, BinaryFn, Distribution, Unary, UnaryFn};
use crate::tensor::Shape;

/// A layer that adds noise in training and passes its input through at inference.
///
/// The numbers follow from the seed of the training, the step and the position alone, so that a run can be repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct Noise {
    class: &'static str,
    kind: Kind,
    shape: Option<Vec<Option<usize>>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Dropout(f32),
    GaussianDropout(f32),
    AlphaDropout(f32),
    Gaussian(f32),
}

impl Noise {
    /// Keras's `Dropout`: a share `rate` of the elements becomes 0, the others grow by `1 / (1 - rate)`.
    pub fn dropout(rate: f32) -> Noise {
        Noise { class: "Dropout", kind: Kind::Dropout(rate), shape: None }
    }

    /// Keras's `SpatialDropout1D` to `3D`: whole channels are dropped.
    pub fn spatial_dropout(axes: usize, rate: f32) -> Noise {
        let class = ["SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"];
        let axes = axes.clamp(1, 3);
        let shape = [None].into_iter().chain(vec![Some(1); axes]).chain([None]).collect();
        Noise { class: class[axes - 1], shape: Some(shape), ..Noise::dropout(rate) }
    }

    /// Keras's `GaussianDropout`: factors of mean 1 and variance `rate / (1 - rate)`.
    pub fn gaussian_dropout(rate: f32) -> Noise {
        Noise { class: "GaussianDropout", kind: Kind::GaussianDropout(rate), shape: None }
    }

    /// Keras's `AlphaDropout`, which keeps mean and variance of what comes out of SELU.
    pub fn alpha_dropout(rate: f32) -> Noise {
        Noise { class: "AlphaDropout", kind: Kind::AlphaDropout(rate), shape: None }
    }

    /// Keras's `GaussianNoise`: added numbers of mean 0 and this standard deviation.
    pub fn gaussian(deviation: f32) -> Noise {
        Noise { class: "GaussianNoise", kind: Kind::Gaussian(deviation), shape: None }
    }

    /// Spatial dropout of an input with its channels first.
    #[must_use]
    pub fn channels_first(self) -> Noise {
        let axes = self.shape.as_ref().map_or(0, |shape| shape.len().saturating_sub(2));
        Noise { shape: Some([None, None].into_iter().chain(vec![Some(1); axes]).collect()), ..self }
    }

    /// The shape of the noise, which repeats along axes of size 1; `None` for the input's size, the batch first.
    #[must_use]
    pub fn noise_shape(self, shape: Vec<Option<usize>>) -> Noise {
        Noise { shape: Some(shape), ..self }
    }
}

impl Layer for Noise {
    fn class_name(&self) -> &'static str {
        self.class
    }

    fn config(&self) -> Value {
        let (key, value) = match self.kind {
            Kind::Dropout(rate) | Kind::GaussianDropout(rate) | Kind::AlphaDropout(rate) => ("rate", rate),
            Kind::Gaussian(deviation) => ("stddev", deviation),
        };
        let mut config = json!({ key: number(value) });
        match &self.shape {
            Some(shape) if self.class.starts_with("SpatialDropout") => {
                let first = shape.get(1) == Some(&None);
                // Keras's class of one axis takes channels last only, and no such key.
                if first || shape.len() > 3 {
                    let format = if first { DataFormat::ChannelsFirst } else { DataFormat::ChannelsLast };
                    config["data_format"] = json!(format.name());
                }
            }
            Some(shape) => config["noise_shape"] = json!(shape),
            None => {}
        }
        config
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
        let (Kind::Dropout(rate) | Kind::GaussianDropout(rate) | Kind::AlphaDropout(rate) | Kind::Gaussian(rate)) =
            self.kind;
        if rate < 0.0 || (!matches!(self.kind, Kind::Gaussian(_)) && rate >= 1.0) {
            return Err(emitter.wrong(format!("its rate is {rate}; a rate is at least 0 and below 1")));
        }
        if !emitter.training() || rate == 0.0 {
            return Ok(vec![x]);
        }
        let own = emitter.shape(x);
        let shape: Shape = match &self.shape {
            Some(shape) => shape.iter().zip(own.iter()).map(|(size, &own)| size.unwrap_or(own)).collect(),
            None => own.clone(),
        };
        let normal = |mean, deviation| Distribution::Normal { mean, deviation };
        let (function, factors) = match self.kind {
            Kind::Dropout(rate) => (BinaryFn::Mul, emitter.random(Distribution::Keep { rate }, shape)?),
            Kind::GaussianDropout(rate) => {
                (BinaryFn::Mul, emitter.random(normal(1.0, (rate / (1.0 - rate)).sqrt()), shape)?)
            }
            Kind::Gaussian(deviation) => (BinaryFn::Add, emitter.random(normal(0.0, deviation), shape)?),
            Kind::AlphaDropout(rate) => return alpha_dropout(emitter, x, rate, shape),
        };
        Ok(vec![emitter.node("", Binary { function }, &[x, factors])?])
    }
}

/// Dropped elements become `-scale * alpha` of SELU, and an affine function restores mean and variance
/// (`keras/src/layers/regularization/alpha_dropout.py`).
fn alpha_dropout(emitter: &mut Emitter<'_>, x: ValueId, rate: f32, shape: Shape) -> Result<Vec<ValueId>, LayerError> {
    const DROPPED: f32 = -1.050_701 * 1.673_263_2;
    let a = ((1.0 - rate) * (1.0 + rate * DROPPED * DROPPED)).powf(-0.5);
    let b = -a * DROPPED * rate;
    let factors = emitter.random(Distribution::Keep { rate }, shape)?;
    let affine = |scale, offset| Unary { function: UnaryFn::Affine { scale, offset } };
    let kept = emitter.node("kept", affine(1.0 - rate, 0.0), &[factors])?;
    let inside = emitter.node("inside", Binary { function: BinaryFn::Mul }, &[x, kept])?;
    // `DROPPED` where nothing was kept, else 0.
    let outside = emitter.node("outside", affine(-DROPPED, DROPPED), &[kept])?;
    let joined = emitter.node("joined", Binary { function: BinaryFn::Add }, &[inside, outside])?;
    Ok(vec![emitter.node("", affine(a, b), &[joined])?])
}
