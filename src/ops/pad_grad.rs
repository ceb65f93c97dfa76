//! The gradient of mirrored and repeated padding: elements that were copied collect the gradients of their copies.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, Pad, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// The gradient of a padding's input. One input, `dy`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PadGrad {
    /// The padding whose gradient it is.
    pub pad: Pad,
    /// Shape of the padding's input.
    pub input: Shape,
}

impl OpSpec for PadGrad {
    fn name(&self) -> &'static str {
        "PadGrad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        let padded = self.pad.infer(&[TensorType::f32(self.input.clone())])?.remove(0);
        match inputs[0] == padded {
            true => Ok(vec![TensorType::f32(self.input.clone())]),
            false => {
                Err(ShapeError::mismatch(self.name(), format!("{} was given where {padded} is expected", inputs[0])))
            }
        }
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let dy = values(self.name(), inputs)?[0];
        let (padded, strides) = (inputs[0].shape(), self.input.strides());
        let own = padded.strides();
        let mut dx = vec![0f64; self.input.elements()];
        for (i, &dy) in dy.iter().enumerate() {
            let offset = (0..padded.rank()).try_fold(0, |offset, axis| {
                let index = i / own[axis] % padded[axis];
                Some(offset + self.pad.source(index, self.pad.pads[axis].0, self.input[axis])? * strides[axis])
            });
            if let Some(offset) = offset {
                dx[offset] += f64::from(dy);
            }
        }
        output(self.name(), &ty, dx.into_iter().map(|sum| sum as f32).collect())
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let dy = site.dy()?;
        GradientSite::only(site.emit(self.pad.clone(), &[dy])?)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        let copies = inputs.first().map_or(1, |input| input.shape.elements().div_ceil(self.input.elements().max(1)));
        Accuracy::Reduction { length: copies }
    }
}
