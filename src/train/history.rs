//! What a training came to, epoch by epoch: as JSON lines, as CSV, and as a picture.

use std::collections::BTreeMap;
use std::path::Path;

use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::tensor::write_atomically;

/// JSON has no NaN and no infinity; a metric that is none comes as `null`.
fn numbers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let numbers = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

/// One epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: u64,
    /// Batches trained on since the beginning.
    pub batches: u64,
    /// Mean loss over the epoch while the weights changed, penalties included.
    pub loss: f64,
    /// Metrics over the epoch while the weights changed.
    #[serde(flatten, deserialize_with = "numbers")]
    pub metrics: BTreeMap<String, f64>,
    /// Loss on the validation data after the epoch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_loss: Option<f64>,
    /// The learning rate of the last batch.
    pub learning_rate: f64,
    /// Samples per second, validation not counted.
    pub samples_per_second: f64,
}

impl Epoch {
    /// A number by its name: `loss`, `val_loss`, or a metric.
    pub fn get(&self, name: &str) -> Option<f64> {
        match name {
            "loss" => Some(self.loss),
            "val_loss" => self.val_loss,
            name => self.metrics.get(name).copied(),
        }
    }
}

/// All epochs of a training.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// The epochs, in order.
    pub epochs: Vec<Epoch>,
}

impl History {
    /// The last epoch.
    pub fn last(&self) -> Option<&Epoch> {
        self.epochs.last()
    }

    /// Writes one JSON object per epoch and line.
    ///
    /// # Errors
    /// [`TrainError::File`] when the file cannot be written.
    pub fn write_json_lines(&self, path: &Path) -> Result<(), TrainError> {
        let lines: Result<Vec<String>, _> = self.epochs.iter().map(serde_json::to_string).collect();
        let lines = lines.map_err(|e| file(path, e.to_string()))?;
        write(path, lines.iter().map(|line| format!("{line}\n")).collect())
    }

    /// Writes a table with one line per epoch, separated by commas.
    ///
    /// # Errors
    /// [`TrainError::File`] when the file cannot be written.
    pub fn write_csv(&self, path: &Path) -> Result<(), TrainError> {
        let names = self.names();
        let mut text = format!("epoch,{},learning_rate\n", names.join(","));
        for epoch in &self.epochs {
            let values: Vec<String> =
                names.iter().map(|name| epoch.get(name).map_or_else(String::new, |value| value.to_string())).collect();
            text.push_str(&format!("{},{},{}\n", epoch.epoch, values.join(","), epoch.learning_rate));
        }
        write(path, text)
    }

