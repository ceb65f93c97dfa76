//! Whole ONNX models give the outputs of the programs that wrote them, on the CPU reference and on the GPU, and damaged
//! ones are refused without a panic.
//!
//! The folder is `WGCONV_MODELS` (default `../shared/models`).

mod shared_data;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shared_data::{device, models};
use wgconv::import::onnx::{Given, read_onnx};
use wgconv::ops::Op;
use wgconv::passes::{FoldCache, optimize};
use wgconv::session::{Device, Options, Session};
use wgconv::tensor::{Accuracy, Tensor, compare, read_npy};

/// A model file, its input and the output of the program that wrote it.
fn cases(folder: &Path) -> Vec<(PathBuf, Tensor, Tensor)> {
    let read = |path: PathBuf| read_npy(&path).unwrap().to_f32();
    let onnx = |folder: &Path| {
        let mut found: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.retain(|path| path.extension().is_some_and(|ending| ending == "onnx"));
        found.sort();
        found
    };
    let mut cases = Vec::new();
    for path in onnx(&folder.join("seed")) {
        cases.push((path.clone(), read(folder.join("seed/input.npy")), read(path.with_extension("output.npy"))));
    }
    for path in onnx(&folder.join("faceapi")) {
        cases.push((path.clone(), read(path.with_extension("input.npy")), read(path.with_extension("output_0.npy"))));
    }
    let manifest = std::fs::read_to_string(folder.join("arch/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    for (name, entry) in manifest.as_object().unwrap() {
        for path in onnx(&folder.join("arch").join(name)) {
            let size = entry["input"][0].as_u64().unwrap();
            let number = |key: &str| entry[key].as_f64().unwrap() as f32;
            let (scale, shift) = (number("input_scale"), number("input_shift"));
            let bytes = read(folder.join(format!("arch/inputs/input_{size}.npy")));
            let values = bytes.f32s().unwrap();
            let input = Tensor::from_fn(bytes.shape().clone(), |i| values[i] * scale + shift);
            cases.push((path.clone(), input, read(path.with_file_name("output.npy"))));
        }
    }
    cases
}

fn given(input: &str, tensor: &Tensor) -> BTreeMap<String, Given> {
    BTreeMap::from([(input.to_string(), Given::Shape(tensor.shape().to_vec()))])
}

#[test]
fn every_model_gives_its_output() {
    let Some(folder) = models("") else { return };
    let devices = [Device::Cpu, device()];
    let cases = cases(&folder);
    assert!(cases.len() >= 11, "{} models", cases.len());
    let mut wrong = Vec::new();
    for (path, input, expected) in cases {
        let model = read_onnx(&path).unwrap_or_else(|error| panic!("{error}"));
        let name = model.inputs()[0].name.clone();
        let lowered = model.graph(&given(&name, &input)).unwrap_or_else(|error| panic!("{error}"));
        // Errors grow from layer to layer; the class allows for sums of that many terms in all.
        let accuracy = Accuracy::NormalizedReduction { length: 1000 };
        for device in &devices {
            let session = Session::new(lowered.graph.clone(), device.clone(), Options::default());
            let outputs = session.run(&BTreeMap::from([(name.clone(), input.clone())])).unwrap();
            let found = lowered.finish(&outputs).remove(0).1.unwrap().to_tensor().unwrap();
            let comparison = compare(&found, &expected, accuracy, 1.0);
            if !comparison.pass {
                wrong.push(format!("{} on {}: {comparison}", path.display(), device.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_transpose_stays_inside_of_a_mobile_network() {
    let Some(folder) = models("") else { return };
    let mut seen = 0;
    for (path, input, _) in cases(&folder) {
        if !path.to_string_lossy().contains("mobilenet") {
            continue;
        }
        let model = read_onnx(&path).unwrap_or_else(|error| panic!("{error}"));
        let lowered = model.graph(&given(&model.inputs()[0].name, &input)).unwrap();
        let (graph, _) = optimize(lowered.graph, &FoldCache::default()).unwrap();
        let transposes = graph.nodes().iter().filter(|node| matches!(node.op, Op::Transpose(_))).count();
        assert_eq!(transposes, 0, "{}:\n{graph}", path.display());
        seen += 1;
    }
    assert!(seen >= 3, "{seen} networks");
}

#[test]
fn damaged_models_are_refused_or_read_but_never_panic() {
    let Some(folder) = models("") else { return };
    let bytes = std::fs::read(folder.join("seed/v0_separable.onnx")).unwrap();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("model.onnx");
    let attempt = |damaged: &[u8]| {
        std::fs::write(&path, damaged).unwrap();
        if let Ok(model) = read_onnx(&path) {
            // Whether it still makes a graph is open; it must end.
            let _ = model.graph(&BTreeMap::new());
        }
    };
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        attempt(&damaged);
    }
    for length in (0..bytes.len()).step_by(37) {
        attempt(&bytes[..length]);
    }
}
