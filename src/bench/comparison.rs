//! Two reports of a suite beside each other: ratios, and which of them are more than noise.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::Statistics;
use super::suite::{Row, SuiteReport, short};
use crate::error::BenchError;

/// A suite now beside the same suite of an earlier report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// What the ratios are of.
    pub measure: Measure,
    /// What is taken for noise in any case, in percent of the earlier median.
    pub noise_percent: f64,
    /// The earlier device, where it is another one.
    pub other_device: Option<String>,
    /// What both reports have.
    pub rows: Vec<Compared>,
    /// What only one of them has: `earlier: NAME by VARIANT` or `now: ..`.
    pub alone: Vec<String>,
}

/// Which of the times are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Processor time: where the device is the processor, for it does not depend on what else the machine does.
    ProcessorTime,
    /// The device's clock, or the host's where the device has none.
    Time,
}

/// One row of a [`Comparison`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// The layer or network.
    pub name: String,
    /// How it was computed.
    pub variant: String,
    /// Median milliseconds of the earlier report.
    pub earlier_ms: f64,
    /// Median milliseconds now.
    pub now_ms: f64,
    /// The earlier ones through those of now: above 1 is faster.
    pub ratio: f64,
    /// Differences up to so many percent of the earlier median are noise: [`Comparison::noise_percent`], or both notches
    /// ([`Statistics::notch`]) together where they are wider.
    pub band_percent: f64,
    /// What it means.
    pub verdict: Verdict,
}

/// Whether a difference is more than noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Faster, by more than the band.
    Faster,
    /// Within the band.
    Same,
    /// Slower, by more than the band.
    Slower,
}

impl Comparison {
    /// Compares two reports of one suite.
    pub fn of(earlier: &SuiteReport, now: &SuiteReport, noise_percent: f64) -> Comparison {
        let on_processor = |report: &SuiteReport| report.peak.as_ref().is_some_and(|peak| peak.per_core.is_some());
        let measure = match on_processor(earlier) && on_processor(now) {
            true => Measure::ProcessorTime,
            false => Measure::Time,
        };
        let is = |row: &Row, other: &Row| row.name == other.name && row.variant == other.variant;
        let mut rows = Vec::new();
        let mut alone = Vec::new();
        for row in &now.rows {
            match earlier.rows.iter().find(|other| is(row, other)) {
                Some(other) => rows.push(Compared::of(other, row, measure, noise_percent)),
                None => alone.push(format!("now: {} by {}", row.name, row.variant)),
            }
        }
        let gone = earlier.rows.iter().filter(|row| !now.rows.iter().any(|other| is(row, other)));
        alone.extend(gone.map(|row| format!("earlier: {} by {}", row.name, row.variant)));
        let describe = |report: &SuiteReport| format!("{} ({})", report.device, report.driver);
        let other_device = Some(describe(earlier)).filter(|device| *device != describe(now));
        Comparison { measure, noise_percent, other_device, rows, alone }
    }

    /// Rows that became slower by more than noise.
    pub fn regressions(&self) -> usize {
        self.rows.iter().filter(|row| row.verdict == Verdict::Slower).count()
    }
}

impl Compared {
    fn of(earlier: &Row, now: &Row, measure: Measure, noise_percent: f64) -> Compared {
        let times = |row: &Row| -> Statistics {
            match (measure, row.cpu_ms) {
                (Measure::ProcessorTime, Some(cpu)) => cpu,
                _ => *row.time(),
            }
        };
        let (before, after) = (times(earlier), times(now));
        let earlier_ms = before.median.max(f64::MIN_POSITIVE);
        let band_percent = noise_percent.max(100.0 * (before.notch + after.notch) / earlier_ms);
        let change = 100.0 * (after.median - earlier_ms) / earlier_ms;
        let verdict = match change {
            change if change > band_percent => Verdict::Slower,
            change if change < -band_percent => Verdict::Faster,
            _ => Verdict::Same,
        };
        Compared {
            name: now.name.clone(),
            variant: now.variant.clone(),
            earlier_ms,
            now_ms: after.median,
            ratio: earlier_ms / after.median.max(f64::MIN_POSITIVE),
            band_percent,
            verdict,
        }
    }
}

impl SuiteReport {
    /// Reads a report that was written as JSON.
    ///
    /// # Errors
    /// [`BenchError::File`] when there is no such file, or it is none of this suite.
    pub fn read(path: &Path, suite: &str) -> Result<SuiteReport, BenchError> {
        let wrong = |what: String| BenchError::File { path: path.into(), what };
        let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
        let report: SuiteReport =
            serde_json::from_slice(&bytes).map_err(|e| wrong(format!("this is no report of a suite: {e}")))?;
        match report.suite == suite {
            true => Ok(report),
            false => Err(wrong(format!("this is a report of the suite `{}`, not of `{suite}`", report.suite))),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measure = match self.measure {
            Measure::ProcessorTime => "processor time",
            Measure::Time => "time",
        };
        writeln!(
            f,
            "{measure} compared with the earlier report; up to {}%, or the notches of both medians, is noise",
            self.noise_percent
        )?;
        if let Some(device) = &self.other_device {
            writeln!(f, "the earlier report is of another device: {device}")?;
        }
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let by_width = self.rows.iter().map(|row| row.variant.chars().count()).max().unwrap_or(0);
        for row in &self.rows {
            let verdict = match row.verdict {
                Verdict::Faster => "  faster",
                Verdict::Same => "",
                Verdict::Slower => "  SLOWER",
            };
            writeln!(
                f,
                "{:<width$}  {:<by_width$}  {:>8} -> {:>8} ms  x{:<6.2} noise {:.0}%{verdict}",
                row.name,
                row.variant,
                short(row.earlier_ms),
                short(row.now_ms),
                row.ratio,
                row.band_percent
            )?;
        }
        for alone in &self.alone {
            writeln!(f, "only {alone}")?;
        }
        writeln!(f, "{} of {} rows slower than noise explains", self.regressions(), self.rows.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(times: &[(&str, f64, f64)]) -> SuiteReport {
        let row = |&(name, median, notch): &(&str, f64, f64)| Row {
            name: name.into(),
            variant: "k".into(),
            default: true,
            wall_ms: Statistics { runs: 9, median, min: median, p90: median, notch },
            device_ms: None,
            cpu_ms: None,
            rates: None,
            tolerance_used: None,
        };
        SuiteReport {
            suite: "kernels".into(),
            version: "0".into(),
            device: "d".into(),
            driver: "e".into(),
            peak: None,
            rows: times.iter().map(row).collect(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn only_what_lies_outside_the_band_counts() {
        let earlier =
            report(&[("a", 10.0, 0.0), ("b", 10.0, 0.0), ("c", 10.0, 1.5), ("d", 10.0, 0.0), ("gone", 1.0, 0.0)]);
        let now = report(&[("a", 10.4, 0.0), ("b", 12.0, 0.0), ("c", 12.9, 1.5), ("d", 5.0, 0.0), ("new", 1.0, 0.0)]);
        let found = Comparison::of(&earlier, &now, 5.0);
        let verdicts: Vec<Verdict> = found.rows.iter().map(|row| row.verdict).collect();
        assert_eq!(verdicts, [Verdict::Same, Verdict::Slower, Verdict::Same, Verdict::Faster]);
        assert_eq!((found.regressions(), found.rows[3].ratio, found.rows[2].band_percent), (1, 2.0, 30.0));
        assert_eq!(found.alone, ["now: new by k", "earlier: gone by k"]);
        assert!(found.to_string().contains("SLOWER") && found.other_device.is_none());
    }
}
