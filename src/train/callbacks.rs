//! What is decided at the end of an epoch: stopping, lower learning rates, saving. Names, defaults and rules are Keras 3's.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Metric;

/// Which way a number improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As the metric of that name does; losses fall.
    #[default]
    Auto,
    /// Smaller is better.
    Min,
    /// Larger is better.
    Max,
}

impl Mode {
    fn larger_is_better(self, monitor: &str) -> bool {
        let name = monitor.strip_prefix("val_").unwrap_or(monitor);
        match self {
            Mode::Auto => Metric::parse(name).is_ok_and(Metric::larger_is_better),
            Mode::Min => false,
            Mode::Max => true,
        }
    }
}

/// The best value so far and the epochs since: what a decision remembers from epoch to epoch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Patience {
    best: Option<f64>,
    waited: u64,
    #[serde(default)]
    cooldown: u64,
}

impl Patience {
    /// Whether `value` is better than all before; what is no number never is.
    fn improves(&mut self, larger: bool, value: f64, min_delta: f64) -> bool {
        let min_delta = min_delta.abs();
        let beats = |best: f64| if larger { value - min_delta > best } else { value + min_delta < best };
        let better = !value.is_nan() && self.best.is_none_or(beats);
        if better {
            self.best = Some(value);
            self.waited = 0;
        }
        better
    }
}

/// Stops when a number stops improving (`keras.callbacks.EarlyStopping`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// The number: `loss`, `val_loss` or a metric.
    pub monitor: String,
    /// Which way it improves.
    pub mode: Mode,
    /// Less of a change than this is no improvement (0).
    pub min_delta: f64,
    /// Epochs without improvement before it stops (0, which is as good as 1).
    pub patience: u64,
    /// Go back to the weights of the best epoch in the end, whether it stops early or not.
    pub restore_best: bool,
}

/// What an epoch means for early stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The best epoch so far.
    Best,
    /// No improvement, but there is patience left.
    Wait,
    /// Patience is at its end.
    Stop,
}

impl Default for EarlyStopping {
    fn default() -> EarlyStopping {
        let monitor = "val_loss".into();
        EarlyStopping { monitor, mode: Mode::Auto, min_delta: 0.0, patience: 0, restore_best: false }
    }
}

impl EarlyStopping {
    /// Takes in the number of one more epoch.
    pub fn observe(&self, state: &mut Patience, value: f64) -> Verdict {
        if state.improves(self.mode.larger_is_better(&self.monitor), value, self.min_delta) {
            return Verdict::Best;
        }
        state.waited += 1;
        if self.stops(state) { Verdict::Stop } else { Verdict::Wait }
    }

    /// Whether patience is at its end.
    pub fn stops(&self, state: &Patience) -> bool {
        state.waited >= self.patience.max(1)
    }
}

/// Multiplies the learning rate when a number stops improving (`keras.callbacks.ReduceLROnPlateau`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReduceOnPlateau {
    /// The number: `loss`, `val_loss` or a metric.
    pub monitor: String,
    /// Which way it improves.
    pub mode: Mode,
    /// The factor (0.1).
    pub factor: f64,
    /// Epochs without improvement before it acts (10).
    pub patience: u64,
    /// Less of a change than this is no improvement (0.0001).
    pub min_delta: f64,
    /// Epochs after it acted that do not count (0).
    pub cooldown: u64,
    /// The learning rate does not fall below this (0).
    pub min_rate: f64,
}

impl Default for ReduceOnPlateau {
    fn default() -> ReduceOnPlateau {
        let monitor = "val_loss".into();
        let (factor, patience, min_delta, cooldown, min_rate) = (0.1, 10, 1e-4, 0, 0.0);
        ReduceOnPlateau { monitor, mode: Mode::Auto, factor, patience, min_delta, cooldown, min_rate }
    }
}

impl ReduceOnPlateau {
    /// Takes in the number of one more epoch with its learning rate, and says whether the rate falls.
    pub fn observe(&self, state: &mut Patience, value: f64, rate: f64) -> bool {
        if state.cooldown > 0 {
            state.cooldown -= 1;
            state.waited = 0;
        }
        if state.improves(self.mode.larger_is_better(&self.monitor), value, self.min_delta) || state.cooldown > 0 {
            return false;
        }
        state.waited += 1;
        let falls = state.waited >= self.patience && rate > self.min_rate;
        if falls {
            state.cooldown = self.cooldown;
            state.waited = 0;
        }
        falls
    }
}

/// Saves the state of a training (`keras.callbacks.ModelCheckpoint`).
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpointing {
    /// The file, always the latest state.
    pub path: PathBuf,
    /// Also after every so many epochs; 0 for only at the end.
    pub every: u64,
    /// Also to a file of this name whenever a number is better than ever.
    pub best: Option<(PathBuf, String)>,
}

