//! The gradient of a function of each element.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, UnaryFn, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

impl UnaryFn {
    /// Whether the derivative is read off the function's result, so that its argument need not be kept.
    ///
    /// Only where that loses nothing: the result tells on which piece of the function the argument lies.
    pub fn derives_from_output(self) -> bool {
        match self {
            UnaryFn::Relu | UnaryFn::Relu6 | UnaryFn::Exp => true,
            UnaryFn::LeakyRelu { negative_slope } => negative_slope >= 0.0,
            _ => false,
        }
    }

    /// The derivative in double precision, at the argument or at the result ([`UnaryFn::derives_from_output`]).
    ///
    /// At kinks it is the one that TensorFlow takes.
    pub fn derivative(self, x: f64) -> f64 {
        let sigmoid = |x: f64| if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) };
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let within = |inside: bool| f64::from(inside);
        match self {
            UnaryFn::Relu => within(x > 0.0),
            UnaryFn::Relu6 => within(x > 0.0 && x < 6.0),
            UnaryFn::ReluGeneral { max_value, negative_slope, threshold } => {
                if x >= f64::from(max_value) && max_value < f32::INFINITY {
                    0.0
                } else if x > f64::from(threshold) {
                    1.0
                } else {
                    f64::from(negative_slope)
                }
            }
            UnaryFn::LeakyRelu { negative_slope } => {
                if x > 0.0 {
                    1.0
                } else {
                    f64::from(negative_slope)
                }
            }
            UnaryFn::Elu { alpha } => {
                if x > 0.0 {
                    1.0
                } else {
                    f64::from(alpha) * x.exp()
                }
            }
            UnaryFn::Selu => {
                const SCALE: f64 = 1.050_700_987_355_480_5;
                const ALPHA: f64 = 1.673_263_242_354_377_2;
                SCALE * if x > 0.0 { 1.0 } else { ALPHA * x.exp() }
            }
            UnaryFn::Celu { alpha } => {
                if x > 0.0 {
                    1.0
                } else {
                    (x / f64::from(alpha)).exp()
                }
            }
            UnaryFn::Gelu => {
                let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
                0.5 * libm::erfc(-x / std::f64::consts::SQRT_2) + x * density
            }
            UnaryFn::GeluTanh => {
                let scale = (8.0 / std::f64::consts::PI).sqrt();
                let gate = sigmoid(scale * (x + 0.044715 * x * x * x));
                gate + x * gate * (1.0 - gate) * scale * (1.0 + 3.0 * 0.044715 * x * x)
            }
            UnaryFn::Silu => sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))),
            UnaryFn::HardSilu => {
                if x <= -3.0 {
                    0.0
                } else if x >= 3.0 {
                    1.0
                } else {
                    x / 3.0 + 0.5
                }
            }
            UnaryFn::Sigmoid => sigmoid(x) * sigmoid(-x),
            UnaryFn::HardSigmoid { alpha, beta } => {
                let gate = f64::from(alpha) * x + f64::from(beta);
                if gate > 0.0 && gate < 1.0 { f64::from(alpha) } else { 0.0 }
            }
            UnaryFn::LogSigmoid => sigmoid(-x),
            UnaryFn::SparseSigmoid => 0.5 * within(x > -1.0 && x < 1.0),
            UnaryFn::Tanh => x.cosh().powi(-2),
            UnaryFn::HardTanh => within((-1.0..=1.0).contains(&x)),
            UnaryFn::TanhShrink => x.tanh().powi(2),
            UnaryFn::Softplus => sigmoid(x),
            UnaryFn::Softsign => (1.0 + x.abs()).powi(-2),
            UnaryFn::SparsePlus => {
                if x <= -1.0 {
                    0.0
                } else if x < 1.0 {
                    0.5 * (x + 1.0)
                } else {
                    1.0
                }
            }
            UnaryFn::Squareplus { b } => 0.5 * (1.0 + x / (x * x + f64::from(b)).sqrt()),
            UnaryFn::HardShrink { threshold } | UnaryFn::SoftShrink { threshold } => {
                within(x.abs() > f64::from(threshold))
            }
            UnaryFn::Threshold { threshold, .. } => within(x > f64::from(threshold)),
            UnaryFn::Mish => {
                let tangent = softplus(x).tanh();
                tangent + x * (1.0 - tangent * tangent) * sigmoid(x)
            }
            UnaryFn::Exp => x,
            UnaryFn::Affine { scale, .. } => f64::from(scale),
            UnaryFn::Clip { low, high } => within(x >= f64::from(low) && x <= f64::from(high)),
            UnaryFn::Neg => -1.0,
            UnaryFn::Abs => {
                if x == 0.0 {
                    0.0
                } else {
                    x.signum()
                }
            }
            UnaryFn::Log => 1.0 / x,
            UnaryFn::Sqrt => 0.5 / x.sqrt(),
            UnaryFn::Square => 2.0 * x,
            UnaryFn::Reciprocal => -1.0 / (x * x),
            UnaryFn::Erf => std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp(),
            UnaryFn::Floor | UnaryFn::Ceil | UnaryFn::Round | UnaryFn::Sign | UnaryFn::IsNan => 0.0,
        }
    }
}

