//! Errors of graphs and of the passes that rewrite them.

use thiserror::Error;

use crate::error::ShapeError;
use crate::tensor::TensorType;

/// A graph could not be built, rewritten or bound to inputs.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum GraphError {
    /// A node does not take its inputs.
    #[error("node `{node}`: {source}")]
    Node {
        /// The node's name.
        node: String,
        /// Why.
        source: ShapeError,
    },
    /// A value of another graph, or none at all, was named.
    #[error("node `{node}` reads a value that the graph does not have")]
    UnknownValue {
        /// The node that reads it.
        node: String,
    },
    /// A replacement has another type than what it replaces.
    #[error("pass `{pass}` would replace `{value}` of type {expected} by a value of type {found}")]
    Replacement {
        /// The pass.
        pass: &'static str,
        /// The value to be replaced.
        value: String,
        /// Its type.
        expected: TensorType,
        /// The type offered.
        found: TensorType,
    },
    /// After a pass the graph contradicts itself.
    #[error("after pass `{pass}` the graph is wrong: {what}")]
    Verify {
        /// The pass.
        pass: String,
        /// What is wrong.
        what: String,
    },
    /// Inputs do not match those of the graph.
    #[error("input `{name}`: {what}")]
    Input {
        /// Name of the input.
        name: String,
        /// What was wrong, and what would work.
        what: String,
    },
    /// Two inputs or two outputs go by one name, by which they are given and taken.
    #[error("two {kind}s of the graph are called `{name}`; give each a name of its own")]
    SameName {
        /// Inputs or outputs: `input` or `output`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A graph without outputs computes nothing.
    #[error("the graph has no outputs; name at least one with `Graph::output`")]
    NoOutputs,
}
