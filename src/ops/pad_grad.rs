//! The gradient of mirrored and repeated padding: elements that were copied collect the gradients of their copies.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, Pad, PadMode, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// The gradient of a padding along one axis. One input, `dy`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PadGrad {
    /// What stood in the added elements.
    pub mode: PadMode,
    /// The padded axis.
    pub axis: usize,
    /// Elements that were added in front.
    pub before: usize,
    /// Elements that were added behind.
    pub after: usize,
}

impl PadGrad {
    /// The shape before padding.
    ///
    /// # Errors
    /// [`ShapeError`] when the axis does not exist or is too short to have been padded like this.
    pub fn input(&self, padded: &Shape) -> Result<Shape, ShapeError> {
        let wrong = || {
            let (before, after) = (self.before, self.after);
            ShapeError::mismatch(
                "PadGrad",
                format!("axis {} of {padded} was not padded by {before} + {after}", self.axis),
            )
        };
        let mut shape = padded.to_vec();
        let size = shape.get_mut(self.axis).ok_or_else(wrong)?;
        let least = if self.mode == PadMode::Reflect { self.before.max(self.after) + 1 } else { 1 };
        let taken = self.before.checked_add(self.after).and_then(|added| size.checked_sub(added));
        *size = taken.filter(|&size| size >= least).ok_or_else(wrong)?;
        Ok(shape.into())
    }
}

impl OpSpec for PadGrad {
    fn name(&self) -> &'static str {
        "PadGrad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        Ok(vec![TensorType::f32(self.input(&inputs[0].shape)?)])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let (dy, padded) = (values(self.name(), inputs)?[0], inputs[0].shape());
        let inner: usize = padded[self.axis + 1..].iter().product();
        let (long, short) = (padded[self.axis], ty.shape[self.axis]);
        let mut dx = vec![0f64; ty.shape.elements()];
        for (i, &dy) in dy.iter().enumerate() {
            if let Some(source) = self.mode.source(i / inner % long, self.before, short) {
                dx[(i / inner / long * short + source) * inner + i % inner] += f64::from(dy);
            }
        }
        output(self.name(), &ty, dx.into_iter().map(|sum| sum as f32).collect())
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let dy = site.dy()?;
        let mut pads = vec![(0, 0); site.shape(dy).rank()];
        pads[self.axis] = (self.before, self.after);
        GradientSite::only(site.emit(Pad { pads, mode: self.mode }, &[dy])?)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        Accuracy::Reduction { length: 1 + self.before.max(self.after) }
    }
}
