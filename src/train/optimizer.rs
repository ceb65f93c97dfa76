//! Optimizers: their settings, and the numbers that change from step to step. Names, defaults and formulas are Keras 3's.

use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::ops::{Update, UpdateRule};

/// How gradients are kept from growing too large.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clipping {
    /// Not at all.
    #[default]
    None,
    /// Every element between minus and plus this.
    Value(f32),
    /// The norm of each weight's gradient at most this.
    Norm(f32),
    /// The norm of all gradients together at most this.
    GlobalNorm(f32),
}

/// An optimizer (`keras.optimizers`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Optimizer {
    /// The formula.
    pub rule: UpdateRule,
    /// The learning rate, where no schedule gives another.
    pub learning_rate: f64,
    /// Share of each weight (times the learning rate) that decays with every step.
    pub weight_decay: f64,
    /// How gradients are kept from growing too large.
    pub clipping: Clipping,
    /// Keeps a moving average of the weights with this momentum, which the trained model gets in the end.
    pub ema_momentum: Option<f32>,
}

impl Optimizer {
    /// Names that [`Optimizer::parse`] knows.
    pub const NAMES: &'static [&'static str] =
        &["sgd", "adam", "adamw", "adamax", "nadam", "rmsprop", "adagrad", "lion"];

    fn new(rule: UpdateRule, learning_rate: f64) -> Optimizer {
        Optimizer { rule, learning_rate, weight_decay: 0.0, clipping: Clipping::None, ema_momentum: None }
    }

    /// Stochastic gradient descent, at 0.01.
    pub fn sgd() -> Optimizer {
        Optimizer::new(UpdateRule::Sgd { momentum: 0.0, nesterov: false }, 0.01)
    }

    /// Stochastic gradient descent with momentum, at 0.01.
    pub fn momentum(momentum: f32, nesterov: bool) -> Optimizer {
        Optimizer::new(UpdateRule::Sgd { momentum, nesterov }, 0.01)
    }

    /// Adam, at 0.001 with decays 0.9 and 0.999.
    pub fn adam() -> Optimizer {
        Optimizer::new(UpdateRule::Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, amsgrad: false }, 1e-3)
    }

    /// Adam with decoupled weight decay of 0.004.
    pub fn adamw() -> Optimizer {
        Optimizer { weight_decay: 0.004, ..Optimizer::adam() }
    }

    /// Adamax, at 0.001 with decays 0.9 and 0.999.
    pub fn adamax() -> Optimizer {
        Optimizer::new(UpdateRule::Adamax { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }, 1e-3)
    }

    /// Nadam, at 0.001 with decays 0.9 and 0.999.
    pub fn nadam() -> Optimizer {
        Optimizer::new(UpdateRule::Nadam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }, 1e-3)
    }

    /// RMSprop, at 0.001 with a decay of 0.9.
    pub fn rmsprop() -> Optimizer {
        Optimizer::new(UpdateRule::RmsProp { rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false }, 1e-3)
    }

    /// Adagrad, at 0.001; accumulators start at 0.1.
    pub fn adagrad() -> Optimizer {
        Optimizer::new(UpdateRule::Adagrad { epsilon: 1e-7 }, 1e-3)
    }

    /// Lion, at 0.001 with decays 0.9 and 0.99.
    pub fn lion() -> Optimizer {
        Optimizer::new(UpdateRule::Lion { beta_1: 0.9, beta_2: 0.99 }, 1e-3)
    }

    /// An optimizer by its Keras name, with Keras's defaults.
    ///
    /// # Errors
    /// [`TrainError::Unknown`], which lists the names.
    pub fn parse(name: &str) -> Result<Optimizer, TrainError> {
        Ok(match name {
            "sgd" => Optimizer::sgd(),
            "adam" => Optimizer::adam(),
            "adamw" => Optimizer::adamw(),
            "adamax" => Optimizer::adamax(),
            "nadam" => Optimizer::nadam(),
            "rmsprop" => Optimizer::rmsprop(),
            "adagrad" => Optimizer::adagrad(),
            "lion" => Optimizer::lion(),
            _ => return Err(TrainError::unknown("optimizer", name, Optimizer::NAMES)),
        })
    }

    /// At another learning rate.
    #[must_use]
    pub fn learning_rate(self, learning_rate: f64) -> Optimizer {
        Optimizer { learning_rate, ..self }
    }

    /// With another weight decay.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Optimizer {
        Optimizer { weight_decay, ..self }
    }

    /// With clipped gradients.
    #[must_use]
    pub fn clipping(self, clipping: Clipping) -> Optimizer {
        Optimizer { clipping, ..self }
    }

    /// With a moving average of the weights, which the trained model gets in the end; Keras's momentum is 0.99.
    #[must_use]
    pub fn ema(self, momentum: f32) -> Optimizer {
        Optimizer { ema_momentum: Some(momentum), ..self }
    }

    /// With another share of the last step that is kept, for the optimizers that have one.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for the others.
    pub fn with_momentum(self, momentum: f32, nesterov: bool) -> Result<Optimizer, TrainError> {
        let rule = match self.rule {
            UpdateRule::Sgd { .. } => UpdateRule::Sgd { momentum, nesterov },
            UpdateRule::RmsProp { rho, epsilon, centered, .. } if !nesterov => {
                UpdateRule::RmsProp { rho, momentum, epsilon, centered }
            }
            _ => {
                let what = "momentum is a setting of sgd and rmsprop, and nesterov of sgd alone".into();
                return Err(TrainError::Setting { what });
            }
        };
        Ok(Optimizer { rule, ..self })
    }

    /// What the slots hold before the first step.
    pub fn initial_slot(&self, slot: &str) -> f32 {
        match (self.rule, slot) {
            (UpdateRule::Adagrad { .. }, "accumulator") => 0.1,
            _ => 0.0,
        }
    }

    /// Which of the run-time numbers is the momentum of the average.
    pub(super) const EMA_RATE: usize = Update::RATES - 1;

    /// The run-time numbers of [`Update`] for step `step`, counted from 1, at a learning rate.
    pub fn rates(&self, step: u64, learning_rate: f64) -> [f32; Update::RATES] {
        let t = step.max(1) as f64;
        let mut rates = [0.0; Update::RATES];
        rates[0] = learning_rate * self.weight_decay;
        rates[1] = learning_rate;
        match self.rule {
            UpdateRule::Adam { beta_1, beta_2, .. } => {
                let (beta_1, beta_2) = (f64::from(beta_1), f64::from(beta_2));
                rates[1] = learning_rate * (1.0 - beta_2.powf(t)).sqrt() / (1.0 - beta_1.powf(t));
            }
            UpdateRule::Adamax { beta_1, .. } => rates[1] = learning_rate / (1.0 - f64::from(beta_1).powf(t)),
            UpdateRule::Nadam { beta_1, beta_2, .. } => {
                let momentum = |t: f64| f64::from(beta_1) * (1.0 - 0.5 * 0.96f64.powf(t));
                // Long before so many steps the product has become 0.
                let product: f64 = (1..=step.clamp(1, 20_000)).map(|t| momentum(t as f64)).product();
                rates[2] = momentum(t + 1.0) / (1.0 - product * momentum(t + 1.0));
                rates[3] = (1.0 - momentum(t)) / (1.0 - product);
                rates[4] = 1.0 / (1.0 - f64::from(beta_2).powf(t));
            }
            _ => {}
        }
        // The average starts as what the weights are after the first step.
        rates[Optimizer::EMA_RATE] = if step <= 1 { 0.0 } else { f64::from(self.ema_momentum.unwrap_or(0.0)) };
        rates.map(|rate| rate as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_steps_of_adam_are_as_long_as_the_learning_rate() {
        let rates = Optimizer::adam().rates(1, 0.01);
        // m = 0.1 g and sqrt(v) = sqrt(0.001) g: together they give one learning rate.
        assert!((f64::from(rates[1]) * 0.1 / 0.001f64.sqrt() - 0.01).abs() < 1e-7);
        assert!((Optimizer::adamw().rates(1, 0.01)[0] - 4e-5).abs() < 1e-10);
    }

    #[test]
    fn momentum_is_refused_where_there_is_none() {
        assert!(Optimizer::sgd().with_momentum(0.9, true).is_ok());
        assert!(Optimizer::rmsprop().with_momentum(0.9, false).is_ok());
        assert!(Optimizer::adam().with_momentum(0.9, false).is_err());
        assert!(Optimizer::parse("adan").unwrap_err().to_string().contains("adamax"));
    }
}
