//! Functions of one element: activations and arithmetic.

use serde::{Deserialize, Serialize};

use super::{Cost, Gradient, GradientSite, OpSpec, UnaryGrad, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

/// A function of one `f32`. Definitions and defaults are those of `keras.activations`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnaryFn {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `max_value` from there on; `x` from `threshold` on; else `negative_slope * (x - threshold)` (Keras `ReLU`).
    ReluGeneral {
        /// Upper bound; infinity for none.
        max_value: f32,
        /// Slope below the threshold.
        negative_slope: f32,
        /// Where the identity begins.
        threshold: f32,
    },
    /// `x` above 0, `negative_slope * x` below.
    LeakyRelu {
        /// Slope below 0.
        negative_slope: f32,
    },
    /// `x` above 0, `alpha * (exp(x) - 1)` below.
    Elu {
        /// Scale of the negative part.
        alpha: f32,
    },
    /// `1.05070098 * elu(x, 1.67326324)`.
    Selu,
    /// `max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))`.
    Celu {
        /// Scale of the negative part.
        alpha: f32,
    },
    /// `x * Phi(x)`, through `erf`.
    Gelu,
    /// `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `x * sigmoid(x)` (swish).
    Silu,
    /// `x * hard_sigmoid(x)` with `hard_sigmoid(x) = clip(x / 6 + 0.5, 0, 1)` (hard swish).
    HardSilu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `clip(alpha * x + beta, 0, 1)`; Keras has `alpha = 1/6`, `beta = 0.5`.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `log(sigmoid(x))`.
    LogSigmoid,
    /// `clip(0.5 * (x + 1), 0, 1)`.
    SparseSigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `clip(x, -1, 1)`.
    HardTanh,
    /// `x - tanh(x)`.
    TanhShrink,
    /// `log(1 + exp(x))`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `0` up to -1, `(x + 1)^2 / 4` up to 1, `x` above.
    SparsePlus,
    /// `(x + sqrt(x^2 + b)) / 2`.
    Squareplus {
        /// Smoothness.
        b: f32,
    },
    /// `x` where `|x| > threshold`, else 0.
    HardShrink {
        /// Half width of the zero band.
        threshold: f32,
    },
    /// `x - threshold` above, `x + threshold` below `-threshold`, else 0.
    SoftShrink {
        /// Half width of the zero band.
        threshold: f32,
    },
    /// `x` above `threshold`, else `value`.
    Threshold {
        /// Where the identity begins.
        threshold: f32,
        /// What stands below it.
        value: f32,
    },
    /// `x * tanh(softplus(x))`.
    Mish,
    /// `exp(x)`.
    Exp,
    /// `scale * x + offset`.
    Affine {
        /// Factor.
        scale: f32,
        /// Summand.
        offset: f32,
    },
    /// `clip(x, low, high)`.
    Clip {
        /// Lower bound.
        low: f32,
        /// Upper bound.
        high: f32,
    },
    /// `-x`.
    Neg,
    /// `|x|`.
    Abs,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// `x * x`.
    Square,
    /// `1 / x`.
    Reciprocal,
    /// The largest whole number that is not above `x`.
    Floor,
    /// The smallest whole number that is not below `x`.
    Ceil,
    /// The nearest whole number; halves go to the even one.
    Round,
    /// -1, 0 or 1.
    Sign,
    /// The error function.
    Erf,
    /// 1 where `x` is NaN, else 0.
    IsNan,
}

