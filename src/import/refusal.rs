//! Why a node of a file's graph has no translation.

use crate::error::GraphError;

/// Why a node has no translation.
#[derive(Debug)]
pub(super) enum Wrong {
    /// It may be fine, but is not supported.
    Unsupported(String),
    /// The node contradicts itself or its inputs.
    Invalid(String),
}

impl From<String> for Wrong {
    fn from(what: String) -> Wrong {
        Wrong::Invalid(what)
    }
}

impl From<GraphError> for Wrong {
    fn from(error: GraphError) -> Wrong {
        Wrong::Invalid(error.to_string())
    }
}

/// Refuses a node that another reader might accept.
pub(super) fn unsupported<T>(what: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Unsupported(what.into()))
}

/// Refuses a node that is wrong in itself.
pub(super) fn invalid<T>(what: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Invalid(what.into()))
}
