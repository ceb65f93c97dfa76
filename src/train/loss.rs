//! Losses, written into the graph as nodes; names, defaults and formulas are Keras 3's.

use serde::{Deserialize, Serialize};

use super::expression::Expression;
use crate::error::{GraphError, TrainError};
use crate::graph::{Graph, ValueId};
use crate::ops::{BinaryFn, ReduceFn, Softmax, SoftmaxKind, UnaryFn};
use crate::tensor::Tensor;

/// A loss (`keras.losses`). Each gives one number per sample (and position, for targets of more axes); the loss of a batch is
/// their mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Mean of `(y - p)^2`.
    MeanSquaredError,
    /// Mean of `|y - p|`.
    MeanAbsoluteError,
    /// Quadratic up to `delta`, linear beyond.
    Huber {
        /// Where it turns linear (1).
        delta: f32,
    },
    /// Mean of `log(cosh(p - y))`.
    LogCosh,
    /// Cross-entropy of independent probabilities.
    BinaryCrossentropy {
        /// `p` are logits rather than probabilities.
        from_logits: bool,
        /// Targets are drawn towards 0.5 by this share.
        label_smoothing: f32,
    },
    /// Cross-entropy of one class among several, given one-hot.
    CategoricalCrossentropy {
        /// `p` are logits rather than probabilities.
        from_logits: bool,
        /// Targets are drawn towards the uniform distribution by this share.
        label_smoothing: f32,
    },
    /// Cross-entropy of one class among several, given by its number.
    SparseCategoricalCrossentropy {
        /// `p` are logits rather than probabilities.
        from_logits: bool,
    },
    /// Sum of `y log(y / p)`.
    KlDivergence,
    /// Mean of `max(1 - y p, 0)`; targets of 0 and 1 become -1 and 1.
    Hinge,
    /// Mean of `max(1 - y p, 0)^2`; targets as for [`Loss::Hinge`].
    SquaredHinge,
}

/// Keeps logarithms away from 0, as Keras's backend does.
const EPSILON: f32 = 1e-7;

