//! Outputs as answers: the likeliest classes by name, with probabilities.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Failure;
use crate::graph::{Graph, ValueId};
use crate::ops::{Op, SoftmaxKind, UnaryFn};

#[derive(Debug, Args)]
pub(super) struct AnswerArgs {
    /// Names of the classes, one a line in the order of their numbers.
    #[arg(long, value_name = "FILE.txt")]
    labels: Option<PathBuf>,
    /// Show so many of the likeliest classes; as a rule 5 of an output that is made by softmax or a sigmoid.
    #[arg(long, value_name = "K")]
    top: Option<usize>,
}

/// Where an output's probabilities come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Probabilities {
    /// The model gives probabilities.
    OfTheModel,
    /// The model gives logarithms of them.
    ExpApplied,
    /// The model gives scores, and softmax makes probabilities of them.
    SoftmaxApplied,
}

/// One of the likeliest classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Class {
    pub class: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    pub probability: f32,
}

/// How outputs are read as classes.
pub(super) struct Answers {
    labels: Option<Vec<String>>,
    top: Option<usize>,
}

impl AnswerArgs {
    pub(super) fn open(&self) -> Result<Answers, Failure> {
        let read = |path: &PathBuf| -> Result<Vec<String>, Failure> {
            let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
            let labels: Vec<String> = text.trim_end().lines().map(|line| line.trim().to_string()).collect();
            if labels.iter().all(String::is_empty) {
                return Err(format!("{}: no labels; they stand one a line", path.display()).into());
            }
            Ok(labels)
        };
        if self.top == Some(0) {
            return Err("--top 0 shows nothing".into());
        }
        Ok(Answers { labels: self.labels.as_ref().map(read).transpose()?, top: self.top })
    }
}

impl Answers {
    /// The outputs of a graph that are classes: their names, and where probabilities come from.
    ///
    /// Without --labels and --top, only outputs whose numbers are evidently probabilities of classes.
    pub(super) fn outputs(&self, graph: &Graph) -> Result<Vec<(String, Probabilities)>, Failure> {
        let mut found = Vec::new();
        let mut sizes = Vec::new();
        for (name, id) in graph.outputs() {
            let count: usize = graph.ty(*id).shape.iter().skip(1).product();
            // A vector, or one with axes of size 1 as pooling leaves them.
            let vector = count > 1 && graph.ty(*id).shape.iter().skip(1).any(|&size| size == count);
            if !vector || self.labels.as_ref().is_some_and(|labels| labels.len() != count) {
                sizes.push(format!("`{name}` {}", graph.ty(*id)));
                continue;
            }
            match probabilities(graph, *id) {
                Some(made) => found.push((name.clone(), made)),
                None if self.labels.is_some() || self.top.is_some() => {
                    found.push((name.clone(), Probabilities::SoftmaxApplied));
                }
                None => {}
            }
        }
        match (&self.labels, found.is_empty()) {
            (Some(labels), true) => {
                let (count, sizes) = (labels.len(), sizes.join(", "));
                Err(format!("there are {count} labels, and no output has as many classes: {sizes}").into())
            }
            (None, true) if self.top.is_some() => {
                Err(format!("--top is for outputs with one number a class: {}", sizes.join(", ")).into())
            }
            _ => Ok(found),
        }
    }

    /// The likeliest classes of one sample; of equal ones the first.
    pub(super) fn classes(&self, made: Probabilities, values: &[f32]) -> Vec<Class> {
        let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = values.iter().map(|&value| f64::from(value - largest).exp()).sum();
        let probability = |value: f32| match made {
            Probabilities::OfTheModel => value,
            Probabilities::ExpApplied => value.exp(),
            Probabilities::SoftmaxApplied => (f64::from(value - largest).exp() / sum) as f32,
        };
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        order.truncate(self.top.unwrap_or(5));
        let label = |class: usize| self.labels.as_ref().map(|labels| labels[class].clone());
        order
            .into_iter()
            .map(|class| Class { class, label: label(class), probability: probability(values[class]) })
            .collect()
    }
}

/// What makes the numbers of an output, if that is evidently probabilities.
fn probabilities(graph: &Graph, mut id: ValueId) -> Option<Probabilities> {
    loop {
        let node = graph.producer(id)?;
        return match &node.op {
            Op::Reshape(_) | Op::Transpose(_) => {
                id = *node.inputs.first()?;
                continue;
            }
            Op::Softmax(softmax) if softmax.kind == SoftmaxKind::LogSoftmax => Some(Probabilities::ExpApplied),
            Op::Softmax(_) => Some(Probabilities::OfTheModel),
            Op::Unary(unary) if unary.function == UnaryFn::Sigmoid => Some(Probabilities::OfTheModel),
            _ => None,
        };
    }
}

impl Probabilities {
    /// What to say of them.
    pub(super) fn note(self) -> &'static str {
        match self {
            Probabilities::OfTheModel => "",
            Probabilities::ExpApplied => " (exp applied: the model gives logarithms)",
            Probabilities::SoftmaxApplied => " (softmax applied: the model gives scores)",
        }
    }
}
