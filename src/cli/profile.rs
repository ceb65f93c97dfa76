//! `--profile`: time, work and rates of every step.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::Failure;
use crate::session::Compiled;
use crate::tensor::Tensor;

/// One row of a profile.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    name: String,
    kernel: &'static str,
    output: String,
    microseconds: f64,
    macs: u64,
    gflops: f64,
    gigabytes_per_second: f64,
}

/// Profiles one run on `inputs`.
pub(super) fn profile(compiled: &Compiled, inputs: &BTreeMap<String, Tensor>) -> Result<Vec<Row>, Failure> {
    let executable = compiled.executable()?;
    executable.upload(&compiled.ordered(inputs)?)?;
    let times = executable.profile()?;
    let rows = executable.plan().steps.iter().zip(times).map(|(step, nanoseconds)| {
        let rate = |amount: u64| if nanoseconds > 0.0 { amount as f64 / nanoseconds } else { 0.0 };
        Row {
            name: step.name.clone(),
            kernel: step.kernel,
            output: step.outputs.first().map_or(String::new(), |placement| placement.ty.shape.to_string()),
            microseconds: nanoseconds / 1e3,
            macs: step.cost.macs,
            gflops: 2.0 * rate(step.cost.macs),
            gigabytes_per_second: rate(step.cost.bytes),
        }
    });
    Ok(rows.collect())
}

/// The rows as a table, and the total.
pub(super) fn table(rows: &[Row]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let name_width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(4).max(4);
    let kernel_width = rows.iter().map(|row| row.kernel.len()).max().unwrap_or(6).max(6);
    writeln!(
        text,
        "{:<name_width$}  {:<kernel_width$}  {:>10}  {:>10}  {:>8}  {:>7}  output",
        "step", "kernel", "us", "kMAC", "GFLOP/s", "GB/s"
    )?;
    for row in rows {
        writeln!(
            text,
            "{:<name_width$}  {:<kernel_width$}  {:>10.1}  {:>10.1}  {:>8.2}  {:>7.2}  {}",
            row.name,
            row.kernel,
            row.microseconds,
            row.macs as f64 / 1e3,
            row.gflops,
            row.gigabytes_per_second,
            row.output
        )?;
    }
    let total: f64 = rows.iter().map(|row| row.microseconds).sum();
    writeln!(text, "total {:.3} ms in {} steps", total / 1e3, rows.len())?;
    Ok(text)
}
