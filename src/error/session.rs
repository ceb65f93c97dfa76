//! Errors of compiling and running a graph on a device.

use thiserror::Error;

use crate::error::{GpuError, GraphError, PlanError};

/// A graph could not be compiled or run.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SessionError {
    /// The graph does not take these inputs, or a pass broke it.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The graph has no plan on this device.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The device cannot do it.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// Something that only a GPU can do was asked of the CPU reference.
    #[error("{what} needs a GPU device; this session runs on the CPU reference")]
    NeedsGpu {
        /// What was asked.
        what: &'static str,
    },
}
