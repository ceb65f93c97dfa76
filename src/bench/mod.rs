//! Measuring: statistics of repeated runs, what a process uses, peaks of a device, and suites of layers and models.

mod cold;
mod comparison;
mod html;
mod kernels;
mod layers;
mod model;
mod models;
mod networks;
mod peak;
mod process;
mod roofline;
mod sampling;
mod statistics;
mod suite;

pub use cold::{FirstOutput, bench_cold, first_output};
pub use comparison::{Compared, Comparison, Measure, Verdict};
pub use kernels::bench_kernels;
pub use layers::{LAYERS, Layer};
pub use model::{ModelBench, bench_model};
pub use models::bench_models;
pub use networks::{NETWORKS, Network};
pub use peak::{Peak, PerCore};
pub use process::{ProcessUse, process_use};
pub use sampling::{Budget, Samples, alternate};
pub use statistics::Statistics;
pub use suite::{Failure, Rates, Row, SuiteReport};

use crate::error::BenchError;

/// The entries whose names contain `filter`.
fn chosen<'a, T>(entries: &'a [T], filter: &str, name: impl Fn(&T) -> &str) -> Result<Vec<&'a T>, BenchError> {
    let found: Vec<&T> = entries.iter().filter(|entry| name(entry).contains(filter)).collect();
    if found.is_empty() {
        let known = entries.iter().map(|entry| name(entry).to_string()).collect();
        return Err(BenchError::Filter { filter: filter.into(), known });
    }
    Ok(found)
}
