//! What can go wrong in training.

use std::path::PathBuf;

use thiserror::Error;

use super::{GpuError, GraphError, LayerError, PlanError, SessionError, TensorError};

/// An error of training.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The way back from the loss meets an op without a gradient.
    #[error("`{node}` ({op}) cannot be trained through: {reason}")]
    NotDifferentiable {
        /// The node.
        node: String,
        /// Its op.
        op: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A loss must be one number.
    #[error("the loss `{value}` is {found}; a loss is one number: reduce it to its mean or sum first")]
    NotScalar {
        /// The value.
        value: String,
        /// Its type.
        found: String,
    },
    /// A name that nothing answers to.
    #[error("there is no {kind} `{name}`; there are {known}")]
    Unknown {
        /// What it should be the name of.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A setting that does not fit the others.
    #[error("{what}")]
    Setting {
        /// What does not fit, and the way out.
        what: String,
    },
    /// The loss is no number any more.
    #[error("the loss is {loss} in step {step}; {first}")]
    NotFinite {
        /// The loss.
        loss: f32,
        /// The step, from 1.
        step: u64,
        /// What first gave a value that is no number, and a way out.
        first: String,
    },
    /// A file could not be read or written.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// Data does not fit the model.
    #[error("{what}")]
    Data {
        /// What does not fit, and what would.
        what: String,
    },
    /// A file of tensors could not be read or written.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A layer does not take its inputs.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A node does not take its inputs.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The device cannot run it.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl TrainError {
    /// A name that nothing answers to, with the names there are.
    pub fn unknown(kind: &'static str, name: &str, known: &[&str]) -> TrainError {
        let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        TrainError::Unknown { kind, name: name.into(), known: known.join(", ") }
    }
}

impl From<GpuError> for TrainError {
    fn from(error: GpuError) -> TrainError {
        TrainError::Session(error.into())
    }
}

impl From<PlanError> for TrainError {
    fn from(error: PlanError) -> TrainError {
        TrainError::Session(error.into())
    }
}
