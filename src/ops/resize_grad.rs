//! The gradient of linear upsampling.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, Resize, ResizeMode, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

/// The gradient of linear upsampling along one axis: the transpose of its interpolation. One input, `dy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResizeGrad {
    /// The axis that grew.
    pub axis: usize,
    /// Its factor.
    pub factor: usize,
}

impl ResizeGrad {
    /// The upsampling whose gradient it is.
    fn resize(&self, rank: usize) -> Resize {
        let factors = (0..rank).map(|axis| if axis == self.axis { self.factor } else { 1 }).collect();
        Resize { factors, mode: ResizeMode::Linear }
    }
}

impl OpSpec for ResizeGrad {
    fn name(&self) -> &'static str {
        "ResizeGrad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        let mut shape = inputs[0].shape.to_vec();
        match shape.get_mut(self.axis) {
            Some(size) if self.factor > 0 && size.is_multiple_of(self.factor) => *size /= self.factor,
            _ => {
                let what = format!("axis {} of {} did not grow by {}", self.axis, inputs[0].shape, self.factor);
                return Err(ShapeError::mismatch(self.name(), what));
            }
        }
        Ok(vec![TensorType::f32(shape)])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let (dy, long) = (values(self.name(), inputs)?[0], inputs[0].shape());
        let (size, inner) = (ty.shape[self.axis], long[self.axis + 1..].iter().product::<usize>());
        let resize = self.resize(long.rank());
        let mut dx = vec![0f64; ty.shape.elements()];
        for (i, &dy) in dy.iter().enumerate() {
            let outer = i / inner / long[self.axis];
            let (low, high, weight) = resize.neighbours(i / inner % long[self.axis], self.factor, size);
            dx[(outer * size + low) * inner + i % inner] += f64::from(dy) * (1.0 - weight);
            dx[(outer * size + high) * inner + i % inner] += f64::from(dy) * weight;
        }
        output(self.name(), &ty, dx.into_iter().map(|sum| sum as f32).collect())
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let dy = site.dy()?;
        let op = self.resize(site.shape(dy).rank());
        GradientSite::only(site.emit(op, &[dy])?)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        Accuracy::Reduction { length: 3 * self.factor }
    }
}