/// `dy * f'(x)`. Inputs: what the derivative is read off (`x`, or `y` where [`UnaryFn::derives_from_output`]), and `dy`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnaryGrad {
    /// The function whose gradient it is.
    pub function: UnaryFn,
}

impl OpSpec for UnaryGrad {
    fn name(&self) -> &'static str {
        "UnaryGrad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 2)?;
        match inputs[0].shape == inputs[1].shape {
            true => Ok(vec![inputs[0].clone()]),
            false => Err(ShapeError::mismatch(self.name(), format!("{} and {} differ", inputs[0], inputs[1]))),
        }
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let data = values(self.name(), inputs)?;
        let gradient = |(&x, &dy): (&f32, &f32)| (self.function.derivative(f64::from(x)) * f64::from(dy)) as f32;
        output(self.name(), &ty, data[0].iter().zip(data[1]).map(gradient).collect())
    }

    fn gradient(&self, _site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        Ok(Gradient::SECOND)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        match self.function.accuracy() {
            Accuracy::Exact | Accuracy::Elementwise => Accuracy::Elementwise,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every function, at the parameters that Keras uses.
    const FUNCTIONS: [UnaryFn; 40] = [
        UnaryFn::Relu,
        UnaryFn::Relu6,
        UnaryFn::ReluGeneral { max_value: 2.0, negative_slope: 0.25, threshold: 0.5 },
        UnaryFn::LeakyRelu { negative_slope: 0.3 },
        UnaryFn::LeakyRelu { negative_slope: -0.3 },
        UnaryFn::Elu { alpha: 1.5 },
        UnaryFn::Selu,
        UnaryFn::Celu { alpha: 0.7 },
        UnaryFn::Gelu,
        UnaryFn::GeluTanh,
        UnaryFn::Silu,
        UnaryFn::HardSilu,
        UnaryFn::Sigmoid,
        UnaryFn::HardSigmoid { alpha: 0.2, beta: 0.5 },
        UnaryFn::LogSigmoid,
        UnaryFn::SparseSigmoid,
        UnaryFn::Tanh,
        UnaryFn::HardTanh,
        UnaryFn::TanhShrink,
        UnaryFn::Softplus,
        UnaryFn::Softsign,
        UnaryFn::SparsePlus,
        UnaryFn::Squareplus { b: 4.0 },
        UnaryFn::HardShrink { threshold: 0.5 },
        UnaryFn::SoftShrink { threshold: 0.5 },
        UnaryFn::Threshold { threshold: 0.1, value: 3.0 },
        UnaryFn::Mish,
        UnaryFn::Exp,
        UnaryFn::Affine { scale: -3.0, offset: 2.0 },
        UnaryFn::Clip { low: -0.75, high: 2.0 },
        UnaryFn::Neg,
        UnaryFn::Abs,
        UnaryFn::Log,
        UnaryFn::Sqrt,
        UnaryFn::Square,
        UnaryFn::Reciprocal,
        UnaryFn::Clip { low: f32::NEG_INFINITY, high: 1.0 },
        UnaryFn::Elu { alpha: 0.5 },
        UnaryFn::Erf,
        UnaryFn::Round,
    ];

    #[test]
    fn derivatives_are_the_slopes_of_the_functions() {
        for function in FUNCTIONS {
            for x in [-4.3, -2.1, -0.9, -0.31, 0.17, 0.62, 1.3, 2.7, 6.4] {
                let positive_only = matches!(function, UnaryFn::Log | UnaryFn::Sqrt);
                if positive_only && x < 0.0 {
                    continue;
                }
                let h = 1e-5;
                let slope = (function.evaluate(x + h) - function.evaluate(x - h)) / (2.0 * h);
                let at = if function.derives_from_output() { function.evaluate(x) } else { x };
                let derivative = function.derivative(at);
                assert!(
                    (slope - derivative).abs() < 1e-7 * (1.0 + slope.abs()),
                    "{function:?} at {x}: {slope} {derivative}"
                );
            }
        }
    }
}
