//! An optimizer's step on one weight.

use serde::{Deserialize, Serialize};

use super::{Cost, Gradient, GradientSite, OpSpec, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

/// The formula of an optimizer. Numbers that change from step to step come in at run time ([`Update`]).
///
/// Formulas are those of Keras 3 (`keras/src/optimizers`). `g` is the gradient, `r0..` the run-time numbers after the first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateRule {
    /// `w -= r0 * g`, with `r0` the learning rate; with momentum `m = momentum * m - r0 * g; w += m`, and Nesterov's
    /// `w += momentum * m - r0 * g`. Slots: `m`, with momentum only.
    Sgd {
        /// Share of the last step that is kept.
        momentum: f32,
        /// Look ahead.
        nesterov: bool,
    },
    /// `m += (g - m)(1 - beta_1); v += (g^2 - v)(1 - beta_2); w -= r0 * m / (sqrt(v) + epsilon)`, with
    /// `r0 = rate * sqrt(1 - beta_2^t) / (1 - beta_1^t)`. Slots: `m`, `v`, and the largest `v` with `amsgrad`.
    Adam {
        /// Decay of the first moment.
        beta_1: f32,
        /// Decay of the second moment.
        beta_2: f32,
        /// Added to the denominator.
        epsilon: f32,
        /// Divide by the largest second moment so far.
        amsgrad: bool,
    },
    /// `m += (g - m)(1 - beta_1); u = max(beta_2 * u, |g|); w -= r0 * m / (u + epsilon)`, with
    /// `r0 = rate / (1 - beta_1^t)`. Slots: `m`, `u`.
    Adamax {
        /// Decay of the first moment.
        beta_1: f32,
        /// Decay of the norm.
        beta_2: f32,
        /// Added to the denominator.
        epsilon: f32,
    },
    /// `m` and `v` as in Adam; `w -= r0 * (r1 * m + r2 * g) / (sqrt(v * r3) + epsilon)`, with the schedule of momenta in
    /// `r1`, `r2` and `r3 = 1 / (1 - beta_2^t)`. Slots: `m`, `v`.
    Nadam {
        /// Decay of the first moment.
        beta_1: f32,
        /// Decay of the second moment.
        beta_2: f32,
        /// Added to the denominator.
        epsilon: f32,
    },
    /// `v = rho * v + (1 - rho) * g^2; w -= r0 * g / sqrt(v + epsilon)`, less the squared mean gradient when `centered`; the
    /// quotient is accumulated with momentum. Slots: `v`, then the momentum and the mean where there are any.
    RmsProp {
        /// Decay of the second moment.
        rho: f32,
        /// Share of the last step that is kept.
        momentum: f32,
        /// Added to the denominator.
        epsilon: f32,
        /// Divide by an estimate of the variance.
        centered: bool,
    },
    /// `a += g^2; w -= r0 * g / sqrt(a + epsilon)`. Slots: `a`.
    Adagrad {
        /// Added to the denominator.
        epsilon: f32,
    },
    /// `w -= r0 * sign(beta_1 * m + (1 - beta_1) * g); m = beta_2 * m + (1 - beta_2) * g`. Slots: `m`.
    Lion {
        /// Share of the momentum in the step.
        beta_1: f32,
        /// Decay of the momentum.
        beta_2: f32,
    },
}

