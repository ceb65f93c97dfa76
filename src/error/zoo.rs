//! Errors of the model zoo.

use thiserror::Error;

use crate::error::LayerError;

/// A zoo model could not be built.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ZooError {
    /// There is no such architecture.
    #[error("there is no zoo model `{name}`; there are {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The architectures that exist.
        known: Vec<String>,
    },
    /// An option is not known or has no such value.
    #[error("zoo model `{name}`: {what}; options are {}", known.join(", "))]
    Option {
        /// The architecture.
        name: String,
        /// What was wrong.
        what: String,
        /// The options that exist.
        known: Vec<String>,
    },
    /// The layers do not go together for these options.
    #[error(transparent)]
    Layer(#[from] LayerError),
}
