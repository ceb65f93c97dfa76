//! Learning rates that change from step to step. Names, defaults and formulas are Keras 3's.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// A learning rate by step (`keras.optimizers.schedules`). Steps count batches from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// The same all the time.
    Constant(f64),
    /// `initial * rate^(step / steps)`, in whole stairs with `staircase`.
    ExponentialDecay {
        /// First learning rate.
        initial: f64,
        /// Steps in which the rate falls by the factor.
        steps: u64,
        /// The factor.
        rate: f64,
        /// Fall in stairs.
        staircase: bool,
    },
    /// Half a cosine from the first rate to `alpha` times it, after a linear rise from `initial` to `target` where there is one.
    CosineDecay {
        /// First learning rate.
        initial: f64,
        /// Steps of the fall.
        steps: u64,
        /// Share of the (highest) rate that stays in the end.
        alpha: f64,
        /// The rate to rise to, and the steps of the rise.
        warmup: Option<(f64, u64)>,
    },
    /// Half cosines one after the other.
    CosineDecayRestarts {
        /// First learning rate.
        initial: f64,
        /// Steps of the first fall.
        steps: u64,
        /// Factor of the steps from fall to fall (2).
        t_mul: f64,
        /// Factor of the rate from fall to fall (1).
        m_mul: f64,
        /// Share of the first rate that stays in the end.
        alpha: f64,
    },
    /// Constant rates: `values[i]` up to and including step `boundaries[i]`, the last value from then on.
    PiecewiseConstantDecay {
        /// Last steps of all values but the last.
        boundaries: Vec<u64>,
        /// The rates.
        values: Vec<f64>,
    },
    /// `(initial - end) * (1 - step / steps)^power + end`; with `cycle` it starts anew over ever more steps.
    PolynomialDecay {
        /// First learning rate.
        initial: f64,
        /// Steps of the fall.
        steps: u64,
        /// Last learning rate.
        end: f64,
        /// Power; 1 is a straight line.
        power: f64,
        /// Start anew after the steps.
        cycle: bool,
    },
    /// `initial / (1 + rate * step / steps)`, in whole stairs with `staircase`.
    InverseTimeDecay {
        /// First learning rate.
        initial: f64,
        /// Steps between applications of the rate.
        steps: u64,
        /// The rate.
        rate: f64,
        /// Fall in stairs.
        staircase: bool,
    },
}

impl Schedule {
    /// Refuses numbers that make no schedule.
    ///
    /// # Errors
    /// [`TrainError::Setting`], which says what would.
    pub fn check(&self) -> Result<(), TrainError> {
        let wrong = |what: String| Err(TrainError::Setting { what });
        let (steps, numbers) = match self {
            Schedule::Constant(rate) => (1, vec![*rate]),
            Schedule::ExponentialDecay { initial, steps, rate, .. }
            | Schedule::InverseTimeDecay { initial, steps, rate, .. } => (*steps, vec![*initial, *rate]),
            Schedule::CosineDecay { initial, steps, alpha, warmup } => {
                (*steps, vec![*initial, *alpha, warmup.map_or(0.0, |(target, _)| target)])
            }
            Schedule::CosineDecayRestarts { initial, steps, t_mul, m_mul, alpha } => {
                if *t_mul < 1.0 {
                    return wrong(format!(
                        "restarts with t_mul = {t_mul} come ever faster until none are left; it must be 1 or more"
                    ));
                }
                (*steps, vec![*initial, *t_mul, *m_mul, *alpha])
            }
            Schedule::PiecewiseConstantDecay { boundaries, values } => {
                if values.len() != boundaries.len() + 1 {
                    let (values, boundaries) = (values.len(), boundaries.len());
                    return wrong(format!(
                        "{boundaries} boundaries lie between {} values, not {values}",
                        boundaries + 1
                    ));
                }
                if let Some(pair) = boundaries.windows(2).find(|pair| pair[0] >= pair[1]) {
                    return wrong(format!("the boundaries must rise, and {} follows {}", pair[1], pair[0]));
                }
                (1, values.clone())
            }
            Schedule::PolynomialDecay { initial, steps, end, power, .. } => (*steps, vec![*initial, *end, *power]),
        };
        if steps == 0 {
            return wrong("a learning rate cannot fall in 0 steps; give 1 or more".into());
        }
        match numbers.into_iter().find(|number| !number.is_finite() || *number < 0.0) {
            Some(number) => wrong(format!("a schedule cannot be made of {number}; its numbers are 0 or more")),
            None => Ok(()),
        }
    }

