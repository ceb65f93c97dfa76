//! Errors of layers and models.

use thiserror::Error;

use crate::error::{GraphError, TensorError};

/// A layer or model could not be made, called or given weights.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum LayerError {
    /// A layer does not take its inputs.
    #[error("layer `{layer}` ({class}): {what}")]
    Layer {
        /// The layer's name.
        layer: String,
        /// Its Keras class.
        class: String,
        /// What was wrong, and what would work.
        what: String,
    },
    /// A layer emits a graph that contradicts itself, as a rule because its inputs do not fit.
    #[error("layer `{layer}`: {source}")]
    Graph {
        /// The layer's name.
        layer: String,
        /// Why.
        source: GraphError,
    },
    /// A model's configuration asks for something that is not supported.
    #[error("layer `{layer}` ({class}): {}", problems.join("; "))]
    Config {
        /// The layer's name.
        layer: String,
        /// Its Keras class.
        class: String,
        /// Everything that is wrong with its configuration.
        problems: Vec<String>,
    },
    /// A model is put together wrongly.
    #[error("model `{model}`: {what}")]
    Model {
        /// The model's name.
        model: String,
        /// What was wrong, and what would work.
        what: String,
    },
    /// A weight does not fit.
    #[error("weight `{weight}`: {what}")]
    Weight {
        /// The weight's name.
        weight: String,
        /// What was wrong.
        what: String,
    },
    /// A tensor cannot be formed.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}
