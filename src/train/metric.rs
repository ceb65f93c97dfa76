//! Metrics: how well predictions fit, summed up over batches. Names and definitions are Keras 3's.

use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::tensor::Tensor;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of samples whose class is right: binary for one probability (above 0.5), else by the largest output.
    Accuracy,
    /// Share of outputs that are on the right side of 0.5, each output for itself.
    BinaryAccuracy,
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
        "binary_accuracy",
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
            ("accuracy" | "acc" | "categorical_accuracy" | "sparse_categorical_accuracy", _) => Metric::Accuracy,
            ("binary_accuracy", _) => Metric::BinaryAccuracy,
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
            Metric::BinaryAccuracy => "binary_accuracy".into(),
            Metric::TopK(k) => format!("top_{k}_accuracy"),
            Metric::MeanSquaredError => "mean_squared_error".into(),
            Metric::RootMeanSquaredError => "root_mean_squared_error".into(),
            Metric::MeanAbsoluteError => "mean_absolute_error".into(),
            Metric::Precision => "precision".into(),
            Metric::Recall => "recall".into(),
            Metric::Auc => "auc".into(),
        }
    }

    /// Whether each output is held against a target of its own.
    fn by_element(self) -> bool {
        matches!(self, Metric::BinaryAccuracy) || !self.larger_is_better()
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
    /// Positives and negatives just above each threshold, up to the next one.
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

    /// Takes in a batch: targets, predictions `[batch, ..]`, and what each sample counts for, `[batch]`.
    ///
    /// Targets have the shape of the predictions, or lack their last axis: then they are numbers of classes.
    ///
    /// # Errors
    /// [`TrainError::Data`] when targets, predictions and weights do not belong together.
    pub fn update(&mut self, target: &Tensor, prediction: &Tensor, weights: Option<&Tensor>) -> Result<(), TrainError> {
        let wrong = |what: String| TrainError::Data { what: format!("{}: {what}", self.metric.name()) };
        let (target, prediction, weights) = (target.to_f32(), prediction.to_f32(), weights.map(Tensor::to_f32));
        let values = |tensor: &Tensor| tensor.f32s().map(<[f32]>::to_vec).map_err(|e| wrong(e.to_string()));
        let (y, p, weights) = (values(&target)?, values(&prediction)?, weights.as_ref().map(values).transpose()?);
        let samples = prediction.shape().first().copied().unwrap_or(0);
        let classes = prediction.shape().last_axis().max(1);
        let sparse = y.len() != p.len();
        let shapes = || format!("targets are {} and predictions {}", target.shape(), prediction.shape());
        if sparse && y.len() * classes != p.len() {
            return Err(wrong(shapes()));
        }
        if sparse && self.metric.by_element() {
            return Err(wrong(format!("{}; it needs a target for each output, not numbers of classes", shapes())));
        }
        if let Some(weights) = weights.as_ref().filter(|weights| weights.len() != samples) {
            return Err(wrong(format!("{} weights for {samples} samples", weights.len())));
        }
        // A sample may have several lines, such as the pixels of a picture; all of them have its weight.
        let lines = (p.len() / classes / samples.max(1)).max(1);
        let targets = y.chunks(if sparse { 1 } else { classes });
        for (line, (y, p)) in targets.zip(p.chunks(classes)).enumerate() {
            let weight = weights.as_ref().and_then(|weights| weights.get(line / lines)).map_or(1.0, |&w| f64::from(w));
            self.line(y, p, sparse, weight);
        }
        Ok(())
    }

    /// Takes in the outputs along the last axis, and their targets or (`sparse`) the number of their class.
    fn line(&mut self, y: &[f32], p: &[f32], sparse: bool, weight: f64) {
        let class = if sparse { y.first().copied().unwrap_or(f32::NAN) } else { largest(y) as f32 };
        let mean = |value: fn(f64, f64) -> f64| {
            y.iter().zip(p).map(|(&y, &p)| value(f64::from(y), f64::from(p))).sum::<f64>() / p.len() as f64
        };
        // A target that is neither 0 nor 1 is never right, as in Keras.
        let right = |y: f64, p: f64| f64::from(u8::from(y == f64::from(u8::from(p > 0.5))));
        let value = match self.metric {
            Metric::Accuracy if p.len() > 1 => f64::from(u8::from(largest(p) as f32 == class)),
            Metric::Accuracy | Metric::BinaryAccuracy => mean(right),
            Metric::TopK(k) => {
                let own = p.iter().enumerate().find(|(at, _)| *at as f32 == class).map(|(_, &own)| own);
                // Equal outputs share their place; what is no number has none.
                let among = |own: f32| own.is_finite() && p.iter().filter(|&&other| other > own).count() < k;
                f64::from(u8::from(own.is_some_and(among)))
            }
            Metric::MeanSquaredError | Metric::RootMeanSquaredError => mean(|y, p| (y - p).powi(2)),
            Metric::MeanAbsoluteError => mean(|y, p| (y - p).abs()),
            Metric::Precision | Metric::Recall | Metric::Auc => {
                for (at, &p) in p.iter().enumerate() {
                    // Every target but 0 is positive, as in Keras.
                    let truth = if sparse { at as f32 == class } else { y.get(at).is_some_and(|&y| y != 0.0) };
                    self.outcome(truth, p, weight);
                }
                return;
            }
        };
        self.sum += weight * value;
        self.count += weight;
    }

    /// Takes in one probability and whether it should be 1.
    fn outcome(&mut self, truth: bool, p: f32, weight: f64) {
        *(if truth { &mut self.positives } else { &mut self.negatives }) += weight;
        let steps = self.above.len().saturating_sub(1) as f32;
        // How many thresholds it passes. For the area this is Keras's own arithmetic, so that a probability on a threshold
        // counts on the same side; even 0 passes the first threshold, which lies just below it.
        let passed = match self.metric {
            Metric::Auc => ((p.clamp(0.0, 1.0) * steps).ceil() as usize).max(1),
            _ => usize::from(p > 0.5),
        };
        if let Some(above) = passed.checked_sub(1).and_then(|last| self.above.get_mut(last)) {
            *(if truth { &mut above.0 } else { &mut above.1 }) += weight;
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
                let (mut right, mut left, mut area) = ((0.0, 0.0), (0.0, 0.0), 0.0);
                // From the highest threshold down, along the curve from (0, 0) to (1, 1).
                for above in self.above.iter().rev() {
                    right = (right.0 + above.1, right.1 + above.0);
                    let width = share(right.0 - left.0, self.negatives);
                    area += width * share((right.1 + left.1) / 2.0, self.positives);
                    left = right;
                }
                area
            }
            _ => share(self.sum, self.count),
        }
    }
}

