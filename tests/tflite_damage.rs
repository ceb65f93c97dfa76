//! TFLite files that are damaged in every way are read, or refused with a reason (`tests/damage/run.rs`).

mod damage;

use std::path::Path;

use damage::{Came, damaged_tables, planned, withstand};
use wgconv::import::tflite::read_tflite;

/// The public road from a file to a plan.
fn attempt(path: &Path) -> Came {
    let model = match read_tflite(path) {
        Ok(model) => model,
        Err(error) => {
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            return Came::NotRead;
        }
    };
    let sizes = |shape: &[Option<usize>]| shape.iter().map(|size| size.unwrap_or(2)).collect();
    let shapes = model.inputs().iter().map(|input| (input.name.clone(), sizes(&input.shape)));
    model.graph(&shapes.collect()).map_or(Came::NoGraph, planned)
}

#[test]
fn damaged_models_are_read_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tflite");
    let samples = ["mobile", "half", "shapes", "unsupported"];
    let samples = samples.map(|name| std::fs::read(folder.join(format!("{name}.tflite"))).unwrap());
    let damage = |random: &mut damage::Random| {
        // What is not supported is refused at once.
        let supported = random.below(16) > 0;
        let sample = &samples[random.below(if supported { 3 } else { 4 })];
        damaged_tables(sample, &samples[random.below(4)], random)
    };
    withstand("tflite", damage, attempt);
}
