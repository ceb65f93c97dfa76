//! ONNX files that are damaged in every way are read, or refused with a reason (`tests/damage/run.rs`).
//!
//! Samples are the models of `ONNX_NODE_TESTS` and `WGCONV_MODELS` and one of the project's own.

mod damage;
mod shared_data;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use damage::{Came, damaged_messages, planned, withstand};
use wgconv::import::onnx::{Given, read_onnx};

fn models(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            models(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "onnx") {
            found.push(path);
        }
    }
}

/// The samples that make a graph, and those that are refused as they are.
fn samples() -> [Vec<Vec<u8>>; 2] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("examples/data/separable.onnx")];
    for (variable, default) in [("ONNX_NODE_TESTS", "onnx_node"), ("WGCONV_MODELS", "models")] {
        shared_data::folder(variable, default, "").iter().for_each(|folder| models(folder, &mut found));
    }
    found.sort();
    // Large weights say nothing that small ones do not, and cost time.
    found.retain(|path| std::fs::metadata(path).unwrap().len() < 1 << 21);
    let (fine, refused): (Vec<PathBuf>, Vec<PathBuf>) =
        found.into_iter().partition(|path| attempt(path) > Came::NoGraph);
    [fine, refused].map(|paths| paths.iter().map(|path| std::fs::read(path).unwrap()).collect())
}

/// The public road from a file to a plan.
fn attempt(path: &Path) -> Came {
    let model = match read_onnx(path) {
        Ok(model) => model,
        Err(error) => {
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            return Came::NotRead;
        }
    };
    let mut given = BTreeMap::new();
    for input in model.inputs() {
        let sizes = input.shape.iter().enumerate();
        let shape = sizes.map(|(axis, size)| size.unwrap_or(if axis == 0 { 2 } else { 8 })).collect();
        given.insert(input.name.clone(), Given::Shape(shape));
    }
    model.graph(&given).map_or(Came::NoGraph, |lowered| planned(lowered.graph))
}

#[test]
fn damaged_models_are_read_or_refused() {
    let [fine, refused] = samples();
    println!("{} models", fine.len() + refused.len());
    let damage = |random: &mut damage::Random| {
        // What is refused for its ops is mostly refused at once.
        let samples = if refused.is_empty() || random.below(6) > 0 { &fine } else { &refused };
        let sample = &samples[random.below(samples.len())];
        damaged_messages(sample, &fine[random.below(fine.len())], random)
    };
    withstand("onnx", damage, attempt);
}