    /// The learning rate of a step.
    pub fn rate(&self, step: u64) -> f64 {
        let share = |steps: u64, staircase: bool| {
            let share = step as f64 / steps.max(1) as f64;
            if staircase { share.floor() } else { share }
        };
        match self {
            Schedule::Constant(rate) => *rate,
            Schedule::ExponentialDecay { initial, steps, rate, staircase } => {
                initial * rate.powf(share(*steps, *staircase))
            }
            Schedule::InverseTimeDecay { initial, steps, rate, staircase } => {
                initial / (1.0 + rate * share(*steps, *staircase))
            }
            Schedule::CosineDecay { initial, steps, alpha, warmup } => {
                let fall = |step: f64, from: f64| {
                    let done = step.min(*steps as f64) / (*steps).max(1) as f64;
                    from * ((1.0 - alpha) * 0.5 * (1.0 + (PI * done).cos()) + alpha)
                };
                match warmup {
                    Some((target, rise)) if step < *rise => initial + (target - initial) * step as f64 / *rise as f64,
                    Some((target, rise)) => fall((step - rise) as f64, *target),
                    None => fall(step as f64, *initial),
                }
            }
            Schedule::CosineDecayRestarts { initial, steps, t_mul, m_mul, alpha } => {
                let done = step as f64 / (*steps).max(1) as f64;
                let (fall, done) = if *t_mul == 1.0 {
                    (done.floor(), done.fract())
                } else {
                    let fall = ((1.0 - done * (1.0 - t_mul)).ln() / t_mul.ln()).floor();
                    let start = (1.0 - t_mul.powf(fall)) / (1.0 - t_mul);
                    (fall, (done - start) / t_mul.powf(fall))
                };
                initial * ((1.0 - alpha) * 0.5 * m_mul.powf(fall) * (1.0 + (PI * done).cos()) + alpha)
            }
            Schedule::PiecewiseConstantDecay { boundaries, values } => {
                let at = boundaries.iter().take_while(|&&boundary| step > boundary).count();
                values.get(at).or(values.last()).copied().unwrap_or(0.0)
            }
            Schedule::PolynomialDecay { initial, steps, end, power, cycle } => {
                let (step, steps) = (step as f64, (*steps).max(1) as f64);
                let steps = if *cycle { steps * (step / steps).ceil().max(1.0) } else { steps };
                let step = if *cycle { step } else { step.min(steps) };
                (initial - end) * (1.0 - step / steps).powf(*power) + end
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_survive_json_and_senseless_ones_are_refused() {
        let warm = Schedule::CosineDecay { initial: 0.01, steps: 20, alpha: 0.1, warmup: Some((0.2, 5)) };
        let stairs = Schedule::PiecewiseConstantDecay { boundaries: vec![3, 12], values: vec![0.3, 0.2, 0.1] };
        for schedule in [Schedule::Constant(0.1), warm, stairs] {
            schedule.check().unwrap();
            let text = serde_json::to_string(&schedule).unwrap();
            assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule, "{text}");
        }
        let refused = |schedule: Schedule| schedule.check().unwrap_err().to_string();
        let stairs = |boundaries: &[u64]| Schedule::PiecewiseConstantDecay {
            boundaries: boundaries.to_vec(),
            values: vec![0.3, 0.2, 0.1],
        };
        assert!(refused(stairs(&[3])).contains("between 2 values, not 3"));
        assert!(refused(stairs(&[3, 3])).contains("must rise"));
        let exponential = |steps, rate| Schedule::ExponentialDecay { initial: 0.1, steps, rate, staircase: false };
        assert!(refused(exponential(0, 0.5)).contains("0 steps"));
        assert!(refused(exponential(5, f64::NAN)).contains("NaN"));
        let restarts = Schedule::CosineDecayRestarts { initial: 0.1, steps: 5, t_mul: 0.5, m_mul: 1.0, alpha: 0.0 };
        assert!(refused(restarts).contains("t_mul"));
    }

    /// Values of `keras.optimizers.schedules` 3.15 (backend jax) at steps 0, 3, 10, 17 and 40.
    #[test]
    fn rates_are_those_of_keras() {
        const STEPS: [u64; 5] = [0, 3, 10, 17, 40];
        let near = |schedule: Schedule, expected: [f64; 5]| {
            for (step, expected) in STEPS.into_iter().zip(expected) {
                let rate = schedule.rate(step);
                assert!(
                    (rate - expected).abs() < 2e-6 * expected.abs().max(1e-2),
                    "{schedule:?} at {step}: {rate} {expected}"
                );
            }
        };
        near(
            Schedule::ExponentialDecay { initial: 0.1, steps: 10, rate: 0.5, staircase: false },
            [0.1, 0.081225239, 0.050000001, 0.030778611, 0.0062500001],
        );
        near(
            Schedule::ExponentialDecay { initial: 0.1, steps: 10, rate: 0.5, staircase: true },
            [0.1, 0.1, 0.050000001, 0.050000001, 0.0062500001],
        );
        near(
            Schedule::CosineDecay { initial: 0.1, steps: 20, alpha: 0.1, warmup: None },
            [0.1, 0.095095292, 0.054999996, 0.014904703, 0.010000001],
        );
        near(
            Schedule::CosineDecay { initial: 0.01, steps: 20, alpha: 0.1, warmup: Some((0.2, 5)) },
            [0.0099999998, 0.12400001, 0.17363961, 0.08218845, 0.020000001],
        );
        near(
            Schedule::CosineDecayRestarts { initial: 0.1, steps: 8, t_mul: 2.0, m_mul: 0.9, alpha: 0.05 },
            [0.1, 0.070677459, 0.087245852, 0.039409887, 0.043474998],
        );
        near(
            Schedule::CosineDecayRestarts { initial: 0.1, steps: 8, t_mul: 1.0, m_mul: 0.9, alpha: 0.05 },
            [0.1, 0.070677459, 0.07797882, 0.079021268, 0.061096545],
        );
        near(
            Schedule::PiecewiseConstantDecay { boundaries: vec![3, 12], values: vec![0.3, 0.2, 0.1] },
            [0.30000001, 0.30000001, 0.2, 0.1, 0.1],
        );
        near(
            Schedule::PolynomialDecay { initial: 0.1, steps: 15, end: 0.01, power: 2.0, cycle: false },
            [0.1, 0.067600004, 0.02, 0.0099999998, 0.0099999998],
        );
        near(
            Schedule::PolynomialDecay { initial: 0.1, steps: 15, end: 0.01, power: 1.0, cycle: true },
            [0.1, 0.082000002, 0.039999999, 0.049000002, 0.02],
        );
        near(
            Schedule::InverseTimeDecay { initial: 0.1, steps: 10, rate: 0.5, staircase: false },
            [0.1, 0.086956523, 0.06666667, 0.054054055, 0.033333335],
        );
        near(
            Schedule::InverseTimeDecay { initial: 0.1, steps: 10, rate: 0.5, staircase: true },
            [0.1, 0.1, 0.06666667, 0.06666667, 0.033333335],
        );
    }
}
