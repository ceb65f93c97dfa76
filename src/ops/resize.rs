//! Spatial resampling by whole factors.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, ReduceFn, ResizeGrad, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

/// How positions between elements are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeMode {
    /// Every element repeated.
    Nearest,
    /// Linear along each axis, with half-pixel centres and the edge repeated (Keras `bilinear`).
    Linear,
}

/// Every axis grows by its factor. One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resize {
    /// Factor of each axis of the input; 1 leaves it alone.
    pub factors: Vec<usize>,
    /// How positions between elements are filled.
    pub mode: ResizeMode,
}

impl Resize {
    /// The two input positions around output `index` and the weight of the second.
    pub(super) fn neighbours(&self, index: usize, factor: usize, size: usize) -> (usize, usize, f64) {
        if self.mode == ResizeMode::Nearest || factor == 1 {
            return (index / factor, index / factor, 0.0);
        }
        let centre = ((index as f64 + 0.5) / factor as f64 - 0.5).max(0.0);
        let low = (centre as usize).min(size - 1);
        (low, (low + 1).min(size - 1), centre - low as f64)
    }
}

impl OpSpec for Resize {
    fn name(&self) -> &'static str {
        "Resize"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        let shape = &inputs[0].shape;
        if self.factors.len() != shape.rank() || self.factors.contains(&0) || shape.contains(&0) {
            return Err(ShapeError::mismatch(
                self.name(),
                format!("factors {:?} for {shape}: one factor of at least 1 per axis is needed", self.factors),
            ));
        }
        Ok(vec![TensorType::f32(
            shape.iter().zip(&self.factors).map(|(size, factor)| size * factor).collect::<Vec<_>>(),
        )])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let x = values(self.name(), inputs)?[0];
        let (shape, source, own) = (inputs[0].shape(), inputs[0].shape().strides(), ty.shape.strides());
        let y = (0..ty.shape.elements()).map(|i| {
            let mut corners = vec![(0usize, 1f64)];
            for axis in 0..shape.rank() {
                let index = i / own[axis] % ty.shape[axis];
                let (low, high, weight) = self.neighbours(index, self.factors[axis], shape[axis]);
                let mut next = Vec::with_capacity(corners.len() * 2);
                for (offset, share) in corners {
                    next.push((offset + low * source[axis], share * (1.0 - weight)));
                    if weight > 0.0 {
                        next.push((offset + high * source[axis], share * weight));
                    }
                }
                corners = next;
            }
            corners.into_iter().map(|(offset, share)| f64::from(x[offset]) * share).sum::<f64>() as f32
        });
        output(self.name(), &ty, y.collect())
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (dy, input) = (site.dy()?, site.shape(site.inputs[0]));
        if self.mode == ResizeMode::Linear {
            let mut gradient = dy;
            for (axis, &factor) in self.factors.iter().enumerate().filter(|(_, factor)| **factor > 1) {
                gradient = site.emit(ResizeGrad { axis, factor }, &[gradient])?;
            }
            return GradientSite::only(gradient);
        }
        // Every element was repeated: the gradients of its copies add up.
        let (mut blocks, mut axes) = (Vec::new(), Vec::new());
        for (&size, &factor) in input.iter().zip(&self.factors) {
            blocks.push(size);
            if factor > 1 {
                axes.push(blocks.len());
                blocks.push(factor);
            }
        }
        let split = site.reshaped(dy, &blocks.into())?;
        GradientSite::only(site.reduce(ReduceFn::Sum, split, axes, false)?)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        match self.mode {
            ResizeMode::Nearest => Accuracy::Exact,
            ResizeMode::Linear => Accuracy::Reduction { length: 4 },
        }
    }
}
