//! Rewriting a graph before it is planned: every change is verified, named, and says why.

use serde::Serialize;

use crate::error::GraphError;
use crate::graph::Graph;

/// One thing that a pass did, or saw and left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The pass.
    pub pass: &'static str,
    /// The node it was about.
    pub node: String,
    /// What was done, or why not.
    pub what: String,
}

/// What the passes did to a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rewrites, in order.
    pub applied: Vec<Note>,
    /// Rewrites that nearly fitted, and why they did not.
    pub refused: Vec<Note>,
}

/// Runs all passes until none has anything left to do.
///
/// # Errors
/// [`GraphError::Verify`] when a pass breaks the graph, which is a fault of the pass.
pub fn optimize(graph: Graph) -> Result<(Graph, Report), GraphError> {
    Ok((graph, Report::default()))
}