impl UpdateRule {
    /// Names of what is kept for each weight from step to step, as Keras calls them.
    pub fn slots(self) -> Vec<&'static str> {
        match self {
            UpdateRule::Sgd { momentum, .. } if momentum == 0.0 => vec![],
            UpdateRule::Sgd { .. } | UpdateRule::Lion { .. } => vec!["momentum"],
            UpdateRule::Adam { amsgrad: false, .. } | UpdateRule::Nadam { .. } => vec!["momentum", "velocity"],
            UpdateRule::Adam { amsgrad: true, .. } => vec!["momentum", "velocity", "velocity_hat"],
            UpdateRule::Adamax { .. } => vec!["momentum", "norm"],
            UpdateRule::Adagrad { .. } => vec!["accumulator"],
            UpdateRule::RmsProp { momentum, centered, .. } => {
                let mut slots = vec!["velocity"];
                if momentum > 0.0 {
                    slots.push("momentum");
                }
                if centered {
                    slots.push("average_gradient");
                }
                slots
            }
        }
    }

    /// The new weight; `slots` are changed in place.
    fn step(self, w: f64, g: f64, slots: &mut [f64], rates: &[f64]) -> f64 {
        let r = |index: usize| rates.get(index + 1).copied().unwrap_or(0.0);
        match (self, slots) {
            (UpdateRule::Sgd { momentum, nesterov }, [m]) => {
                let momentum = f64::from(momentum);
                *m = momentum * *m - r(0) * g;
                if nesterov { w + momentum * *m - r(0) * g } else { w + *m }
            }
            (UpdateRule::Sgd { .. }, _) => w - r(0) * g,
            (UpdateRule::Adam { beta_1, beta_2, epsilon, .. }, [m, v, rest @ ..]) => {
                *m += (g - *m) * (1.0 - f64::from(beta_1));
                *v += (g * g - *v) * (1.0 - f64::from(beta_2));
                let mut second = *v;
                if let [largest] = rest {
                    *largest = largest.max(*v);
                    second = *largest;
                }
                w - r(0) * *m / (second.sqrt() + f64::from(epsilon))
            }
            (UpdateRule::Adamax { beta_1, beta_2, epsilon }, [m, u]) => {
                *m += (g - *m) * (1.0 - f64::from(beta_1));
                *u = (f64::from(beta_2) * *u).max(g.abs());
                w - r(0) * *m / (*u + f64::from(epsilon))
            }
            (UpdateRule::Nadam { beta_1, beta_2, epsilon }, [m, v]) => {
                *m += (g - *m) * (1.0 - f64::from(beta_1));
                *v += (g * g - *v) * (1.0 - f64::from(beta_2));
                w - r(0) * (r(1) * *m + r(2) * g) / ((*v * r(3)).sqrt() + f64::from(epsilon))
            }
            (UpdateRule::RmsProp { rho, momentum, epsilon, centered }, [v, rest @ ..]) => {
                let rho = f64::from(rho);
                *v = rho * *v + (1.0 - rho) * g * g;
                let mut denominator = *v + f64::from(epsilon);
                if centered && let Some(average) = rest.last_mut() {
                    *average = rho * *average + (1.0 - rho) * g;
                    denominator -= *average * *average;
                }
                let step = r(0) * g / denominator.sqrt();
                match rest.first_mut() {
                    Some(m) if momentum > 0.0 => {
                        *m = f64::from(momentum) * *m + step;
                        w - *m
                    }
                    _ => w - step,
                }
            }
            (UpdateRule::Adagrad { epsilon }, [a]) => {
                *a += g * g;
                w - r(0) * g / (*a + f64::from(epsilon)).sqrt()
            }
            (UpdateRule::Lion { beta_1, beta_2 }, [m]) => {
                let (beta_1, beta_2) = (f64::from(beta_1), f64::from(beta_2));
                let direction = beta_1 * *m + (1.0 - beta_1) * g;
                *m = beta_2 * *m + (1.0 - beta_2) * g;
                if direction == 0.0 || direction.is_nan() { w - direction } else { w - r(0) * direction.signum() }
            }
            // The shape rule has counted the slots.
            _ => w,
        }
    }
}

/// An optimizer's step on one weight.
///
/// Inputs: the weight, its gradient, the slots of the rule (all of one shape), and the run-time numbers `[8]`: first the
/// share of the weight that decays, then those of the rule. Outputs: the new weight and the new slots.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Update {
    /// The formula.
    pub rule: UpdateRule,
}

impl Update {
    /// How many run-time numbers there are, used or not.
    pub const RATES: usize = 8;
}

impl OpSpec for Update {
    fn name(&self) -> &'static str {
        "Update"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        let slots = self.rule.slots().len();
        expect_f32(self.name(), inputs, slots + 3)?;
        let (tensors, rates) = (&inputs[..slots + 2], &inputs[slots + 2]);
        if let Some(other) = tensors.iter().find(|tensor| **tensor != inputs[0]) {
            return Err(ShapeError::mismatch(self.name(), format!("{other} does not fit the weight {}", inputs[0])));
        }
        match rates.shape.to_vec() == [Update::RATES] {
            true => Ok(vec![inputs[0].clone(); slots + 1]),
            false => Err(ShapeError::mismatch(self.name(), format!("the rates must be [8] and are {}", rates.shape))),
        }
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let data = values(self.name(), inputs)?;
        let slots = self.rule.slots().len();
        let rates: Vec<f64> = data[slots + 2].iter().map(|&rate| f64::from(rate)).collect();
        let decay = rates.first().copied().unwrap_or(0.0);
        let mut results = vec![Vec::with_capacity(ty.shape.elements()); slots + 1];
        for i in 0..ty.shape.elements() {
            let mut own: Vec<f64> = data[2..slots + 2].iter().map(|slot| f64::from(slot[i])).collect();
            let w = f64::from(data[0][i]);
            let w = self.rule.step(w - w * decay, f64::from(data[1][i]), &mut own, &rates);
            for (result, value) in results.iter_mut().zip([w].into_iter().chain(own)) {
                result.push(value as f32);
            }
        }
        let mut outputs = Vec::with_capacity(results.len());
        for result in results {
            outputs.extend(output(self.name(), &ty, result)?);
        }
        Ok(outputs)
    }

    fn gradient(&self, _site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        Ok(Gradient::NotDifferentiable("training does not go through a step of training"))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        // Sums of a handful of terms; Lion's sign turns a rounding of its sum near 0 into a whole step.
        Accuracy::Reduction { length: 4 }
    }
}
