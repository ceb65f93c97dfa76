//! Softmax and its kin along one axis.

use serde::Serialize;

use super::{BinaryFn, Cost, Gradient, GradientSite, OpSpec, ReduceFn, UnaryFn, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

/// Which normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SoftmaxKind {
    /// `exp(x) / sum(exp(x))`.
    Softmax,
    /// `log(softmax(x))`.
    LogSoftmax,
    /// Projection onto the simplex (Martins and Astudillo 2016): `max(x - tau, 0)` with the `tau` that makes the sum 1.
    /// Keras 3.15 sums cumulative sums once more, and its rows may not sum to 1; this is the paper's.
    Sparsemax,
}

/// Softmax and its kin along one axis. One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Softmax {
    /// Which normalisation.
    pub kind: SoftmaxKind,
    /// The axis whose elements sum to 1.
    pub axis: usize,
}

/// `tau` of the sparsemax of one line, by Michelot's exact finite iteration: drop what falls below, average again.
fn sparsemax_threshold(line: &[f64]) -> f64 {
    let mut threshold = f64::NEG_INFINITY;
    let mut support = line.len();
    loop {
        let kept = line.iter().filter(|&&x| x > threshold);
        let (sum, count) = kept.fold((0.0, 0usize), |(sum, count), x| (sum + x, count + 1));
        threshold = (sum - 1.0) / count.max(1) as f64;
        let next = line.iter().filter(|&&x| x > threshold).count();
        if next == support || next == 0 {
            return threshold;
        }
        support = next;
    }
}

impl OpSpec for Softmax {
    fn name(&self) -> &'static str {
        "Softmax"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        if self.axis >= inputs[0].shape.rank() {
            return Err(ShapeError::mismatch(self.name(), format!("axis {} of {}", self.axis, inputs[0].shape)));
        }
        Ok(inputs.to_vec())
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let x = values(self.name(), inputs)?[0];
        let (size, inner) = (ty.shape[self.axis], ty.shape[self.axis + 1..].iter().product::<usize>());
        let mut y = vec![0f32; x.len()];
        let mut line = vec![0f64; size];
        for start in (0..x.len()).filter(|i| i / inner % size == 0) {
            for (i, value) in line.iter_mut().enumerate() {
                *value = f64::from(x[start + i * inner]);
            }
            let largest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = line.iter().map(|x| (x - largest).exp()).sum();
            let threshold = match self.kind {
                SoftmaxKind::Sparsemax => sparsemax_threshold(&line),
                SoftmaxKind::Softmax | SoftmaxKind::LogSoftmax => 0.0,
            };
            for (i, &x) in line.iter().enumerate() {
                y[start + i * inner] = match self.kind {
                    SoftmaxKind::Softmax => (x - largest).exp() / sum,
                    SoftmaxKind::LogSoftmax => x - largest - sum.ln(),
                    SoftmaxKind::Sparsemax => (x - threshold).max(0.0),
                } as f32;
            }
        }
        output(self.name(), &ty, y)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (dy, y, axes) = (site.dy()?, site.outputs[0], vec![self.axis]);
        let gradient = match self.kind {
            SoftmaxKind::Softmax => {
                let weighted = site.product(dy, y)?;
                let sum = site.reduce(ReduceFn::Sum, weighted, axes, true)?;
                let centred = site.binary(BinaryFn::Sub, dy, sum)?;
                site.product(y, centred)?
            }
            SoftmaxKind::LogSoftmax => {
                let sum = site.reduce(ReduceFn::Sum, dy, axes, true)?;
                let share = site.unary(UnaryFn::Exp, y)?;
                let mean = site.product(share, sum)?;
                site.binary(BinaryFn::Sub, dy, mean)?
            }
            SoftmaxKind::Sparsemax => {
                let zero = site.scalar(0.0);
                let support = site.binary(BinaryFn::Greater, y, zero)?;
                let inside = site.product(dy, support)?;
                let sum = site.reduce(ReduceFn::Sum, inside, axes.clone(), true)?;
                let count = site.reduce(ReduceFn::Sum, support, axes, true)?;
                let mean = site.binary(BinaryFn::Div, sum, count)?;
                let centred = site.binary(BinaryFn::Sub, dy, mean)?;
                site.product(support, centred)?
            }
        };
        GradientSite::only(gradient)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        Accuracy::NormalizedReduction {
            length: inputs.first().and_then(|input| input.shape.get(self.axis).copied()).unwrap_or(1),
        }
    }
}
