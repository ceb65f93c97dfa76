//! Repetition along axes of size 1.

use serde::Serialize;

use super::{Cost, Dim, Gradient, GradientSite, OpSpec, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// Broadcasts one input to a larger shape (NumPy's rule). `Dim::Infer` keeps the aligned input axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expand {
    /// The axes of the output.
    pub dims: Vec<Dim>,
}

impl Expand {
    fn target(&self, input: &Shape) -> Result<Shape, ShapeError> {
        let wrong = || ShapeError::mismatch("Expand", format!("{input} does not broadcast to {:?}", self.dims));
        let missing = self.dims.len().checked_sub(input.rank()).ok_or_else(wrong)?;
        let target: Shape = self
            .dims
            .iter()
            .enumerate()
            .map(|(axis, dim)| match dim {
                Dim::Size(size) => Ok(*size),
                Dim::Keep(kept) => input.get(*kept).copied().ok_or_else(wrong),
                Dim::Infer => Ok(axis.checked_sub(missing).map_or(1, |own| input[own])),
            })
            .collect::<Result<Vec<_>, _>>()?
            .into();
        input.broadcast_strides(&target).map(|_| target).ok_or_else(wrong)
    }
}

impl OpSpec for Expand {
    fn name(&self) -> &'static str {
        "Expand"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        Ok(vec![TensorType::f32(self.target(&inputs[0].shape)?)])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let x = values(self.name(), inputs)?[0];
        let source = inputs[0].shape().broadcast_strides(&ty.shape).unwrap_or_default();
        output(self.name(), &ty, ty.shape.offsets(&source).map(|at| x[at]).collect())
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (dy, shape) = (site.dy()?, site.shape(site.inputs[0]));
        GradientSite::only(site.summed_to(dy, &shape)?)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        Accuracy::Exact
    }
}
