//! What a suite found: one row for each thing that was timed, as data and as a table.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::sampling::Samples;
use super::{Peak, Statistics};
use crate::gpu::{AdapterSummary, Device};
use crate::ops::Cost;

/// The results of one suite on one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuiteReport {
    /// `kernels`, `models` or `cold`.
    pub suite: String,
    /// Version of this crate.
    pub version: String,
    /// Name of the device.
    pub device: String,
    /// Driver and its version.
    pub driver: String,
    /// What the device does at most; `None` where nothing is put beside it.
    pub peak: Option<Peak>,
    /// What was timed.
    pub rows: Vec<Row>,
    /// What could not be timed, and why.
    pub failures: Vec<Failure>,
}

/// One thing that was timed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The layer or network.
    pub name: String,
    /// How: the kernels that computed it, or the state of the caches.
    pub variant: String,
    /// Whether this is what a plan takes by itself.
    pub default: bool,
    /// Milliseconds by the host's clock.
    pub wall_ms: Statistics,
    /// Milliseconds by the device's clock.
    pub device_ms: Option<Statistics>,
    /// Processor milliseconds of one run, all threads together: on a shared machine, and where the device is the
    /// processor, the figure to trust.
    pub cpu_ms: Option<Statistics>,
    /// Rates at the median, of the device's clock where there is one.
    pub rates: Option<Rates>,
    /// The part of its tolerance that the largest error used, where it was compared with the reference.
    pub tolerance_used: Option<f64>,
}

/// Work per second, and what that is of the device's peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Multiply-accumulates of one run.
    pub macs: u64,
    /// Bytes of one run: each tensor once.
    pub bytes: u64,
    /// Billions of floating point operations per second, two to a multiply-accumulate.
    pub gflops: f64,
    /// Billions of bytes per second.
    pub gigabytes_per_second: f64,
    /// Percent of the peak of multiply-adds; by processor time where the device is the processor.
    pub percent_of_multiply_add: f64,
    /// Percent of the peak of copies; by processor time where the device is the processor.
    pub percent_of_copy: f64,
}

/// Something that was refused, failed or computed wrong numbers, and so was not timed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The layer or network.
    pub name: String,
    /// How it was to be computed.
    pub variant: String,
    /// What happened.
    pub why: String,
}

impl Row {
    /// A row of samples.
    pub(super) fn of(name: &str, variant: &str, default: bool, samples: &Samples) -> Row {
        Row {
            name: name.into(),
            variant: variant.into(),
            default,
            wall_ms: samples.wall(),
            device_ms: samples.device(),
            cpu_ms: samples.cpu(),
            rates: None,
            tolerance_used: None,
        }
    }

    /// The statistics that ratios are taken of: the device's clock, or else the host's.
    pub fn time(&self) -> &Statistics {
        self.device_ms.as_ref().unwrap_or(&self.wall_ms)
    }

    /// Adds the rates of so much work.
    pub(super) fn with_work(mut self, cost: Cost, peak: &Peak) -> Row {
        let per_second = |amount: f64, ms: f64| amount / (ms * 1e6).max(f64::MIN_POSITIVE);
        let (flops, bytes) = (2.0 * cost.macs as f64, cost.bytes as f64);
        let rates = |ms: f64| (per_second(flops, ms), per_second(bytes, ms));
        let (gflops, gigabytes_per_second) = rates(self.time().median);
        let (of_multiply, of_copy) = match (self.cpu_ms, peak.per_core) {
            (Some(cpu), Some(core)) => {
                let (gflops, gigabytes) = rates(cpu.median);
                (gflops / core.gflops, gigabytes / core.gigabytes)
            }
            _ => (gflops / peak.gflops, gigabytes_per_second / peak.gigabytes_per_second),
        };
        self.rates = Some(Rates {
            macs: cost.macs,
            bytes: cost.bytes,
            gflops,
            gigabytes_per_second,
            percent_of_multiply_add: 100.0 * of_multiply,
            percent_of_copy: 100.0 * of_copy,
        });
        self
    }
}

impl SuiteReport {
    /// An empty report of a suite on a device.
    pub(super) fn new(suite: &str, device: &Device, peak: Option<Peak>) -> SuiteReport {
        let AdapterSummary { name, driver, .. } = device.summary();
        let (suite, version) = (suite.into(), env!("CARGO_PKG_VERSION").into());
        SuiteReport { suite, version, device: name, driver, peak, rows: Vec::new(), failures: Vec::new() }
    }

    /// A table in Markdown, as it stands in documents.
    pub fn markdown(&self) -> String {
        let mut text = format!("| {} |\n|{}\n", TITLES.join(" | "), "---|".repeat(TITLES.len()));
        for cells in self.cells() {
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        text
    }

    /// The cells of every row; the kernels that a plan takes by itself are marked.
    pub(super) fn cells(&self) -> Vec<[String; 11]> {
        let number = |value: Option<f64>| value.map_or("-".into(), short);
        let cells = |row: &Row| {
            let rates = row.rates.as_ref();
            [
                row.name.clone(),
                format!("{}{}", row.variant, if row.default { " *" } else { "" }),
                short(row.wall_ms.median),
                short(row.wall_ms.min),
                short(row.wall_ms.p90),
                number(row.device_ms.map(|times| times.median)),
                number(row.cpu_ms.map(|times| times.median)),
                number(rates.map(|rates| rates.gflops)),
                number(rates.map(|rates| rates.gigabytes_per_second)),
                number(rates.map(|rates| rates.percent_of_multiply_add)),
                number(rates.map(|rates| rates.percent_of_copy)),
            ]
        };
        self.rows.iter().map(cells).collect()
    }
}

/// What the columns of the table are. GFLOP/s and GB/s are those of the median; `% mac` and `% copy` are of the peak.
pub(super) const TITLES: [&str; 11] =
    ["work", "by", "median ms", "min", "p90", "device ms", "CPU ms", "GFLOP/s", "GB/s", "% mac", "% copy"];

/// Three significant digits.
pub(super) fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 99.95 || size == 0.0 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

impl fmt::Display for SuiteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} on {} ({})", self.suite, self.device, self.driver)?;
        if let Some(peak) = &self.peak {
            writeln!(
                f,
                "peak {} GFLOP/s of multiply-adds, copies {} GB/s (reading {}s)",
                short(peak.gflops),
                short(peak.gigabytes_per_second),
                peak.copy_reads
            )?;
            if let Some(core) = &peak.per_core {
                let (gflops, gigabytes) = (short(core.gflops), short(core.gigabytes));
                writeln!(
                    f,
                    "per second of a core {gflops} GFLOP and {gigabytes} GB: percentages are of these, by CPU ms"
                )?;
            }
        }
        let rows: Vec<[String; 11]> = std::iter::once(TITLES.map(String::from)).chain(self.cells()).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..TITLES.len()).map(width).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
                0 | 1 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        for Failure { name, variant, why } in &self.failures {
            writeln!(f, "{name} by {variant} was not timed: {why}")?;
        }
        Ok(())
    }
}
