//! The same elements under another shape.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, types};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// One axis of a target shape, kept symbolic so that a graph can be planned for another batch or picture size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dim {
    /// The size of this axis of the input.
    Keep(usize),
    /// A fixed size.
    Size(usize),
    /// What is left over; at most once.
    Infer,
}

/// The same elements under another shape. One input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reshape {
    /// The axes of the output.
    pub dims: Vec<Dim>,
}

impl Reshape {
    /// The shape that an input takes on.
    ///
    /// # Errors
    /// [`ShapeError`] when the element counts cannot agree.
    pub fn target(&self, input: &Shape) -> Result<Shape, ShapeError> {
        let wrong =
            |why: &str| ShapeError::mismatch("Reshape", format!("{input} cannot become {:?}: {why}", self.dims));
        let mut known = 1usize;
        let mut open = 0;
        for dim in &self.dims {
            let size = match dim {
                Dim::Size(size) => *size,
                Dim::Keep(axis) => *input.get(*axis).ok_or_else(|| wrong("a kept axis does not exist"))?,
                Dim::Infer => {
                    open += 1;
                    1
                }
            };
            known = known.checked_mul(size).ok_or_else(|| wrong("too many elements"))?;
        }
        let elements = input.elements();
        let fits = match open {
            0 => known == elements,
            1 => known > 0 && elements.is_multiple_of(known),
            _ => return Err(wrong("only one axis can be inferred")),
        };
        if !fits {
            return Err(wrong(&format!("{elements} elements do not fill it")));
        }
        Ok(self
            .dims
            .iter()
            .map(|dim| match dim {
                Dim::Size(size) => *size,
                Dim::Keep(axis) => input[*axis],
                Dim::Infer => elements / known,
            })
            .collect())
    }
}

impl OpSpec for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        let [input] = inputs else {
            return Err(ShapeError::Inputs { op: self.name(), expected: 1, found: inputs.len() });
        };
        Ok(vec![TensorType { shape: self.target(&input.shape)?, dtype: input.dtype }])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let shape = self.infer(&types(inputs))?.remove(0).shape;
        let op = self.name();
        inputs[0].reshaped(shape).map(|tensor| vec![tensor]).map_err(|source| ShapeError::Tensor { op, source })
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (dy, shape) = (site.dy()?, site.shape(site.inputs[0]));
        GradientSite::only(site.reshaped(dy, &shape)?)
    }

    fn cost(&self, _inputs: &[TensorType], _outputs: &[TensorType]) -> Cost {
        Cost::default()
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        Accuracy::Exact
    }
}