/// The first of the largest values.
fn largest(values: &[f32]) -> usize {
    let better = |best: (usize, f32), (at, &value): (usize, &f32)| if value > best.1 { (at, value) } else { best };
    let first = (0, values.first().copied().unwrap_or(f32::NAN));
    values.iter().enumerate().fold(first, better).0
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

    /// Values between 0 and 1 that Python makes alike: `((i + offset) * 7919) % 2003 / 2003`.
    fn values(shape: [usize; 2], offset: usize) -> Tensor {
        Tensor::from_fn(shape, |i| (((i + offset) * 7919 % 2003) as f64 / 2003.0) as f32)
    }

    /// `keras.metrics` 3.15 on the same numbers in batches of 5 and 8, without and with sample weights.
    #[test]
    fn metrics_are_those_of_keras() {
        let map = |tensor: Tensor, f: fn(f32) -> f32| {
            let values = tensor.f32s().unwrap().to_vec();
            Tensor::from_fn(tensor.shape().clone(), |i| f(values[i]))
        };
        let class = |i: usize| if i % 3 > 0 { i * 5 % 4 } else { 2 };
        let (p, q, weights) = (values([13, 4], 0), values([13, 1], 0), values([13, 1], 400));
        let sparse = Tensor::from_fn([13], |i| class(i) as f32);
        let one_hot = Tensor::from_fn([13, 4], |i| f32::from(u8::from(class(i / 4) == i % 4)));
        let several = map(values([13, 4], 100), |x| f32::from(u8::from(x > 0.6)));
        let soft = values([13, 4], 7);
        let binary = map(values([13, 1], 50), |x| f32::from(u8::from(x > 0.5)));
        let (nearly, dim) = (map(binary.clone(), |y| 0.9 * y), map(binary.clone(), |y| 0.3 * y));
        let logits = map(q.clone(), |x| x * 4.0 - 2.0);
        let cases = [
            (Metric::BinaryAccuracy, &several, &p, 0.365384608, 0.382427275),
            (Metric::Accuracy, &several, &p, 0.692307710, 0.676738143),
            (Metric::Accuracy, &nearly, &q, 0.153846160, 0.361863405),
            (Metric::Accuracy, &sparse, &p, 0.153846160, 0.060428455),
            (Metric::Accuracy, &one_hot, &p, 0.153846160, 0.060428455),
            (Metric::TopK(2), &sparse, &p, 0.307692319, 0.224232003),
            (Metric::TopK(2), &one_hot, &p, 0.307692319, 0.224232003),
            (Metric::MeanAbsoluteError, &soft, &p, 0.425966799, 0.430569112),
            (Metric::RootMeanSquaredError, &soft, &p, 0.454518944, 0.459553778),
            (Metric::Precision, &binary, &q, 0.300000012, 0.368816406),
            (Metric::Precision, &several, &p, 0.241379306, 0.172099188),
            (Metric::Precision, &dim, &q, 0.300000012, 0.368816406),
            (Metric::Recall, &binary, &q, 0.75, 0.701393724),
            (Metric::Recall, &several, &p, 0.388888896, 0.526756048),
            (Metric::Recall, &dim, &q, 0.75, 0.701393724),
            (Metric::Auc, &binary, &q, 0.75, 0.701393724),
            (Metric::Auc, &several, &p, 0.352941155, 0.345127791),
            (Metric::Auc, &dim, &q, 0.75, 0.701393724),
            (Metric::Auc, &binary, &logits, 0.694444418, 0.733715594),
        ];
        for (metric, y, p, plain, weighted) in cases {
            for (weights, expected) in [(None, plain), (Some(&weights), weighted)] {
                let mut measured = Measured::new(metric);
                for range in [0..5, 5..13] {
                    let part = |tensor: &Tensor| {
                        let width = tensor.shape().elements() / 13;
                        let values = tensor.f32s().unwrap()[range.start * width..range.end * width].to_vec();
                        let shape = [&[range.len()][..], &tensor.shape()[1..]].concat();
                        Tensor::from_f32(shape, values).unwrap()
                    };
                    measured.update(&part(y), &part(p), weights.map(part).as_ref()).unwrap();
                }
                let found = measured.result();
                // Keras sums up in single precision.
                assert!((found - expected).abs() < 1e-6, "{metric:?}, {weights:?}: {found} {expected}");
            }
        }
    }

    /// `keras.metrics` 3.15, too.
    #[test]
    fn equal_outputs_share_their_place_and_what_is_no_number_has_none() {
        let y: (&[usize], &[f32]) = (&[4], &[0.0, 1.0, 2.0, 3.0]);
        let equal = [0.3, 0.3, 0.3, 0.1].repeat(4);
        assert_eq!(measure(Metric::TopK(2), y, (&[4, 4], &equal), None), 0.75);
        assert_eq!(measure(Metric::Accuracy, y, (&[4, 4], &equal), None), 0.25);
        assert_eq!(measure(Metric::TopK(2), y, (&[4, 4], &[f32::NAN; 16]), None), 0.0);
        let outside: (&[usize], &[f32]) = (&[3], &[-1.0, 0.5, f32::NAN]);
        assert_eq!(measure(Metric::Accuracy, outside, (&[3, 2], &[0.9, 0.1, 0.9, 0.1, 0.9, 0.1]), None), 0.0);
        assert_eq!(measure(Metric::TopK(2), outside, (&[3, 2], &[0.9, 0.1, 0.9, 0.1, 0.9, 0.1]), None), 0.0);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let (p, classes) = (Tensor::full([4, 3], 0.5), Tensor::full([4], 1.0));
        let refused = |metric: Metric, y: &Tensor, weights: Option<&Tensor>| {
            Measured::new(metric).update(y, &p, weights).unwrap_err().to_string()
        };
        assert!(refused(Metric::Accuracy, &Tensor::full([5], 1.0), None).contains("[5]"));
        assert!(refused(Metric::MeanSquaredError, &classes, None).contains("not numbers of classes"));
        assert!(refused(Metric::Accuracy, &classes, Some(&Tensor::full([3], 1.0))).contains("3 weights for 4 samples"));
        assert_eq!(Measured::new(Metric::Auc).result(), 0.0);
    }
}
