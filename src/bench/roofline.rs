//! The roofline of a device, and where kernels stand below it, as an SVG picture.

use plotters::prelude::*;

use super::suite::{Row, SuiteReport};
use crate::error::BenchError;

/// A point below the roof.
struct Point {
    /// Floating point operations for each byte moved.
    intensity: f64,
    gflops: f64,
    label: String,
    default: bool,
}

/// The roof: how much is computed at an intensity at most.
#[derive(Clone, Copy)]
struct Roof {
    gflops: f64,
    gigabytes: f64,
}

impl Roof {
    fn at(self, intensity: f64) -> f64 {
        (intensity * self.gigabytes).min(self.gflops)
    }
}

/// The picture of a report, or `None` when it has no peak or no work to show. Where the device is the processor, rates are per
/// second of processor time.
pub(super) fn roofline(report: &SuiteReport) -> Result<Option<String>, BenchError> {
    let Some(peak) = &report.peak else { return Ok(None) };
    let roof = match peak.per_core {
        Some(core) => Roof { gflops: core.gflops, gigabytes: core.gigabytes },
        None => Roof { gflops: peak.gflops, gigabytes: peak.gigabytes_per_second },
    };
    let points: Vec<Point> = report.rows.iter().filter_map(|row| point(row, roof)).collect();
    if points.is_empty() {
        return Ok(None);
    }
    let unit = if peak.per_core.is_some() { "GFLOP per second of a core" } else { "GFLOP/s" };
    draw(roof, &points, unit).map(Some).map_err(|e| BenchError::Report(e.to_string()))
}

fn point(row: &Row, roof: Roof) -> Option<Point> {
    let rates = row.rates.filter(|rates| rates.macs > 0 && rates.bytes > 0)?;
    let label = row.name.split('_').next().unwrap_or(&row.name).to_string();
    let intensity = 2.0 * rates.macs as f64 / rates.bytes as f64;
    Some(Point { intensity, gflops: rates.percent_of_multiply_add / 100.0 * roof.gflops, label, default: row.default })
}

fn draw(roof: Roof, points: &[Point], unit: &str) -> Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (900, 520)).into_drawing_area();
        let bounds = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, 0f64), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (left, right) = bounds(&mut points.iter().map(|point| point.intensity));
        let (low, _) = bounds(&mut points.iter().map(|point| point.gflops));
        let (left, right) = (left / 2.0, (right * 3.0).max(roof.gflops / roof.gigabytes * 3.0));
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d((left..right).log_scale(), (low / 2.0..roof.gflops * 2.0).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("floating point operations for each byte moved")
            .y_desc(unit)
            .x_label_formatter(&|value| value.to_string())
            .y_label_formatter(&|value| value.to_string())
            .axis_desc_style(("sans-serif", 15))
            .label_style(("sans-serif", 13))
            .light_line_style(BLACK.mix(0.06))
            .bold_line_style(BLACK.mix(0.16))
            .draw()?;
        let line = [left, roof.gflops / roof.gigabytes, right].map(|intensity| (intensity, roof.at(intensity)));
        chart.draw_series(LineSeries::new(line, RGBColor(200, 80, 40).stroke_width(2)))?;
        let (other, chosen) = (RGBColor(140, 140, 150), RGBColor(50, 120, 220));
        // What plans take lies on top of what they do not.
        for point in points.iter().filter(|point| !point.default) {
            chart.draw_series([Circle::new((point.intensity, point.gflops), 3, other.stroke_width(1))])?;
        }
        for point in points.iter().filter(|point| point.default) {
            chart.draw_series([Circle::new((point.intensity, point.gflops), 5, chosen.filled())])?;
            let text =
                Text::new(point.label.clone(), (point.intensity * 1.05, point.gflops * 1.25), ("sans-serif", 13));
            chart.draw_series([text])?;
        }
        area.present()?;
    }
    Ok(svg)
}
