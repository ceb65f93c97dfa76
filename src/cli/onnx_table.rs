//! The table of `wgconv onnx-test --table`: ops, opsets and results.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::Failure;
use super::onnx_test::{Outcome, Row};
use crate::import::onnx::{ops_of, supported_ops};

/// The line before the table; whatever stands between it and [`END`] is replaced.
const BEGIN: &str = "<!-- onnx-test: begin -->";
/// The line after the table.
const END: &str = "<!-- onnx-test: end -->";

/// What became of the tests that an op takes part in.
#[derive(Default)]
struct Tally {
    passed: usize,
    refused: usize,
    failed: usize,
    /// Opsets of the tests that passed.
    opsets: BTreeSet<i64>,
}

/// Writes the table into a file: between its marks if it has them, at its end otherwise.
pub(super) fn write(file: &Path, folders: &[PathBuf], rows: &[Row], device: &str) -> Result<(), Failure> {
    let failed = |e: std::io::Error| format!("{}: {e}", file.display());
    let text = if file.is_file() { std::fs::read_to_string(file).map_err(failed)? } else { String::new() };
    let (before, after) = match text.split_once(BEGIN) {
        Some((before, rest)) => (before, rest.split_once(END).map_or("", |(_, after)| after)),
        None => (text.as_str(), "\n"),
    };
    let table = table(folders, rows, device)?;
    super::make_folders([file])?;
    std::fs::write(file, format!("{before}{BEGIN}\n{table}{END}{after}")).map_err(failed)?;
    Ok(())
}

fn table(folders: &[PathBuf], rows: &[Row], device: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let tiers = tiers(folders);
    let mut totals: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    let mut ops: BTreeMap<String, Tally> =
        supported_ops().into_iter().map(|op| (op.to_string(), Tally::default())).collect();
    for row in rows {
        let tier = tiers.get(Path::new(&row.test)).map_or("all", String::as_str);
        let total = totals.entry(tier).or_default();
        let (opset, names) = ops_of(&Path::new(&row.test).join("model.onnx"))?;
        for name in names {
            let tally = ops.entry(name).or_default();
            match &row.outcome {
                Outcome::Pass { .. } => {
                    tally.passed += 1;
                    tally.opsets.insert(opset);
                }
                Outcome::Fail { .. } => tally.failed += 1,
                Outcome::Unsupported { .. } => tally.refused += 1,
            }
        }
        match &row.outcome {
            Outcome::Pass { note } => {
                total[0] += 1;
                total[1] += usize::from(note.is_some());
            }
            Outcome::Fail { .. } => total[2] += 1,
            Outcome::Unsupported { .. } => total[3] += 1,
        }
    }
    writeln!(text, "On {device}:\n")?;
    writeln!(text, "| tier | passed | of these with a note | failed | refused |")?;
    writeln!(text, "|---|---|---|---|---|")?;
    for (tier, [passed, noted, failed, refused]) in totals {
        writeln!(text, "| {tier} | {passed} | {noted} | {failed} | {refused} |")?;
    }
    writeln!(text, "\n| op | supported | tests passed | failed | refused | opsets of those that passed |")?;
    writeln!(text, "|---|---|---|---|---|---|")?;
    let supported = supported_ops();
    for (op, Tally { passed, refused, failed, opsets }) in ops {
        let yes = if supported.contains(&op.as_str()) { "yes" } else { "no" };
        writeln!(text, "| {op} | {yes} | {passed} | {failed} | {refused} | {} |", ranges(&opsets))?;
    }
    Ok(text)
}

/// The tiers of tests by their folders, where a folder's `manifest.json` tells them apart.
fn tiers(folders: &[PathBuf]) -> BTreeMap<PathBuf, String> {
    let mut tiers = BTreeMap::new();
    for folder in folders {
        let manifest = std::fs::read(folder.join("manifest.json")).ok();
        let manifest: Option<serde_json::Value> = manifest.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        for test in manifest.iter().filter_map(|manifest| manifest["tests"].as_array()).flatten() {
            if let (Some(dir), Some(tier)) = (test["dir"].as_str(), test["tier"].as_str()) {
                tiers.insert(folder.join(dir), tier.to_string());
            }
        }
    }
    tiers
}

/// Numbers with neighbours drawn together: `7-9, 13`.
fn ranges(numbers: &BTreeSet<i64>) -> String {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let run = |&(first, last): &(i64, i64)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}
