//! Rewriting a graph before it is planned: every change is verified, named, and says why.

mod batch_norm;
mod chains;
mod constants;
mod epilogues;
mod padding;
mod separable;
mod shared_kernels;
mod simplify;
mod spelled;
mod squeeze_excite;
mod transposes;
mod winograd;

use serde::Serialize;

pub use constants::FoldCache;
pub(crate) use constants::is_quick;

use crate::error::GraphError;
use crate::graph::{Graph, Rewrite, Rewriter};
use crate::kernels::DeviceTraits;
use crate::ops::Op;
use crate::tensor::TensorType;

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
    /// Rewrites that nearly fitted in the final graph, and why they did not.
    pub refused: Vec<Note>,
}

impl Report {
    /// Adds what further passes did.
    pub fn extend(&mut self, further: Report) {
        self.applied.extend(further.applied);
        self.refused.extend(further.refused);
    }
}

/// Rounds after which the passes stop even if they still find something: a guard against passes that undo each other.
const MAX_ROUNDS: usize = 16;

/// Runs all passes until none has anything left to do. Constants that passes compute are kept in `cache`, so that the
/// same weights folded for another input size are the same tensor.
///
/// # Errors
/// [`GraphError::Verify`] when a pass breaks the graph, which is a fault of the pass.
pub fn optimize(graph: Graph, cache: &FoldCache) -> Result<(Graph, Report), GraphError> {
    let fold = constants::FoldConstants::of(&graph, cache);
    run(
        graph,
        &[
            &fold,
            &simplify::Simplify,
            &transposes::SinkTransposes,
            &padding::FoldPadding,
            &spelled::RecognizeSpelledOut,
            &batch_norm::FoldBatchNorm { cache },
            &epilogues::AttachEpilogues,
            &shared_kernels::RecognizeSharedKernels,
        ],
    )
}

/// Runs the passes that suit a graph to a device, after [`optimize`]. They join ops where that device then moves fewer bytes.
///
/// # Errors
/// As [`optimize`].
pub fn specialize(graph: Graph, traits: &DeviceTraits) -> Result<(Graph, Report), GraphError> {
    run(
        graph,
        &[
            &squeeze_excite::FuseSqueezeExcite { traits },
            &squeeze_excite::ScaleWeights,
            &separable::FuseInvertedResidual { traits },
            &separable::FuseSeparable { traits },
            &chains::JoinChains { traits },
        ],
    )
}

/// Whether a convolution, as an op on inputs of some types, was measured to take less time on transformed filters, and how that came
/// out; `None` where nothing was measured.
pub type Measured<'a> = &'a dyn Fn(&Op, &[TensorType]) -> Option<Result<String, String>>;

/// Puts 3x3 convolutions on transformed filters ([`crate::ops::Winograd`]) where a device then takes less time, after
/// [`specialize`]: by what was `measured`, and by an estimate where nothing was. What they compute is no longer a plain sum of
/// products; filters are kept in `cache`.
///
/// # Errors
/// As [`optimize`].
pub fn winograd(
    graph: Graph,
    traits: &DeviceTraits,
    cache: &FoldCache,
    measured: Measured<'_>,
) -> Result<(Graph, Report), GraphError> {
    run(graph, &[&winograd::TransformFilters { traits, cache, measured }])
}

/// Runs the passes after which a graph can still be differentiated op by op. [`optimize`] does the rest once its gradients
/// are there.
///
/// # Errors
/// As [`optimize`].
pub fn prepare(graph: Graph) -> Result<(Graph, Report), GraphError> {
    run(
        graph,
        &[
            &simplify::Simplify,
            &transposes::SinkTransposes,
            &padding::FoldPadding,
            &shared_kernels::RecognizeSharedKernels,
        ],
    )
}

fn run(mut graph: Graph, passes: &[&dyn Rewrite]) -> Result<(Graph, Report), GraphError> {
    let mut report = Report::default();
    for _ in 0..MAX_ROUNDS {
        let before = report.applied.len();
        // Only what is refused in the last round is still true of the final graph.
        report.refused.clear();
        for &pass in passes {
            graph = Rewriter::run(&graph, pass, |node, applied, refused| {
                let note = |what| Note { pass: pass.name(), node: node.name.clone(), what };
                report.applied.extend(applied.into_iter().map(note));
                report.refused.extend(refused.into_iter().map(note));
            })?;
        }
        if report.applied.len() == before {
            break;
        }
    }
    Ok((graph, report))
}
