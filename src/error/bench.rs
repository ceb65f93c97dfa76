//! Errors of benchmarks: of what is measured, of probes, and of the files that results are kept in.

use std::path::PathBuf;

use thiserror::Error;

use crate::error::{GpuError, GraphError, LayerError, PlanError, SessionError, TrainError, ZooError};

/// A benchmark could not be run, or its results not be read or written.
#[derive(Debug, Error)]
pub enum BenchError {
    /// A layer's graph is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A layer has no plan on this device.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The device cannot do it.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// A model cannot be compiled or run.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A network cannot be built.
    #[error(transparent)]
    Zoo(#[from] ZooError),
    /// A model of layers cannot be built.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A training step fails.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A probe did not compute what it should have: its rate would mean nothing.
    #[error("the probe `{stem}` {what}")]
    Probe {
        /// The probe.
        stem: &'static str,
        /// What was wrong.
        what: String,
    },
    /// Nothing is called so.
    #[error("nothing in this suite is called `{filter}`; there are: {}", known.join(", "))]
    Filter {
        /// What was asked for.
        filter: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A child process did not give its first output.
    #[error("`{name}` in a process of its own: {what}")]
    Child {
        /// What it was to run.
        name: String,
        /// What happened.
        what: String,
    },
    /// A file of results cannot be read or written.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        what: String,
    },
    /// A picture or page cannot be drawn. This is a fault of the crate.
    #[error("the report cannot be drawn: {0}")]
    Report(String),
}
