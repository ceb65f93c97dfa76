//! Functions of two elements, with NumPy broadcasting.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, Select, UnaryFn, expect_f32, output, types, values};
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
    /// `a` to the power of `b`; NaN where that is no real number.
    Pow,
    /// 1 where `a == b`, else 0.
    Equal,
    /// 1 where `a < b`, else 0.
    Less,
    /// 1 where `a <= b`, else 0.
    LessEqual,
    /// 1 where `a > b`, else 0.
    Greater,
    /// 1 where `a >= b`, else 0.
    GreaterEqual,
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
            BinaryFn::Pow => a.powf(b),
            BinaryFn::Equal => f64::from(a == b),
            BinaryFn::Less => f64::from(a < b),
            BinaryFn::LessEqual => f64::from(a <= b),
            BinaryFn::Greater => f64::from(a > b),
            BinaryFn::GreaterEqual => f64::from(a >= b),
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
        let [a, b] = [0, 1].map(|operand: usize| {
            let strides = inputs[operand].shape().broadcast_strides(&shape).unwrap_or_default();
            shape.offsets(&strides)
        });
        let y = a.zip(b).map(|(a, b)| self.function.evaluate(f64::from(data[0][a]), f64::from(data[1][b])) as f32);
        let y = y.collect();
        output(self.name(), &TensorType::f32(shape), y)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (dy, a, b) = (site.dy()?, site.inputs[0], site.inputs[1]);
        let (wants_a, wants_b) = (site.wants(0), site.wants(1));
        let (mut da, mut db) = (None, None);
        match self.function {
            BinaryFn::Add => (da, db) = (Some(dy), Some(dy)),
            BinaryFn::Sub => {
                da = Some(dy);
                if wants_b {
                    db = Some(site.unary(UnaryFn::Neg, dy)?);
                }
            }
            BinaryFn::Mul => {
                if wants_a {
                    da = Some(site.product(dy, b)?);
                }
                if wants_b {
                    db = Some(site.product(dy, a)?);
                }
            }
            BinaryFn::Div => {
                let quotient = site.binary(BinaryFn::Div, dy, b)?;
                da = Some(quotient);
                if wants_b {
                    let scaled = site.product(quotient, site.outputs[0])?;
                    db = Some(site.unary(UnaryFn::Neg, scaled)?);
                }
            }
            BinaryFn::Max | BinaryFn::Min => {
                // Where both are equal the first takes it all, as in TensorFlow.
                let wins = if self.function == BinaryFn::Max { BinaryFn::GreaterEqual } else { BinaryFn::LessEqual };
                let first = site.binary(wins, a, b)?;
                let own = site.product(dy, first)?;
                da = Some(own);
                if wants_b {
                    db = Some(site.binary(BinaryFn::Sub, dy, own)?);
                }
            }
            BinaryFn::Prelu => {
                // At 0 neither side counts, as in Keras, which adds two rectified halves.
                let zero = site.scalar(0.0);
                let below = site.binary(BinaryFn::Min, a, zero)?;
                if wants_a {
                    let positive = site.binary(BinaryFn::Greater, a, zero)?;
                    let negative = site.binary(BinaryFn::Less, a, zero)?;
                    let sloped = site.product(negative, b)?;
                    let slope = site.binary(BinaryFn::Add, positive, sloped)?;
                    da = Some(site.product(dy, slope)?);
                }
                if wants_b {
                    db = Some(site.product(dy, below)?);
                }
            }
            BinaryFn::Pow => {
                if wants_a {
                    let less = site.unary(UnaryFn::Affine { scale: 1.0, offset: -1.0 }, b)?;
                    let power = site.binary(BinaryFn::Pow, a, less)?;
                    let slope = site.product(power, b)?;
                    da = Some(site.product(dy, slope)?);
                }
                if wants_b {
                    // By the exponent only positive bases have a slope; TensorFlow takes 0 for the others.
                    let zero = site.scalar(0.0);
                    let positive = site.binary(BinaryFn::Greater, a, zero)?;
                    let logarithm = site.unary(UnaryFn::Log, a)?;
                    let logarithm = site.emit(Select, &[positive, logarithm, zero])?;
                    let slope = site.product(site.outputs[0], logarithm)?;
                    db = Some(site.product(dy, slope)?);
                }
            }
            BinaryFn::Equal | BinaryFn::Less | BinaryFn::LessEqual | BinaryFn::Greater | BinaryFn::GreaterEqual => {
                return Ok(Gradient::NotDifferentiable("a comparison jumps between 0 and 1"));
            }
        }
        let mut gradients = Vec::with_capacity(2);
        for (gradient, (operand, wanted)) in [da, db].into_iter().zip([(a, wants_a), (b, wants_b)]) {
            let shape = site.shape(operand);
            gradients.push(match gradient.filter(|_| wanted) {
                Some(gradient) => Some(site.summed_to(gradient, &shape)?),
                None => None,
            });
        }
        Ok(Gradient::Inputs(gradients))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        match self.function {
            BinaryFn::Max | BinaryFn::Min => Accuracy::Exact,
            BinaryFn::Pow => Accuracy::Transcendental,
            _ => Accuracy::Elementwise,
        }
    }
}
