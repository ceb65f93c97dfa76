//! Mean and variance of each channel.

use serde::Serialize;

use super::{BatchNorm, Cost, Gradient, GradientSite, OpSpec, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

/// Mean and (biased) variance over all axes but one: the statistics of batch normalisation. One input; outputs: the mean
/// and the variance, each `[size of the axis]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moments {
    /// The axis that has its own statistics, as a rule the channels.
    pub axis: usize,
}

impl Moments {
    /// Elements that share one mean and variance.
    pub fn length(&self, input: &TensorType) -> usize {
        let own = input.shape.get(self.axis).copied().unwrap_or(1).max(1);
        input.shape.elements() / own
    }
}

impl OpSpec for Moments {
    fn name(&self) -> &'static str {
        "Moments"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        match inputs[0].shape.get(self.axis) {
            Some(&size) => Ok(vec![TensorType::f32([size]), TensorType::f32([size])]),
            None => Err(ShapeError::mismatch(self.name(), format!("axis {} of {}", self.axis, inputs[0].shape))),
        }
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let types = types(inputs);
        let ty = self.infer(&types)?.remove(0);
        let (x, shape) = (values(self.name(), inputs)?[0], inputs[0].shape());
        let (size, inner) = (shape[self.axis], shape[self.axis + 1..].iter().product::<usize>());
        let length = self.length(&types[0]) as f64;
        let mut mean = vec![0f64; size];
        for (i, &x) in x.iter().enumerate() {
            mean[i / inner % size] += f64::from(x) / length;
        }
        let mut variance = vec![0f64; size];
        for (i, &x) in x.iter().enumerate() {
            let channel = i / inner % size;
            variance[channel] += (f64::from(x) - mean[channel]).powi(2) / length;
        }
        let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        let mut outputs = output(self.name(), &ty, single(mean))?;
        outputs.extend(output(self.name(), &ty, single(variance))?);
        Ok(outputs)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (x, mean) = (site.inputs[0], site.outputs[0]);
        let types = site.types();
        let length = self.length(&types[0]) as f32;
        let channels = site.shape(mean);
        let part = |site: &mut GradientSite<'_>, output: usize, factor: f32| match site.gradients.get(output) {
            Some(&Some(gradient)) => site.scaled(gradient, factor),
            _ => Ok(site.constant(Tensor::full(channels.clone(), 0.0))),
        };
        let slope = part(site, 1, 2.0 / length)?;
        let offset = part(site, 0, 1.0 / length)?;
        // `slope * (x - mean) + offset` is a batch normalisation by a variance of 1.
        let ones = site.constant(Tensor::full(channels.clone(), 1.0));
        let op = BatchNorm { axis: self.axis, epsilon: 0.0 };
        GradientSite::only(site.emit(op, &[x, slope, offset, mean, ones])?)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        Accuracy::NormalizedReduction { length: inputs.first().map_or(1, |input| self.length(input)) }
    }
}