    /// Names of the numbers that any epoch has.
    fn names(&self) -> Vec<String> {
        let mut names = vec!["loss".to_string()];
        if self.epochs.iter().any(|epoch| epoch.val_loss.is_some()) {
            names.push("val_loss".into());
        }
        let metrics = self.epochs.iter().flat_map(|epoch| epoch.metrics.keys().cloned());
        for name in metrics {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Draws the losses, and below them the metrics, over the epochs as an SVG picture.
    ///
    /// # Errors
    /// [`TrainError::File`] when the file cannot be written, [`TrainError::Data`] when there is nothing to draw.
    pub fn write_plot(&self, path: &Path) -> Result<(), TrainError> {
        if self.epochs.is_empty() {
            return Err(TrainError::Data { what: "there is no epoch to draw".into() });
        }
        let names = self.names();
        let (losses, metrics): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| name.ends_with("loss"));
        let charts: Vec<(&str, Vec<&String>)> =
            [("loss", losses), ("metrics", metrics)].into_iter().filter(|(_, names)| !names.is_empty()).collect();
        let mut text = String::new();
        self.draw(&mut text, &charts).map_err(|e| file(path, e))?;
        write(path, text)
    }

    fn draw(&self, text: &mut String, charts: &[(&str, Vec<&String>)]) -> Result<(), String> {
        let size = (720, 320 * charts.len() as u32);
        let root = SVGBackend::with_string(text, size).into_drawing_area();
        let wrong = |e: DrawingAreaErrorKind<std::io::Error>| e.to_string();
        root.fill(&WHITE).map_err(wrong)?;
        let last = self.epochs.last().map_or(1, |epoch| epoch.epoch);
        let first = self.epochs.first().map_or(1, |epoch| epoch.epoch);
        for ((title, names), area) in charts.iter().zip(root.split_evenly((charts.len(), 1))) {
            let line = |name: &str| -> Vec<(f64, f64)> {
                let points = self.epochs.iter().filter_map(|epoch| Some((epoch.epoch as f64, epoch.get(name)?)));
                points.filter(|(_, value)| value.is_finite()).collect()
            };
            let values: Vec<f64> = names.iter().flat_map(|name| line(name)).map(|(_, value)| value).collect();
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let room = if high > low { (high - low) * 0.05 } else { high.abs().max(1.0) * 0.05 };
            let mut chart = ChartBuilder::on(&area)
                .caption(title, ("sans-serif", 18))
                .margin(8)
                .x_label_area_size(36)
                .y_label_area_size(64)
                .build_cartesian_2d(first as f64..(last as f64).max(first as f64 + 1.0), low - room..high + room)
                .map_err(wrong)?;
            let mesh = &mut chart.configure_mesh();
            mesh.x_desc("epoch").x_label_formatter(&|x| format!("{x:.0}")).light_line_style(WHITE);
            mesh.draw().map_err(wrong)?;
            for (number, name) in names.iter().enumerate() {
                let color = Palette99::pick(number).to_rgba();
                let points = line(name);
                // A line through one point would not be seen.
                let size = if points.len() == 1 { 3 } else { 0 };
                let series = LineSeries::new(points, color.filled().stroke_width(2)).point_size(size);
                let series = chart.draw_series(series).map_err(wrong)?;
                series
                    .label(name.as_str())
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
            }
            chart
                .configure_series_labels()
                .background_style(WHITE.mix(0.8))
                .border_style(BLACK.mix(0.3))
                .draw()
                .map_err(wrong)?;
        }
        root.present().map_err(wrong)
    }
}

fn file(path: &Path, what: impl Into<String>) -> TrainError {
    TrainError::File { path: path.to_path_buf(), what: what.into() }
}

fn write(path: &Path, text: String) -> Result<(), TrainError> {
    let written = write_atomically(path, |out| std::io::Write::write_all(out, text.as_bytes()));
    written.map_err(|e| file(path, e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(epochs: u64) -> History {
        let epoch = |number: u64| Epoch {
            epoch: number,
            batches: 57 * number,
            loss: 2.3 * 0.83f64.powi(number as i32),
            metrics: BTreeMap::from([
                ("accuracy".to_string(), 1.0 - 0.9 * 0.8f64.powi(number as i32)),
                ("val_accuracy".to_string(), 0.97 - 0.9 * 0.8f64.powi(number as i32)),
            ]),
            val_loss: Some(0.1 + 2.2 * 0.8f64.powi(number as i32)),
            learning_rate: 1e-3,
            samples_per_second: 1234.5,
        };
        History { epochs: (1..=epochs).map(epoch).collect() }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (json, csv) = (folder.path().join("h.json"), folder.path().join("h.csv"));
        let mut history = history(3);
        history.epochs[1].val_loss = None;
        history.write_json_lines(&json).unwrap();
        let text = std::fs::read_to_string(&json).unwrap();
        let read: Vec<Epoch> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, history.epochs);
        history.epochs[2].metrics.insert("accuracy".into(), f64::NAN);
        let again: History = serde_json::from_str(&serde_json::to_string(&history).unwrap()).unwrap();
        assert!(again.epochs[2].metrics["accuracy"].is_nan());
        history.write_csv(&csv).unwrap();
        let text = std::fs::read_to_string(&csv).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "epoch,loss,val_loss,accuracy,val_accuracy,learning_rate");
        assert!(lines[2].starts_with(&format!("2,{},,", history.epochs[1].loss)), "{text}");
        assert!(lines.iter().all(|line| line.split(',').count() == 6), "{text}");
    }

    #[test]
    fn every_number_is_drawn_and_so_is_a_single_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h.svg");
        for (epochs, mark, count) in [(12, "<polyline", 8), (1, "<circle", 4)] {
            history(epochs).write_plot(&path).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(["val_loss", "accuracy", "val_accuracy"].iter().all(|name| text.contains(name)));
            assert!(text.matches(mark).count() >= count, "{} in {text}", text.matches(mark).count());
        }
        assert!(History::default().write_plot(&path).unwrap_err().to_string().contains("no epoch"));
    }

    /// Sums and best values go through a checkpoint's JSON; a last bit lost there would make a resumed training another one.
    #[test]
    fn numbers_keep_their_bits_in_json() {
        use rand::{Rng, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        for _ in 0..20_000 {
            let number = f64::from_bits(random.next_u64());
            if number.is_finite() {
                let text = serde_json::to_string(&number).unwrap();
                let read: f64 = serde_json::from_str(&text).unwrap();
                assert_eq!(read.to_bits(), number.to_bits(), "{text}");
            }
        }
    }
}