impl Checkpointing {
    /// Whether the state is saved after `epoch`, counted from 1.
    pub fn is_due(&self, epoch: u64) -> bool {
        self.every > 0 && epoch.is_multiple_of(self.every)
    }

    /// Takes in the number of one more epoch and says whether it is the best so far.
    pub fn is_best(&self, state: &mut Patience, value: f64) -> bool {
        self.best.as_ref().is_some_and(|(_, monitor)| state.improves(Mode::Auto.larger_is_better(monitor), value, 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOSSES: [f64; 15] = [1.0, 0.8, 0.85, 0.79, 0.795, 0.9, 0.9, 0.7, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75];

    /// A state as it comes back from a checkpoint.
    fn again(state: &Patience) -> Patience {
        serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
    }

    /// `keras.callbacks.EarlyStopping` 3.15, called with these losses: the epochs at which it stops and to which it goes back.
    #[test]
    fn stops_where_keras_does() {
        let cases = [
            (2, 0.0, Mode::Auto, 5, 3),
            (2, 0.05, Mode::Auto, 3, 1),
            (0, 0.0, Mode::Auto, 2, 1),
            (3, 0.0, Mode::Min, 6, 3),
            (1, 0.0, Mode::Max, 1, 0),
            (5, 0.0, Mode::Auto, 12, 7),
        ];
        for (patience, min_delta, mode, stop, best) in cases {
            let stopping =
                EarlyStopping { monitor: "loss".into(), mode, min_delta, patience, ..EarlyStopping::default() };
            let (mut state, mut found) = (Patience::default(), (None, None));
            for (epoch, loss) in LOSSES.into_iter().enumerate() {
                match stopping.observe(&mut state, loss) {
                    Verdict::Best => found.1 = Some(epoch),
                    Verdict::Stop => found.0 = found.0.or(Some(epoch)),
                    Verdict::Wait => {}
                }
                state = again(&state);
                if found.0.is_some() {
                    break;
                }
            }
            assert_eq!(found, (Some(stop), Some(best)), "{stopping:?}");
        }
    }

    /// `keras.callbacks.ReduceLROnPlateau` 3.15, called with these losses: the epochs after which the rate fell.
    #[test]
    fn rates_fall_where_keras_has_them_fall() {
        let plain = ReduceOnPlateau { monitor: "loss".into(), patience: 2, ..ReduceOnPlateau::default() };
        let quick = ReduceOnPlateau { patience: 1, min_delta: 0.05, factor: 0.5, cooldown: 1, ..plain.clone() };
        let floored = ReduceOnPlateau { patience: 0, factor: 0.5, min_rate: 0.2, ..plain.clone() };
        let upwards = ReduceOnPlateau { mode: Mode::Max, factor: 0.5, ..plain.clone() };
        let cases: [(ReduceOnPlateau, &[usize]); 5] = [
            (plain.clone(), &[5, 9, 11, 13]),
            (ReduceOnPlateau { cooldown: 2, ..plain }, &[5, 9, 12]),
            (quick, &[2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14]),
            (floored, &[2, 4, 5]),
            (upwards, &[2, 4, 6, 8, 10, 12, 14]),
        ];
        for (plateau, expected) in cases {
            let (mut state, mut rate, mut fallen) = (Patience::default(), 1.0, Vec::new());
            for (epoch, loss) in LOSSES.into_iter().enumerate() {
                if plateau.observe(&mut state, loss, rate) {
                    rate = f64::max(rate * plateau.factor, plateau.min_rate);
                    fallen.push(epoch);
                }
                state = again(&state);
            }
            assert_eq!(fallen, expected, "{plateau:?}");
        }
    }

    #[test]
    fn metrics_improve_in_their_own_direction_and_what_is_no_number_never_does() {
        let best =
            |monitor: &str| Checkpointing { path: "a".into(), every: 3, best: Some(("b".into(), monitor.into())) };
        let saved = |monitor: &str| {
            let mut state = Patience::default();
            [f64::NAN, 0.5, 0.6, 0.6, f64::NAN, 0.4].map(|value| best(monitor).is_best(&mut state, value))
        };
        assert_eq!(saved("val_accuracy"), [false, true, true, false, false, false]);
        assert_eq!(saved("val_mse"), [false, true, false, false, false, true]);
        assert_eq!([1, 2, 3, 4, 6].map(|epoch| best("loss").is_due(epoch)), [false, false, true, false, true]);
        assert!(!Checkpointing { every: 0, ..best("loss") }.is_due(4));
    }
}
