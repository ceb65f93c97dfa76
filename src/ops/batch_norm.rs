//! Batch normalisation with given statistics (inference).

use serde::Serialize;

use super::{BinaryFn, Cost, Gradient, GradientSite, OpSpec, ReduceFn, UnaryFn, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

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

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let dy = site.dy()?;
        let &[x, gamma, _, mean, variance] = &site.inputs[..] else {
            return Err(ShapeError::Inputs { op: self.name(), expected: 5, found: site.inputs.len() });
        };
        let (shape, channels) = (site.shape(x), site.shape(gamma));
        let others: Vec<usize> = (0..shape.rank()).filter(|&axis| axis != self.axis).collect();
        let aligned: Shape = (0..shape.rank()).map(|axis| if axis == self.axis { shape[axis] } else { 1 }).collect();
        let mut gradients = vec![None; 5];
        if site.wants(0) {
            let zeros = site.constant(Tensor::full(channels.clone(), 0.0));
            gradients[0] = Some(site.emit(self.clone(), &[dy, gamma, zeros, zeros, variance])?);
        }
        if !(1..5).any(|input| site.wants(input)) {
            return Ok(Gradient::Inputs(gradients));
        }
        let total = site.reduce(ReduceFn::Sum, dy, others.clone(), false)?;
        gradients[2] = site.wants(2).then_some(total);
        let shifted = site.unary(UnaryFn::Affine { scale: 1.0, offset: self.epsilon }, variance)?;
        let deviation = site.unary(UnaryFn::Sqrt, shifted)?;
        if site.wants(3) {
            let scaled = site.product(gamma, total)?;
            let scaled = site.binary(BinaryFn::Div, scaled, deviation)?;
            gradients[3] = Some(site.unary(UnaryFn::Neg, scaled)?);
        }
        if site.wants(1) || site.wants(4) {
            let mean = site.reshaped(mean, &aligned)?;
            let centred = site.binary(BinaryFn::Sub, x, mean)?;
            let weighted = site.summed_products(centred, dy, others)?;
            let dgamma = site.binary(BinaryFn::Div, weighted, deviation)?;
            gradients[1] = site.wants(1).then_some(dgamma);
            if site.wants(4) {
                let scaled = site.product(gamma, dgamma)?;
                let scaled = site.binary(BinaryFn::Div, scaled, shifted)?;
                gradients[4] = Some(site.scaled(scaled, -0.5)?);
            }
        }
        Ok(Gradient::Inputs(gradients))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        Accuracy::NormalizedReduction { length: 4 }
    }
}
