//! The README's commands work, and its first one gives Keras's numbers. Its Rust blocks are tested as documentation.

mod program;

use std::path::{Path, PathBuf};
use std::process::Command;

use wgconv::tensor::{Accuracy, compare, read_npy};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of all `sh` blocks.
fn commands() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = text.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.flat_map(str::lines).map(String::from).collect()
}

/// Splits a command line; quotes keep an argument together.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(i, part)| match i % 2 {
            0 => part.split_whitespace().map(String::from).collect(),
            _ => vec![part.to_string()],
        })
        .collect()
}

/// An example as this test run built it.
fn built(example: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.parent().and_then(Path::parent).unwrap().join("examples").join(example);
    path.with_extension(std::env::consts::EXE_EXTENSION)
}

#[test]
fn every_command_works() {
    let mut ran = 0;
    for line in commands() {
        if let Some(example) = line.strip_prefix("cargo run --release --example ") {
            let output = Command::new(built(example)).current_dir(root()).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{line}\n{text}");
            continue;
        }
        let Some(arguments) = line.strip_prefix("cargo run --release -- ") else {
            // This very test is part of what the other command runs.
            assert_eq!(line, "bash scripts/test");
            assert!(root().join("scripts/test").is_file());
            continue;
        };
        let output = program::wgconv().args(words(arguments)).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        ran += 1;
    }
    assert!(ran >= 5, "only {ran} commands");
}

#[test]
fn the_main_job_reads_a_seven() {
    for device in ["auto", "cpu"] {
        let output = program::wgconv()
            .args(["run", "examples/data/digits.keras", "--input", "examples/data/seven.png"])
            .args(["--device", device, "--json"])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let best = &report["outputs"][0]["top"][0];
        assert!(best["class"] == 7 && best["probability"].as_f64().unwrap() > 0.9, "{report}");
    }
}

#[test]
fn a_file_of_keras_gives_the_numbers_of_keras() {
    let folder = tempfile::tempdir().unwrap();
    for device in ["auto", "cpu"] {
        let output = program::wgconv()
            .args(["run", "examples/data/separable.keras", "--input", "examples/data/patches.npy", "--device", device])
            .arg("--output")
            .arg(folder.path())
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let actual = read_npy(&folder.path().join("dense.npy")).unwrap();
        let expected = read_npy(&root().join("examples/data/separable.output.npy")).unwrap();
        let comparison = compare(&actual, &expected, Accuracy::Reduction { length: 160 }, 1.0);
        assert!(comparison.pass, "{device}: {comparison}");
    }
}
