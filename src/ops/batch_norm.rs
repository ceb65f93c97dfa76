//! Batch normalisation with given statistics (inference).

use serde::Serialize;

use super::{Cost, Gradient, OpSpec, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta` along one axis.
///
/// Inputs: `x`, then `gamma`, `beta`, `mean`, `variance`, each `[size of the axis]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchNorm {
    /// The axis that has its own statistics, as a rule the channels.
    pub axis: usize,
    /// Added to the variance.
    pub epsilon: f32,
}

impl BatchNorm {
    /// The factor and summand that one channel's statistics amount to, in double precision.
    pub fn scale_and_offset(&self, gamma: f32, beta: f32, mean: f32, variance: f32) -> (f64, f64) {
        let scale = f64::from(gamma) / (f64::from(variance) + f64::from(self.epsilon)).sqrt();
        (scale, f64::from(beta) - scale * f64::from(mean))
    }
}

impl OpSpec for BatchNorm {
    fn name(&self) -> &'static str {
        "BatchNorm"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 5)?;
        let x = &inputs[0];
        let size = x.shape.get(self.axis).copied();
        match inputs[1..].iter().find(|input| input.shape.rank() != 1 || input.shape.first().copied() != size) {
            None if size.is_some() => Ok(vec![x.clone()]),
            other => Err(ShapeError::mismatch(
                self.name(),
                format!(
                    "gamma, beta, mean and variance must match axis {} of {}; got {}",
                    self.axis,
                    x.shape,
                    other.map_or("no such axis".into(), |ty| ty.shape.to_string())
                ),
            )),
        }
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let data = values(self.name(), inputs)?;
        let inner: usize = ty.shape[self.axis + 1..].iter().product();
        let channels: Vec<(f64, f64)> = (0..ty.shape[self.axis])
            .map(|c| self.scale_and_offset(data[1][c], data[2][c], data[3][c], data[4][c]))
            .collect();
        let y = data[0].iter().enumerate().map(|(i, &x)| {
            let (scale, offset) = channels[i / inner % channels.len()];
            (scale * f64::from(x) + offset) as f32
        });
        output(self.name(), &ty, y.collect())
    }

    fn gradient(&self) -> Gradient {
        Gradient::UNAVAILABLE
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        Accuracy::NormalizedReduction { length: 4 }
    }
}