impl Loss {
    /// Names that [`Loss::parse`] knows.
    pub const NAMES: &'static [&'static str] = &[
        "mse",
        "mae",
        "huber",
        "log_cosh",
        "binary_crossentropy",
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
        "kl_divergence",
        "hinge",
        "squared_hinge",
    ];

    /// A loss by its Keras name, with Keras's defaults.
    ///
    /// # Errors
    /// [`TrainError::Unknown`], which lists the names.
    pub fn parse(name: &str) -> Result<Loss, TrainError> {
        Ok(match name {
            "mse" | "mean_squared_error" => Loss::MeanSquaredError,
            "mae" | "mean_absolute_error" => Loss::MeanAbsoluteError,
            "huber" => Loss::Huber { delta: 1.0 },
            "log_cosh" | "logcosh" => Loss::LogCosh,
            "binary_crossentropy" => Loss::BinaryCrossentropy { from_logits: false, label_smoothing: 0.0 },
            "categorical_crossentropy" => Loss::CategoricalCrossentropy { from_logits: false, label_smoothing: 0.0 },
            "sparse_categorical_crossentropy" => Loss::SparseCategoricalCrossentropy { from_logits: false },
            "kl_divergence" | "kullback_leibler_divergence" | "kld" => Loss::KlDivergence,
            "hinge" => Loss::Hinge,
            "squared_hinge" => Loss::SquaredHinge,
            _ => return Err(TrainError::unknown("loss", name, Loss::NAMES)),
        })
    }

    /// The same loss on logits, where it makes a difference.
    #[must_use]
    pub fn with_logits(self) -> Loss {
        match self {
            Loss::BinaryCrossentropy { label_smoothing, .. } => {
                Loss::BinaryCrossentropy { from_logits: true, label_smoothing }
            }
            Loss::CategoricalCrossentropy { label_smoothing, .. } => {
                Loss::CategoricalCrossentropy { from_logits: true, label_smoothing }
            }
            Loss::SparseCategoricalCrossentropy { .. } => Loss::SparseCategoricalCrossentropy { from_logits: true },
            other => other,
        }
    }

    /// Whether targets are numbers of classes.
    pub fn is_sparse(self) -> bool {
        matches!(self, Loss::SparseCategoricalCrossentropy { .. })
    }

    /// The shape that targets have for predictions of this shape.
    pub fn target_shape(self, prediction: &[usize]) -> Vec<usize> {
        match self.is_sparse() {
            true => prediction[..prediction.len().saturating_sub(1)].to_vec(),
            false => prediction.to_vec(),
        }
    }

    /// Writes the loss of a batch into a graph: one number. `target` has the shape of [`Loss::target_shape`]; `weights`, one
    /// per sample, multiply what the samples contribute.
    ///
    /// # Errors
    /// [`TrainError::Graph`] when the shapes do not fit.
    pub fn emit(
        self,
        graph: &mut Graph,
        target: ValueId,
        prediction: ValueId,
        weights: Option<ValueId>,
    ) -> Result<ValueId, TrainError> {
        let mut e = Expression::new(graph, "loss");
        let mut each = self.each(&mut e, target, prediction)?;
        if let Some(weights) = weights {
            let batch = e.shape(weights)[0];
            let shape: Vec<usize> = [batch].into_iter().chain(vec![1; e.shape(each).rank().max(1) - 1]).collect();
            let weights = e.reshape(weights, &shape)?;
            each = e.mul(each, weights)?;
        }
        Ok(e.all(ReduceFn::Mean, each)?)
    }

    /// The loss of each sample: the predictions' shape without the last axis.
    fn each(self, e: &mut Expression<'_>, y: ValueId, p: ValueId) -> Result<ValueId, GraphError> {
        match self {
            Loss::MeanSquaredError => {
                let error = e.sub(p, y)?;
                let square = e.unary(UnaryFn::Square, error)?;
                e.last(ReduceFn::Mean, square)
            }
            Loss::MeanAbsoluteError => {
                let error = e.sub(p, y)?;
                let size = e.unary(UnaryFn::Abs, error)?;
                e.last(ReduceFn::Mean, size)
            }
            Loss::Huber { delta } => {
                let error = e.sub(p, y)?;
                let size = e.unary(UnaryFn::Abs, error)?;
                let bound = e.scalar(delta);
                let inner = e.binary(BinaryFn::Min, size, bound)?;
                let square = e.unary(UnaryFn::Square, inner)?;
                let square = e.affine(square, 0.5, 0.0)?;
                let outer = e.sub(size, inner)?;
                let outer = e.affine(outer, delta, 0.0)?;
                let sum = e.add(square, outer)?;
                e.last(ReduceFn::Mean, sum)
            }
            Loss::LogCosh => {
                let error = e.sub(p, y)?;
                let twice = e.affine(error, -2.0, 0.0)?;
                let soft = e.unary(UnaryFn::Softplus, twice)?;
                let sum = e.add(error, soft)?;
                let value = e.affine(sum, 1.0, -std::f32::consts::LN_2)?;
                e.last(ReduceFn::Mean, value)
            }
            Loss::BinaryCrossentropy { from_logits, label_smoothing } => {
                let y = smoothed(e, y, label_smoothing, 0.5)?;
                let value = if from_logits {
                    // -y log(sigmoid(x)) - (1 - y) log(1 - sigmoid(x)), without a logarithm of something near 0.
                    let soft = e.unary(UnaryFn::Softplus, p)?;
                    let product = e.mul(y, p)?;
                    e.sub(soft, product)?
                } else {
                    let p = e.unary(UnaryFn::Clip { low: EPSILON, high: 1.0 - EPSILON }, p)?;
                    let log_p = e.unary(UnaryFn::Log, p)?;
                    let (rest, rest_y) = (e.affine(p, -1.0, 1.0)?, e.affine(y, -1.0, 1.0)?);
                    let log_rest = e.unary(UnaryFn::Log, rest)?;
                    let (a, b) = (e.mul(y, log_p)?, e.mul(rest_y, log_rest)?);
                    let sum = e.add(a, b)?;
                    e.unary(UnaryFn::Neg, sum)?
                };
                e.last(ReduceFn::Mean, value)
            }
            Loss::CategoricalCrossentropy { from_logits, label_smoothing } => {
                let y = smoothed(e, y, label_smoothing, 1.0 / e.shape(p).last_axis().max(1) as f32)?;
                let logs = if from_logits {
                    log_softmax(e, p)?
                } else {
                    let sum = e.last(ReduceFn::Sum, p)?;
                    let shape: Vec<usize> = e.shape(sum).iter().copied().chain([1]).collect();
                    let sum = e.reshape(sum, &shape)?;
                    let share = e.div(p, sum)?;
                    let share = e.unary(UnaryFn::Clip { low: EPSILON, high: 1.0 - EPSILON }, share)?;
                    e.unary(UnaryFn::Log, share)?
                };
                cross_entropy(e, y, logs)
            }
            Loss::SparseCategoricalCrossentropy { from_logits } => {
                let logits = if from_logits {
                    p
                } else {
                    let p = e.unary(UnaryFn::Clip { low: EPSILON, high: 1.0 - EPSILON }, p)?;
                    e.unary(UnaryFn::Log, p)?
                };
                let logs = log_softmax(e, logits)?;
                let classes = e.shape(p).last_axis();
                let numbers = e.constant(Tensor::from_fn([classes], |class| class as f32));
                let shape: Vec<usize> = e.shape(y).iter().copied().chain([1]).collect();
                let y = e.reshape(y, &shape)?;
                let one_hot = e.binary(BinaryFn::Equal, y, numbers)?;
                cross_entropy(e, one_hot, logs)
            }
            Loss::KlDivergence => {
                let clip = UnaryFn::Clip { low: EPSILON, high: 1.0 };
                let (y, p) = (e.unary(clip, y)?, e.unary(clip, p)?);
                let ratio = e.div(y, p)?;
                let log = e.unary(UnaryFn::Log, ratio)?;
                let product = e.mul(y, log)?;
                e.last(ReduceFn::Sum, product)
            }
            Loss::Hinge | Loss::SquaredHinge => {
                let y = signs(e, y)?;
                let product = e.mul(y, p)?;
                let margin = e.affine(product, -1.0, 1.0)?;
                let mut value = e.unary(UnaryFn::Relu, margin)?;
                if self == Loss::SquaredHinge {
                    value = e.unary(UnaryFn::Square, value)?;
                }
                e.last(ReduceFn::Mean, value)
            }
        }
    }
}

