//! Measuring: statistics of repeated runs, what a process uses, and reports of whole models.

mod model;
mod process;
mod statistics;

pub use model::{ModelBench, bench_model};
pub use process::{ProcessUse, process_use};
pub use statistics::Statistics;
