//! Metrics: how well predictions fit, summed up over batches. Names and definitions are Keras 3's.

use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::tensor::Tensor;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of samples whose class is right: binary for one probability (from 0.5 on), else by the largest output.
    Accuracy,
    /// Share of samples whose class is among the `k` largest outputs.
    TopK(usize),
    /// Mean of `(y - p)^2`.
    MeanSquaredError,
    /// Square root of the mean of `(y - p)^2`.
    RootMeanSquaredError,
    /// Mean of `|y - p|`.
    MeanAbsoluteError,
    /// Share of what is predicted positive (above 0.5) that is.
    Precision,
    /// Share of what is positive that is predicted so (above 0.5).
    Recall,
    /// Area under the curve of true positives over false positives, at 200 thresholds.
    Auc,
}

/// Thresholds of the area under the curve, as in Keras.
const THRESHOLDS: usize = 200;

impl Metric {
    /// Names that [`Metric::parse`] knows.
    pub const NAMES: &'static [&'static str] = &[
        "accuracy",
        "top_5_accuracy",
        "top_K_accuracy",
        "mse",
        "root_mean_squared_error",
        "mae",
        "precision",
        "recall",
        "auc",
    ];

    /// A metric by its name.
    ///
    /// # Errors
    /// [`TrainError::Unknown`], which lists the names.
    pub fn parse(name: &str) -> Result<Metric, TrainError> {
        let lower = name.to_lowercase();
        let k = lower.strip_prefix("top_").and_then(|rest| rest.strip_suffix("_accuracy")).and_then(|k| k.parse().ok());
        Ok(match (lower.as_str(), k) {
            (_, Some(k)) if k > 0 => Metric::TopK(k),
            ("accuracy" | "acc" | "binary_accuracy" | "categorical_accuracy" | "sparse_categorical_accuracy", _) => {
                Metric::Accuracy
            }
            ("top_k_categorical_accuracy" | "sparse_top_k_categorical_accuracy", _) => Metric::TopK(5),
            ("mse" | "mean_squared_error", _) => Metric::MeanSquaredError,
            ("rmse" | "root_mean_squared_error", _) => Metric::RootMeanSquaredError,
            ("mae" | "mean_absolute_error", _) => Metric::MeanAbsoluteError,
            ("precision", _) => Metric::Precision,
            ("recall", _) => Metric::Recall,
            ("auc", _) => Metric::Auc,
            _ => return Err(TrainError::unknown("metric", name, Metric::NAMES)),
        })
    }

    /// Its name in reports.
    pub fn name(self) -> String {
        match self {
            Metric::Accuracy => "accuracy".into(),
            Metric::TopK(k) => format!("top_{k}_accuracy"),
            Metric::MeanSquaredError => "mean_squared_error".into(),
            Metric::RootMeanSquaredError => "root_mean_squared_error".into(),
            Metric::MeanAbsoluteError => "mean_absolute_error".into(),
            Metric::Precision => "precision".into(),
            Metric::Recall => "recall".into(),
            Metric::Auc => "auc".into(),
        }
    }

    /// Whether larger values are better.
    pub fn larger_is_better(self) -> bool {
        !matches!(self, Metric::MeanSquaredError | Metric::RootMeanSquaredError | Metric::MeanAbsoluteError)
    }
}

/// A metric with what it has seen so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What is measured.
    pub metric: Metric,
    sum: f64,
    count: f64,
    /// Positives and negatives above each threshold.
    above: Vec<(f64, f64)>,
    positives: f64,
    negatives: f64,
}

impl Measured {
    /// Nothing seen yet.
    pub fn new(metric: Metric) -> Measured {
        let above = match metric {
            Metric::Auc => vec![(0.0, 0.0); THRESHOLDS],
            Metric::Precision | Metric::Recall => vec![(0.0, 0.0); 1],
            _ => Vec::new(),
        };
        Measured { metric, sum: 0.0, count: 0.0, above, positives: 0.0, negatives: 0.0 }
    }

    /// Takes in a batch: targets, predictions `[batch, ..]`, and what each sample counts for.
    ///
    /// # Errors
    /// [`TrainError::Data`] when targets and predictions do not belong together.
    pub fn update(&mut self, target: &Tensor, prediction: &Tensor, weights: Option<&Tensor>) -> Result<(), TrainError> {
        let wrong = |what: String| TrainError::Data { what };
        let (target, prediction) = (target.to_f32(), prediction.to_f32());
        let (y, p) =
            (target.f32s().map_err(|e| wrong(e.to_string()))?, prediction.f32s().map_err(|e| wrong(e.to_string()))?);
        let samples = prediction.shape().first().copied().unwrap_or(0);
        let classes = prediction.shape().last_axis().max(1);
        // Numbers of classes have one target for a whole line of outputs.
        let sparse = y.len() != p.len();
        if y.len() != p.len() && y.len() * classes != p.len() {
            let (y, p) = (target.shape(), prediction.shape());
            return Err(wrong(format!("{}: targets are {y} and predictions {p}", self.metric.name())));
        }
        let weights = weights.map(Tensor::to_f32);
        let weights = weights.as_ref().and_then(|weights| weights.f32s().ok());
        let lines = p.len() / classes;
        for line in 0..lines {
            let weight = weights.and_then(|w| w.get(line * samples / lines.max(1))).map_or(1.0, |&w| f64::from(w));
            let p = &p[line * classes..(line + 1) * classes];
            let y = if sparse { &y[line..=line] } else { &y[line * classes..(line + 1) * classes] };
            self.line(y, p, sparse, weight);
        }
        Ok(())
    }

