//! A report as one HTML file: sortable tables and the roofline, with nothing to load.

use minijinja::Environment;
use minijinja::value::Serde;
use serde_json::json;

use super::comparison::Comparison;
use super::roofline::roofline;
use super::suite::{SuiteReport, TITLES, short};
use crate::error::BenchError;

impl SuiteReport {
    /// The report as a page that works offline, in light and dark, beside an earlier report if there is one.
    ///
    /// # Errors
    /// [`BenchError::Report`] when it cannot be drawn, which is a fault of the crate.
    pub fn html(&self, compared: Option<&Comparison>) -> Result<String, BenchError> {
        let wrong = |e: minijinja::Error| BenchError::Report(format!("{e:#}"));
        let mut environment = Environment::new();
        // The ending has values escaped: names of models and devices come from outside.
        environment.add_template("report.html", include_str!("report.html")).map_err(wrong)?;
        let peak = self.peak.as_ref().map(|peak| {
            json!({
                "gflops": short(peak.gflops),
                "copy": short(peak.gigabytes_per_second),
                "core_gflops": peak.per_core.map(|core| short(core.gflops)),
                "core_copy": peak.per_core.map(|core| short(core.gigabytes)),
            })
        });
        let rows: Vec<_> = self
            .rows
            .iter()
            .zip(self.cells())
            .map(|(row, cells)| json!({ "default": row.default, "cells": cells.to_vec() }))
            .collect();
        let changes: Vec<_> = compared
            .map_or(&[][..], |compared| &compared.rows)
            .iter()
            .map(|row| {
                let numbers = [row.earlier_ms, row.now_ms, row.ratio, row.band_percent].map(short);
                let cells: Vec<String> = [row.name.clone(), row.variant.clone()].into_iter().chain(numbers).collect();
                json!({ "cells": cells, "verdict": row.verdict })
            })
            .collect();
        let context = json!({
            "report": self,
            "peak": peak,
            "picture": roofline(self)?,
            "titles": TITLES,
            "rows": rows,
            "compared": compared,
            "changes": changes,
        });
        environment.get_template("report.html").and_then(|page| page.render(Serde(context))).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Failure, Peak, Rates, Row, Statistics};
    use super::*;

    #[test]
    fn a_page_shows_every_row_and_escapes_what_comes_from_outside() {
        let times = Statistics { runs: 5, median: 2.0, min: 1.0, p90: 3.0, notch: 0.1 };
        let rates = |macs| Rates {
            macs,
            bytes: 1000,
            gflops: 5.0,
            gigabytes_per_second: 1.0,
            percent_of_multiply_add: 25.0,
            percent_of_copy: 50.0,
        };
        let row = |name: &str, macs| Row {
            name: name.into(),
            variant: "k".into(),
            default: macs > 500,
            wall_ms: times,
            device_ms: None,
            cpu_ms: Some(times),
            rates: Some(rates(macs)),
            tolerance_used: None,
        };
        let report = SuiteReport {
            suite: "kernels".into(),
            version: "0".into(),
            device: "<b>card</b>".into(),
            driver: "d".into(),
            peak: Some(Peak {
                gflops: 20.0,
                gigabytes_per_second: 2.0,
                copy_reads: "image".into(),
                device_clock: true,
                per_core: None,
            }),
            rows: vec![row("L01_conv", 1000), row("L02_dw", 100), row("L03_none", 0)],
            failures: vec![Failure { name: "L04".into(), variant: "x".into(), why: "1 < 2".into() }],
        };
        let page = report.html(Some(&Comparison::of(&report, &report, 5.0))).unwrap();
        for part in ["L01_conv", "L02_dw", "L03_none", "1 &lt; 2", "&lt;b&gt;card", "<svg", "25.0", "Compared"] {
            assert!(page.contains(part), "{part} is missing");
        }
        assert!(!page.contains("<b>card") && !page.contains("http://") || page.matches("http").count() == 1, "{page}");
        // A suite without peaks has tables only.
        let plain = SuiteReport { peak: None, ..report }.html(None).unwrap();
        assert!(!plain.contains("<svg") && plain.contains("L01_conv") && !plain.contains("Compared"));
    }
}
