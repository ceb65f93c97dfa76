//! A choice between two operands, element by element.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// `a` where the condition is not 0, else `b`. Inputs: the condition, `a`, `b`, which broadcast to the output (NumPy's
/// rule). What is not chosen has no influence, infinities and NaN included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Select;

impl Select {
    fn output_shape(&self, inputs: &[TensorType]) -> Result<Shape, ShapeError> {
        expect_f32(self.name(), inputs, 3)?;
        let [condition, a, b] = [&inputs[0].shape, &inputs[1].shape, &inputs[2].shape];
        a.broadcast(b).and_then(|both| both.broadcast(condition)).ok_or_else(|| {
            ShapeError::mismatch(
                self.name(),
                format!(
                    "{condition}, {a} and {b} do not broadcast: aligned from the last axis, sizes must be equal or 1"
                ),
            )
        })
    }
}

impl OpSpec for Select {
    fn name(&self) -> &'static str {
        "Select"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        Ok(vec![TensorType::f32(self.output_shape(inputs)?)])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let shape = self.output_shape(&types(inputs))?;
        let data = values(self.name(), inputs)?;
        let [condition, a, b] = [0, 1, 2].map(|operand: usize| {
            let strides = inputs[operand].shape().broadcast_strides(&shape).unwrap_or_default();
            shape.offsets(&strides).map(move |at| (operand, at))
        });
        let element = |(operand, at): (usize, usize)| data[operand][at];
        let y = condition.zip(a).zip(b).map(|((c, a), b)| element(if element(c) != 0.0 { a } else { b })).collect();
        output(self.name(), &TensorType::f32(shape), y)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (dy, condition, zero) = (site.dy()?, site.inputs[0], site.scalar(0.0));
        let mut gradients = vec![None; 3];
        for (input, operands) in [(1, [condition, dy, zero]), (2, [condition, zero, dy])] {
            if site.wants(input) {
                let chosen = site.emit(Select, &operands)?;
                let shape = site.shape(site.inputs[input]);
                gradients[input] = Some(site.summed_to(chosen, &shape)?);
            }
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