impl UnaryFn {
    /// The function in double precision.
    pub fn evaluate(self, x: f64) -> f64 {
        let sigmoid = |x: f64| if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) };
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let clip = |x: f64, low: f64, high: f64| {
            if x < low {
                low
            } else if x > high {
                high
            } else {
                x
            }
        };
        // 0 times an infinity is NaN; a slope of 0 means 0.
        let sloped = |slope: f32, x: f64| if slope == 0.0 && !x.is_nan() { 0.0 } else { f64::from(slope) * x };
        let hard_sigmoid = |x: f64| clip(x / 6.0 + 0.5, 0.0, 1.0);
        // Comparisons are written so that NaN stays NaN, which f64::max and f64::min would swallow.
        match self {
            UnaryFn::Relu => clip(x, 0.0, f64::INFINITY),
            UnaryFn::Relu6 => clip(x, 0.0, 6.0),
            UnaryFn::ReluGeneral { max_value, negative_slope, threshold } => {
                let (max_value, threshold) = (f64::from(max_value), f64::from(threshold));
                if x >= max_value {
                    max_value
                } else if x >= threshold {
                    x
                } else {
                    sloped(negative_slope, x - threshold)
                }
            }
            UnaryFn::LeakyRelu { negative_slope } => {
                if x >= 0.0 {
                    x
                } else {
                    sloped(negative_slope, x)
                }
            }
            UnaryFn::Elu { alpha } => {
                if x > 0.0 {
                    x
                } else {
                    f64::from(alpha) * x.exp_m1()
                }
            }
            UnaryFn::Selu => {
                const SCALE: f64 = 1.050_700_987_355_480_5;
                const ALPHA: f64 = 1.673_263_242_354_377_2;
                SCALE * if x > 0.0 { x } else { ALPHA * x.exp_m1() }
            }
            UnaryFn::Celu { alpha } => {
                let alpha = f64::from(alpha);
                if x > 0.0 { x } else { alpha * (x / alpha).exp_m1() }
            }
            // erfc keeps the digits that 1 + erf would cancel on the negative side.
            UnaryFn::Gelu => 0.5 * x * libm::erfc(-x / std::f64::consts::SQRT_2),
            UnaryFn::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                x * sigmoid(2.0 * inner)
            }
            UnaryFn::Silu => x * sigmoid(x),
            UnaryFn::HardSilu => x * hard_sigmoid(x),
            UnaryFn::Sigmoid => sigmoid(x),
            UnaryFn::HardSigmoid { alpha, beta } => clip(f64::from(alpha) * x + f64::from(beta), 0.0, 1.0),
            UnaryFn::LogSigmoid => -softplus(-x),
            UnaryFn::SparseSigmoid => clip(0.5 * (x + 1.0), 0.0, 1.0),
            UnaryFn::Tanh => x.tanh(),
            UnaryFn::HardTanh => clip(x, -1.0, 1.0),
            UnaryFn::TanhShrink => x - x.tanh(),
            UnaryFn::Softplus => softplus(x),
            UnaryFn::Softsign => x / (1.0 + x.abs()),
            UnaryFn::SparsePlus => {
                if x <= -1.0 {
                    0.0
                } else if x < 1.0 {
                    (x + 1.0) * (x + 1.0) / 4.0
                } else {
                    x
                }
            }
            UnaryFn::Squareplus { b } => (x + (x * x + f64::from(b)).sqrt()) / 2.0,
            UnaryFn::HardShrink { threshold } => {
                if x.abs() <= f64::from(threshold) {
                    0.0
                } else {
                    x
                }
            }
            UnaryFn::SoftShrink { threshold } => {
                let threshold = f64::from(threshold);
                if x > threshold {
                    x - threshold
                } else if x < -threshold {
                    x + threshold
                } else {
                    x * 0.0
                }
            }
            UnaryFn::Threshold { threshold, value } => {
                if x <= f64::from(threshold) {
                    f64::from(value)
                } else {
                    x
                }
            }
            UnaryFn::Mish => x * softplus(x).tanh(),
            UnaryFn::Exp => x.exp(),
            UnaryFn::Affine { scale, offset } => f64::from(scale) * x + f64::from(offset),
            UnaryFn::Clip { low, high } => clip(x, f64::from(low), f64::from(high)),
            UnaryFn::Neg => -x,
            UnaryFn::Abs => x.abs(),
            UnaryFn::Log => x.ln(),
            UnaryFn::Sqrt => x.sqrt(),
            UnaryFn::Square => x * x,
            UnaryFn::Reciprocal => 1.0 / x,
            UnaryFn::Floor => x.floor(),
            UnaryFn::Ceil => x.ceil(),
            UnaryFn::Round => x.round_ties_even(),
            UnaryFn::Sign if x == 0.0 => x,
            UnaryFn::Sign => x.signum(),
            UnaryFn::Erf => libm::erf(x),
            UnaryFn::IsNan => f64::from(x.is_nan()),
        }
    }

    /// Whether the function is made of steps, between which nothing changes.
    pub fn is_stepped(self) -> bool {
        matches!(self, UnaryFn::Floor | UnaryFn::Ceil | UnaryFn::Round | UnaryFn::Sign | UnaryFn::IsNan)
    }

    /// Accuracy class of the function by itself.
    pub fn accuracy(self) -> Accuracy {
        match self {
            UnaryFn::Relu | UnaryFn::Relu6 | UnaryFn::Neg | UnaryFn::Abs | UnaryFn::Clip { .. } => Accuracy::Exact,
            UnaryFn::HardTanh | UnaryFn::HardShrink { .. } | UnaryFn::Threshold { .. } => Accuracy::Exact,
            stepped if stepped.is_stepped() => Accuracy::Exact,
            UnaryFn::ReluGeneral { .. }
            | UnaryFn::LeakyRelu { .. }
            | UnaryFn::HardSilu
            | UnaryFn::HardSigmoid { .. }
            | UnaryFn::SparseSigmoid
            | UnaryFn::SparsePlus
            | UnaryFn::SoftShrink { .. }
            | UnaryFn::Softsign
            | UnaryFn::Affine { .. }
            | UnaryFn::Square
            | UnaryFn::Sqrt
            | UnaryFn::Reciprocal => Accuracy::Elementwise,
            _ => Accuracy::Transcendental,
        }
    }
}

