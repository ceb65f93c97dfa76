//! Functions of two elements, with NumPy broadcasting.

use serde::Serialize;

use super::{Cost, Gradient, OpSpec, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// A function of two `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryFn {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
    /// `a / b`.
    Div,
    /// The larger one; NaN if either is.
    Max,
    /// The smaller one; NaN if either is.
    Min,
    /// `a` where `a >= 0`, else `a * b` (PReLU with slope `b`).
    Prelu,
}

impl BinaryFn {
    /// The function in double precision.
    pub fn evaluate(self, a: f64, b: f64) -> f64 {
        match self {
            BinaryFn::Add => a + b,
            BinaryFn::Sub => a - b,
            BinaryFn::Mul => a * b,
            BinaryFn::Div => a / b,
            BinaryFn::Max => {
                if a >= b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            BinaryFn::Min => {
                if a <= b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            BinaryFn::Prelu => {
                if a >= 0.0 {
                    a
                } else {
                    a * b
                }
            }
        }
    }
}

/// A function of two elements. Inputs broadcast to the output (NumPy's rule).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Binary {
    /// The function.
    pub function: BinaryFn,
}

impl Binary {
    fn output_shape(&self, inputs: &[TensorType]) -> Result<Shape, ShapeError> {
        expect_f32(self.name(), inputs, 2)?;
        let (a, b) = (&inputs[0].shape, &inputs[1].shape);
        a.broadcast(b).ok_or_else(|| {
            ShapeError::mismatch(
                self.name(),
                format!("{a} and {b} do not broadcast: aligned from the last axis, sizes must be equal or 1"),
            )
        })
    }
}

impl OpSpec for Binary {
    fn name(&self) -> &'static str {
        "Binary"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        Ok(vec![TensorType::f32(self.output_shape(inputs)?)])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let shape = self.output_shape(&types(inputs))?;
        let data = values(self.name(), inputs)?;
        let strides: Vec<Vec<usize>> =
            inputs.iter().filter_map(|tensor| tensor.shape().broadcast_strides(&shape)).collect();
        let own = shape.strides();
        let offset = |index: usize, operand: usize| -> usize {
            (0..shape.rank()).map(|axis| index / own[axis] % shape[axis] * strides[operand][axis]).sum()
        };
        let y = (0..shape.elements())
            .map(|i| {
                let (a, b) = (data[0][offset(i, 0)], data[1][offset(i, 1)]);
                self.function.evaluate(f64::from(a), f64::from(b)) as f32
            })
            .collect();
        output(self.name(), &TensorType::f32(shape), y)
    }

    fn gradient(&self) -> Gradient {
        Gradient::UNAVAILABLE
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        match self.function {
            BinaryFn::Max | BinaryFn::Min => Accuracy::Exact,
            _ => Accuracy::Elementwise,
        }
    }
}