    fn line(&mut self, y: &[f32], p: &[f32], sparse: bool, weight: f64) {
        let largest =
            |values: &[f32]| (0..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best });
        let class = if sparse { y[0] as usize } else { largest(y) };
        let mut add = |value: f64| {
            self.sum += weight * value;
            self.count += weight;
        };
        let pairs = || y.iter().zip(p).map(|(&y, &p)| (f64::from(y), f64::from(p)));
        match self.metric {
            Metric::Accuracy if p.len() == 1 => add(f64::from((p[0] > 0.5) == (y[0] > 0.5))),
            Metric::Accuracy => add(f64::from(largest(p) == class)),
            Metric::TopK(k) => {
                let before = p.iter().filter(|&&other| p.get(class).is_none_or(|&own| other > own)).count();
                add(f64::from(before < k));
            }
            Metric::MeanSquaredError | Metric::RootMeanSquaredError => {
                add(pairs().map(|(y, p)| (y - p).powi(2)).sum::<f64>() / p.len() as f64);
            }
            Metric::MeanAbsoluteError => add(pairs().map(|(y, p)| (y - p).abs()).sum::<f64>() / p.len() as f64),
            Metric::Precision | Metric::Recall | Metric::Auc => {
                let truth = |at: usize| if sparse && p.len() > 1 { at == class } else { y[at.min(y.len() - 1)] > 0.5 };
                for (at, &p) in p.iter().enumerate() {
                    let positive = truth(at);
                    *(if positive { &mut self.positives } else { &mut self.negatives }) += weight;
                    let count = self.above.len();
                    for (index, above) in self.above.iter_mut().enumerate() {
                        if f64::from(p) > threshold(index, count) {
                            *(if positive { &mut above.0 } else { &mut above.1 }) += weight;
                        }
                    }
                }
            }
        }
    }

    /// The metric over everything seen so far; 0 when there was nothing.
    pub fn result(&self) -> f64 {
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        match self.metric {
            Metric::RootMeanSquaredError => share(self.sum, self.count).sqrt(),
            Metric::Precision => self.above.first().map_or(0.0, |above| share(above.0, above.0 + above.1)),
            Metric::Recall => self.above.first().map_or(0.0, |above| share(above.0, self.positives)),
            Metric::Auc => {
                let point = |above: &(f64, f64)| (share(above.1, self.negatives), share(above.0, self.positives));
                let area = |pair: &[(f64, f64)]| {
                    let (right, left) = (point(&pair[0]), point(&pair[1]));
                    (right.0 - left.0) * (right.1 + left.1) / 2.0
                };
                self.above.windows(2).map(area).sum()
            }
            _ => share(self.sum, self.count),
        }
    }
}

/// A threshold between 0 and 1; the outer two lie just beyond, so that everything is above the first.
fn threshold(index: usize, count: usize) -> f64 {
    match (index, count) {
        (_, 1) => 0.5,
        (0, _) => -1e-7,
        (index, count) if index + 1 == count => 1.0 + 1e-7,
        (index, count) => index as f64 / (count - 1) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(metric: Metric, y: (&[usize], &[f32]), p: (&[usize], &[f32]), weights: Option<&[f32]>) -> f64 {
        let tensor = |(shape, values): (&[usize], &[f32])| Tensor::from_f32(shape.to_vec(), values.to_vec()).unwrap();
        let weights = weights.map(|weights| tensor((&[weights.len()], weights)));
        let mut measured = Measured::new(metric);
        measured.update(&tensor(y), &tensor(p), weights.as_ref()).unwrap();
        measured.result()
    }

    /// Values from `keras.metrics` 3.15 on the same numbers.
    #[test]
    fn metrics_are_those_of_keras() {
        let p: (&[usize], &[f32]) = (&[4, 3], &[0.1, 0.7, 0.2, 0.5, 0.2, 0.3, 0.3, 0.3, 0.4, 0.2, 0.6, 0.2]);
        let sparse: (&[usize], &[f32]) = (&[4], &[1.0, 2.0, 2.0, 0.0]);
        assert_eq!(measure(Metric::Accuracy, sparse, p, None), 0.5);
        assert_eq!(measure(Metric::TopK(2), sparse, p, None), 1.0);
        assert_eq!(measure(Metric::Accuracy, sparse, p, Some(&[3.0, 1.0, 1.0, 1.0])), 4.0 / 6.0);
        let binary: (&[usize], &[f32]) = (&[6, 1], &[1.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        let q: (&[usize], &[f32]) = (&[6, 1], &[0.9, 0.6, 0.3, 0.8, 0.2, 0.4]);
        assert_eq!(measure(Metric::Accuracy, binary, q, None), 4.0 / 6.0);
        assert_eq!(measure(Metric::Precision, binary, q, None), 2.0 / 3.0);
        assert_eq!(measure(Metric::Recall, binary, q, None), 2.0 / 3.0);
        assert!((measure(Metric::Auc, binary, q, None) - 7.0 / 9.0).abs() < 1e-6);
        assert!((measure(Metric::MeanAbsoluteError, binary, q, None) - 0.366_666_67).abs() < 1e-6);
        assert!((measure(Metric::RootMeanSquaredError, binary, q, None) - 0.428_174_2).abs() < 1e-6);
    }
}
