//! What can go wrong in training.

use thiserror::Error;

use super::GraphError;

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
    /// A node does not take its inputs.
    #[error(transparent)]
    Graph(#[from] GraphError),
}
