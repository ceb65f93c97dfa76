//! ONNX's backend tests, on the CPU reference and on the GPU: the core and extra tiers pass, others pass or are refused with
//! a reason. The list of ops in `docs/onnx.md` is the importer's own.
//!
//! The folder is `ONNX_NODE_TESTS` (default `../shared/onnx_node`); its `manifest.json` tells the tiers apart.

mod program;
mod shared_data;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use wgconv::import::onnx::supported_ops;

/// Tests that pass by another measure than the accuracy class of their graph, as the note tells.
const NOTED: &[&str] = &[
    // ONNX stored this answer rounded to four digits (0.2841 where the mean is 0.28404); its own tolerance is 1e-3.
    "test_averagepool_2d_ceil_last_window_starts_on_pad",
    // Masks drawn by NumPy's generator. ONNX Runtime differs from them, too.
    "test_training_dropout",
    "test_training_dropout_default_mask",
    "test_training_dropout_mask",
];

/// Tiers of which every test passes.
const WHOLE: &[&str] = &["core", "extra"];

fn run_on(device: &str) {
    let Some(folder) = shared_data::folder("ONNX_NODE_TESTS", "onnx_node", "manifest.json") else { return };
    let wgconv = program::wgconv().args(["onnx-test", "--json", "--device", device]).arg(&folder).output().unwrap();
    let complaint = String::from_utf8_lossy(&wgconv.stderr).to_string();
    assert!(!complaint.contains("panicked"), "{complaint}");
    let report: Value = serde_json::from_slice(&wgconv.stdout).unwrap_or_else(|e| panic!("{e}: {complaint}"));
    let manifest: Value = serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let tests = manifest["tests"].as_array().unwrap();
    let by_path: BTreeMap<String, &Value> =
        tests.iter().map(|test| (folder.join(test["dir"].as_str().unwrap()).display().to_string(), test)).collect();
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in report["tests"].as_array().unwrap() {
        let test = by_path[row["test"].as_str().unwrap()];
        let (name, tier) = (test["name"].as_str().unwrap(), test["tier"].as_str().unwrap());
        let result = row["result"].as_str().unwrap();
        *counts.entry(format!("{tier} {result}")).or_default() += 1;
        let noted = row.get("note").is_some();
        let fine = match result {
            "pass" => !noted || NOTED.contains(&name),
            "unsupported" => !WHOLE.contains(&tier),
            _ => false,
        };
        if !fine {
            wrong.push(format!("{tier} {name}: {result}: {} {}", row["why"], row["note"]));
        }
    }
    println!("{device}: {counts:?}");
    assert!(wrong.is_empty(), "on {device}:\n{}", wrong.join("\n"));
    assert_eq!(report["tests"].as_array().unwrap().len(), tests.len());
}

#[test]
fn backend_tests_on_the_cpu() {
    run_on("cpu");
}

#[test]
fn backend_tests_on_the_gpu() {
    run_on("gpu");
}

#[test]
fn the_documented_ops_are_those_that_are_supported() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/onnx.md");
    let text = std::fs::read_to_string(path).unwrap();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_string()).collect::<Vec<_>>();
    let rows = text.lines().map(cells).filter(|cells| cells.get(2).is_some_and(|supported| supported == "yes"));
    let documented: Vec<String> = rows.map(|cells| cells[1].clone()).collect();
    assert_eq!(documented, supported_ops(), "remake the table: the command is in docs/onnx.md");
}
