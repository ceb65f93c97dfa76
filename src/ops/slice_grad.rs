//! The gradient of a slice: what was not taken gets zeros.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, Slice, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// Zeros of the shape `input`, with `dy` where [`Slice`] takes from. One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SliceGrad {
    /// The slice whose gradient it is.
    pub slice: Slice,
    /// Shape of the slice's input.
    pub input: Shape,
}

impl OpSpec for SliceGrad {
    fn name(&self) -> &'static str {
        "SliceGrad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        let (_, taken) = self.slice.resolve(&self.input)?;
        match inputs[0].shape == taken {
            true => Ok(vec![TensorType::f32(self.input.clone())]),
            false => {
                Err(ShapeError::mismatch(self.name(), format!("{} was given where {taken} is expected", inputs[0])))
            }
        }
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let (ranges, shape) = self.slice.resolve(&self.input)?;
        let dy = values(self.name(), inputs)?[0];
        let (target, own) = (self.input.strides(), shape.strides());
        let mut dx = vec![0f32; self.input.elements()];
        for (i, &dy) in dy.iter().enumerate() {
            let offset: i64 = ranges
                .iter()
                .enumerate()
                .map(|(axis, (start, step))| {
                    (start + (i / own[axis] % shape[axis]) as i64 * step) * target[axis] as i64
                })
                .sum();
            dx[offset as usize] = dy;
        }
        output(self.name(), &ty, dx)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let dy = site.dy()?;
        GradientSite::only(site.emit(self.slice.clone(), &[dy])?)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        Accuracy::Exact
    }
}
