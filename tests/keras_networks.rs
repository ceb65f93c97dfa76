//! Whole Keras models give Keras's outputs, on the CPU reference and on the GPU.
//!
//! The folder is `WGCONV_MODELS` (default `../shared/models`); every `.keras` and `.h5` model in it is run.

mod shared_data;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shared_data::{device, models};
use wgconv::import::read_model;
use wgconv::session::{Device, Options, Session};
use wgconv::tensor::{Accuracy, Tensor, compare, read_npy};

/// A model file, its input and Keras's output.
type Case = (PathBuf, Tensor, Tensor);

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect())
        .unwrap_or_default();
    found.retain(|path| path.to_string_lossy().ends_with(ending) && !path.to_string_lossy().ends_with(".weights.h5"));
    found.sort();
    found
}

fn cases(folder: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for seed in [folder.join("seed"), folder.join("seed/keras2")] {
        for path in files(&seed, ".keras").into_iter().chain(files(&seed, ".h5")) {
            let stem = path.file_stem().unwrap().to_string_lossy().to_string();
            let input = read_npy(&folder.join("seed/input.npy")).unwrap().to_f32();
            let output = read_npy(&seed.join(format!("{stem}.output.npy"))).unwrap().to_f32();
            cases.push((path, input, output));
        }
    }
    for path in files(&folder.join("faceapi"), ".keras") {
        let beside = |ending: &str| read_npy(&path.with_extension(ending)).unwrap().to_f32();
        cases.push((path.clone(), beside("input.npy"), beside("output_0.npy")));
    }
    let manifest = folder.join("arch/manifest.json");
    let manifest: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(manifest).unwrap()).unwrap();
    for (name, entry) in manifest.as_object().unwrap() {
        let home = folder.join("arch").join(name);
        for path in files(&home, ".keras").into_iter().chain(files(&home, ".h5")) {
            let size = entry["input"][0].as_u64().unwrap();
            let number = |key: &str| entry[key].as_f64().unwrap() as f32;
            let bytes = read_npy(&folder.join(format!("arch/inputs/input_{size}.npy"))).unwrap().to_f32();
            let values = bytes.f32s().unwrap();
            let (scale, shift) = (number("input_scale"), number("input_shift"));
            let input = Tensor::from_fn(bytes.shape().clone(), |i| values[i] * scale + shift);
            cases.push((path, input, read_npy(&home.join("output.npy")).unwrap().to_f32()));
        }
    }
    cases
}

#[test]
fn models_give_the_outputs_of_keras() {
    let Some(folder) = models("") else { return };
    let gpu = device();
    let mut failures = Vec::new();
    let cases = cases(&folder);
    for (path, input, expected) in &cases {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let model = match read_model(path) {
            Ok(model) => model,
            Err(why) => {
                failures.push(format!("{name}: {why}"));
                continue;
            }
        };
        let inputs = BTreeMap::from([(model.inputs()[0].name.clone(), input.clone())]);
        for device in [Device::Cpu, gpu.clone()] {
            let graph = model.graph(input.shape()[0]).unwrap();
            let session = Session::new(graph, device.clone(), Options::default());
            // Errors grow from layer to layer; the class allows for sums of that many terms in all.
            let accuracy = Accuracy::NormalizedReduction { length: 1000 };
            match session.run(&inputs) {
                Ok(outputs) => {
                    let comparison = compare(outputs.values().next().unwrap(), expected, accuracy, 1.0);
                    if !comparison.pass {
                        failures.push(format!("{name} on {}: {comparison}", device.name()));
                    }
                }
                Err(why) => failures.push(format!("{name} on {}: {why}", device.name())),
            }
        }
    }
    println!("{} models", cases.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn weights_alone_fill_a_model_made_from_its_configuration() {
    let Some(folder) = models("") else { return };
    let input = read_npy(&folder.join("seed/input.npy")).unwrap().to_f32();
    let mut ran = 0;
    for path in files(&folder.join("seed"), ".json") {
        let weights = path.with_extension("weights.h5");
        if !weights.is_file() {
            continue;
        }
        let config = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let model = wgconv::layers::Model::from_config(&config).unwrap();
        let file = wgconv::import::keras::read(&weights).unwrap();
        wgconv::import::keras::assign_weights(&model, &config, &file).unwrap();
        let inputs = BTreeMap::from([(model.inputs()[0].name.clone(), input.clone())]);
        let output = wgconv::cpu::run(&model.graph(input.shape()[0]).unwrap(), &inputs).unwrap().remove(0);
        let expected = read_npy(&path.with_extension("output.npy")).unwrap().to_f32();
        let comparison = compare(&output, &expected, Accuracy::Reduction { length: 160 }, 1.0);
        assert!(comparison.pass, "{}: {comparison}", path.display());
        ran += 1;
    }
    println!("{ran} models");
    assert!(ran > 0, "no weights in {}", folder.display());
}

/// Every file of a model, of whatever format and version of Keras, fills the model made from its configuration.
#[test]
fn every_format_loads_into_a_model_that_is_there() {
    let Some(folder) = models("") else { return };
    let input = read_npy(&folder.join("seed/input.npy")).unwrap().to_f32();
    let mut ran = 0;
    for path in files(&folder.join("seed"), ".json").into_iter().filter(|path| path.with_extension("keras").is_file()) {
        let config = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let expected = read_npy(&path.with_extension("output.npy")).unwrap().to_f32();
        let stem = path.file_stem().unwrap().to_string_lossy().to_string();
        for home in [folder.join("seed"), folder.join("seed/keras2")] {
            for file in ["keras", "h5", "weights.h5"].map(|ending| home.join(format!("{stem}.{ending}"))) {
                if !file.is_file() {
                    continue;
                }
                let model = wgconv::layers::Model::from_config(&config).unwrap();
                model.initialize(77);
                model.load_weights(&file).unwrap_or_else(|why| panic!("{why}"));
                let inputs = BTreeMap::from([(model.inputs()[0].name.clone(), input.clone())]);
                let output = wgconv::cpu::run(&model.graph(input.shape()[0]).unwrap(), &inputs).unwrap().remove(0);
                let comparison = compare(&output, &expected, Accuracy::Reduction { length: 160 }, 1.0);
                assert!(comparison.pass, "{}: {comparison}", file.display());
                ran += 1;
            }
        }
    }
    println!("{ran} files");
    assert!(ran > 0, "no models in {}", folder.display());
}
