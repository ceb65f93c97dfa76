//! Concatenation along an axis.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, Slice, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// Concatenation of one or more inputs along `axis`; all other axes agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Concat {
    /// The axis that grows.
    pub axis: usize,
}

impl OpSpec for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, inputs.len().max(1))?;
        let first = &inputs[0].shape;
        let wrong = |what: String| ShapeError::mismatch(self.name(), what);
        if self.axis >= first.rank() {
            return Err(wrong(format!("axis {} does not exist in {first}", self.axis)));
        }
        let mut shape = first.to_vec();
        for input in &inputs[1..] {
            let other = &input.shape;
            let agree = other.rank() == first.rank()
                && (0..first.rank()).all(|axis| axis == self.axis || other[axis] == first[axis]);
            if !agree {
                return Err(wrong(format!("{first} and {other} differ in more than axis {}", self.axis)));
            }
            shape[self.axis] += other[self.axis];
        }
        Ok(vec![TensorType::f32(shape)])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let data = values(self.name(), inputs)?;
        let run = |shape: &Shape| shape[self.axis..].iter().product::<usize>();
        let mut y = Vec::with_capacity(ty.shape.elements());
        for outer in 0..ty.shape[..self.axis].iter().product() {
            for (tensor, values) in inputs.iter().zip(&data) {
                let length = run(tensor.shape());
                y.extend_from_slice(&values[outer * length..][..length]);
            }
        }
        output(self.name(), &ty, y)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let dy = site.dy()?;
        let (mut start, mut gradients) = (0i64, Vec::with_capacity(site.inputs.len()));
        for input in 0..site.inputs.len() {
            let end = start + site.shape(site.inputs[input])[self.axis] as i64;
            gradients.push(match site.wants(input) {
                true => Some(site.emit(Slice::range(self.axis, start, Some(end)), &[dy])?),
                false => None,
            });
            start = end;
        }
        Ok(Gradient::Inputs(gradients))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        Accuracy::Exact
    }
}