fn smoothed(e: &mut Expression<'_>, y: ValueId, share: f32, towards: f32) -> Result<ValueId, GraphError> {
    if share == 0.0 { Ok(y) } else { e.affine(y, 1.0 - share, share * towards) }
}

fn log_softmax(e: &mut Expression<'_>, x: ValueId) -> Result<ValueId, GraphError> {
    let axis = e.shape(x).rank().saturating_sub(1);
    e.node(Softmax { kind: SoftmaxKind::LogSoftmax, axis }, &[x])
}

fn cross_entropy(e: &mut Expression<'_>, y: ValueId, logs: ValueId) -> Result<ValueId, GraphError> {
    let product = e.mul(y, logs)?;
    let sum = e.last(ReduceFn::Sum, product)?;
    e.unary(UnaryFn::Neg, sum)
}

/// Targets of 0 and 1 as -1 and 1, if there are no others.
fn signs(e: &mut Expression<'_>, y: ValueId) -> Result<ValueId, GraphError> {
    let (zero, one) = (e.scalar(0.0), e.scalar(1.0));
    let (zeros, ones) = (e.binary(BinaryFn::Equal, y, zero)?, e.binary(BinaryFn::Equal, y, one)?);
    let either = e.add(zeros, ones)?;
    let binary = e.all(ReduceFn::Min, either)?;
    let turned = e.affine(y, 1.0, -1.0)?;
    let change = e.mul(turned, binary)?;
    e.add(y, change)
}
