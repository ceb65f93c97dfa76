//! Mean and variance normalisation over axes: layer and group normalisation.

use serde::Serialize;

use super::{BinaryFn, Cost, Gradient, GradientSite, OpSpec, ReduceFn, UnaryFn, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, mean and variance taken over `axes` of the same tensor.
///
/// Inputs: `x`, `gamma`, `beta`; the latter two broadcast to `x`. Group normalisation is this op on a reshaped tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Normalize {
    /// Axes over which the statistics are taken.
    pub axes: Vec<usize>,
    /// Added to the variance.
    pub epsilon: f32,
}

impl Normalize {
    /// Elements that share one mean and variance.
    pub fn length(&self, input: &Shape) -> usize {
        self.axes.iter().filter_map(|&axis| input.get(axis)).product()
    }
}

impl OpSpec for Normalize {
    fn name(&self) -> &'static str {
        "Normalize"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 3)?;
        let x = &inputs[0].shape;
        if self.axes.iter().any(|&axis| axis >= x.rank()) {
            return Err(ShapeError::mismatch(self.name(), format!("axes {:?} of {x}", self.axes)));
        }
        match inputs[1..].iter().find(|input| input.shape.broadcast_strides(x).is_none()) {
            Some(input) => Err(ShapeError::mismatch(self.name(), format!("{} does not broadcast to {x}", input.shape))),
            None => Ok(vec![inputs[0].clone()]),
        }
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let data = values(self.name(), inputs)?;
        let shape = &ty.shape;
        let statistics: Shape =
            (0..shape.rank()).map(|axis| if self.axes.contains(&axis) { 1 } else { shape[axis] }).collect();
        let along = |operand: &Shape| shape.offsets(&operand.broadcast_strides(shape).unwrap_or_default());
        let length = self.length(shape) as f64;
        let mut mean = vec![0f64; statistics.elements()];
        for (&x, at) in data[0].iter().zip(along(&statistics)) {
            mean[at] += f64::from(x) / length;
        }
        let mut variance = vec![0f64; statistics.elements()];
        for (&x, at) in data[0].iter().zip(along(&statistics)) {
            variance[at] += (f64::from(x) - mean[at]).powi(2) / length;
        }
        let (gamma, beta) = (along(inputs[1].shape()), along(inputs[2].shape()));
        let y = data[0].iter().zip(along(&statistics)).zip(gamma.zip(beta)).map(|((&x, at), (gamma, beta))| {
            let unit = (f64::from(x) - mean[at]) / (variance[at] + f64::from(self.epsilon)).sqrt();
            (unit * f64::from(data[1][gamma]) + f64::from(data[2][beta])) as f32
        });
        output(self.name(), &ty, y.collect())
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (dy, x, gamma, beta) = (site.dy()?, site.inputs[0], site.inputs[1], site.inputs[2]);
        let mean_of = |site: &mut GradientSite<'_>, value| site.reduce(ReduceFn::Mean, value, self.axes.clone(), true);
        let mean = mean_of(site, x)?;
        let centred = site.binary(BinaryFn::Sub, x, mean)?;
        let squares = site.unary(UnaryFn::Square, centred)?;
        let variance = mean_of(site, squares)?;
        let shifted = site.unary(UnaryFn::Affine { scale: 1.0, offset: self.epsilon }, variance)?;
        let deviation = site.unary(UnaryFn::Sqrt, shifted)?;
        let unit = site.binary(BinaryFn::Div, centred, deviation)?;
        let mut gradients = vec![None; 3];
        if site.wants(2) {
            let shape = site.shape(beta);
            gradients[2] = Some(site.summed_to(dy, &shape)?);
        }
        if site.wants(1) {
            let (shape, weighted) = (site.shape(gamma), site.product(dy, unit)?);
            gradients[1] = Some(site.summed_to(weighted, &shape)?);
        }
        if site.wants(0) {
            let scaled = site.product(dy, gamma)?;
            let average = mean_of(site, scaled)?;
            let along = site.product(scaled, unit)?;
            let slope = mean_of(site, along)?;
            let projected = site.product(unit, slope)?;
            let rest = site.binary(BinaryFn::Sub, scaled, average)?;
            let rest = site.binary(BinaryFn::Sub, rest, projected)?;
            gradients[0] = Some(site.binary(BinaryFn::Div, rest, deviation)?);
        }
        Ok(Gradient::Inputs(gradients))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        Accuracy::NormalizedReduction { length: inputs.first().map_or(1, |input| self.length(&input.shape)) }
    }
}
