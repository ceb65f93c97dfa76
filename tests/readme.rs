//! The README's commands work, and its first one gives Keras's numbers. Its Rust blocks are tested as documentation.

use std::path::Path;
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

#[test]
fn every_command_works() {
    let mut ran = 0;
    for line in commands() {
        let Some(arguments) = line.strip_prefix("cargo run --release -- ") else {
            // This very test is part of what the other command runs.
            assert_eq!(line, "bash scripts/test");
            assert!(root().join("scripts/test").is_file());
            continue;
        };
        let output =
            Command::new(env!("CARGO_BIN_EXE_wgconv")).args(words(arguments)).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        ran += 1;
    }
    assert!(ran >= 5, "only {ran} commands");
}

#[test]
fn the_main_job_gives_the_numbers_of_keras() {
    let folder = tempfile::tempdir().unwrap();
    for device in ["auto", "cpu"] {
        let output = Command::new(env!("CARGO_BIN_EXE_wgconv"))
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