/// A function of each element. One input, one output of the same shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unary {
    /// The function.
    pub function: UnaryFn,
}

impl OpSpec for Unary {
    fn name(&self) -> &'static str {
        "Unary"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        Ok(inputs.to_vec())
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = &self.infer(&types(inputs))?[0];
        let x = values(self.name(), inputs)?[0];
        output(self.name(), ty, x.iter().map(|&x| self.function.evaluate(f64::from(x)) as f32).collect())
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let dy = site.dy()?;
        match self.function {
            UnaryFn::Affine { scale, .. } => GradientSite::only(site.scaled(dy, scale)?),
            UnaryFn::Neg => GradientSite::only(site.scaled(dy, -1.0)?),
            stepped if stepped.is_stepped() => {
                Ok(Gradient::NotDifferentiable("its function is made of steps, between which nothing changes"))
            }
            function => {
                let source = if function.derives_from_output() { site.outputs[0] } else { site.inputs[0] };
                GradientSite::only(site.emit(UnaryGrad { function }, &[source, dy])?)
            }
        }
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        self.function.accuracy()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_goes_through_every_activation() {
        for function in [UnaryFn::Relu, UnaryFn::Relu6, UnaryFn::HardTanh, UnaryFn::Softplus, UnaryFn::HardSilu] {
            assert!(function.evaluate(f64::NAN).is_nan(), "{function:?}");
        }
    }

    #[test]
    fn known_values() {
        let near = |function: UnaryFn, x: f64, y: f64| {
            assert!((function.evaluate(x) - y).abs() < 1e-12, "{function:?}({x}) = {}", function.evaluate(x));
        };
        near(UnaryFn::Gelu, 1.0, 0.841_344_746_068_542_9);
        near(UnaryFn::GeluTanh, 1.0, 0.841_191_990_608_276_5);
        near(UnaryFn::Mish, 1.0, 0.865_098_388_267_310_4);
        near(UnaryFn::Softplus, -40.0, 4.248_354_255_291_589e-18);
        near(UnaryFn::HardSilu, -3.0, 0.0);
        near(UnaryFn::ReluGeneral { max_value: 2.0, negative_slope: 0.5, threshold: 1.0 }, 0.0, -0.5);
    }
}
