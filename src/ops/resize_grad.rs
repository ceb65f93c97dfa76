//! The gradient of linear upsampling.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, Resize, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// The gradient of a resize's input: the transpose of its interpolation. One input, `dy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResizeGrad {
    /// The resize whose gradient it is.
    pub resize: Resize,
    /// Shape of the resize's input.
    pub input: Shape,
}

impl OpSpec for ResizeGrad {
    fn name(&self) -> &'static str {
        "ResizeGrad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        let resized = self.resize.infer(&[TensorType::f32(self.input.clone())])?.remove(0);
        match inputs[0] == resized {
            true => Ok(vec![TensorType::f32(self.input.clone())]),
            false => {
                Err(ShapeError::mismatch(self.name(), format!("{} was given where {resized} is expected", inputs[0])))
            }
        }
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let dy = values(self.name(), inputs)?[0];
        let (resized, target) = (inputs[0].shape(), self.input.strides());
        let own = resized.strides();
        let mut dx = vec![0f64; self.input.elements()];
        for (i, &dy) in dy.iter().enumerate() {
            let mut corners = vec![(0usize, f64::from(dy))];
            for axis in 0..resized.rank() {
                let index = i / own[axis] % resized[axis];
                let (low, high, weight) = self.resize.neighbours(index, self.resize.factors[axis], self.input[axis]);
                corners = corners
                    .into_iter()
                    .flat_map(|(offset, share)| {
                        [(offset + low * target[axis], share * (1.0 - weight)), (offset + high * target[axis], share * weight)]
                    })
                    .collect();
            }
            corners.into_iter().for_each(|(offset, share)| dx[offset] += share);
        }
        output(self.name(), &ty, dx.into_iter().map(|sum| sum as f32).collect())
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let dy = site.dy()?;
        GradientSite::only(site.emit(self.resize.clone(), &[dy])?)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        Accuracy::Reduction { length: self.resize.factors.iter().map(|factor| 2 * factor).product() }
    }
}
