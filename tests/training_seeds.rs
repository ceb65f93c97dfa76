//! Ten full-batch steps of every optimizer that Keras took from the same weights: its losses, its gradients, its weights.
//!
//! The folder is `WGCONV_MODELS` (default `../shared/models`); every `*.train.npz` in its `seed` is a training.

mod shared_data;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shared_data::{Archive, array, device, models};
use wgconv::import::read_model;
use wgconv::layers::Model;
use wgconv::session::Device;
use wgconv::tensor::read_npy;
use wgconv::train::{Batch, Loss, Optimizer, Settings, Trainer, backward};

fn trainings() -> Option<Vec<PathBuf>> {
    let folder = models("seed")?;
    let entries = std::fs::read_dir(folder.join("seed")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".train.npz"));
    files.sort();
    Some(files)
}

/// Keras's names of weights (`sequential.conv2d.kernel`) by ours (`conv2d/kernel`).
fn weights(archive: &Archive, prefix: &str) -> BTreeMap<String, String> {
    let names = archive.array_names().filter_map(|name| Some((name.strip_prefix(prefix)?, name)));
    let short = |name: &str| {
        let parts: Vec<&str> = name.split('.').collect();
        parts[parts.len() - 2..].join("/")
    };
    names.map(|(rest, name)| (short(rest), name.to_string())).collect()
}

fn model(path: &Path) -> (Model, Batch) {
    let file = path.to_string_lossy().replace(".train.npz", ".keras");
    let model = read_model(Path::new(&file)).unwrap();
    let folder = path.parent().unwrap();
    let x = read_npy(&folder.join("input.npy")).unwrap();
    let y = read_npy(&folder.join("target.npy")).unwrap();
    let batch = Batch {
        inputs: BTreeMap::from([(model.inputs()[0].name.clone(), x)]),
        targets: BTreeMap::from([(model.outputs()[0].0.clone(), y)]),
        sample_weights: None,
    };
    (model, batch)
}

/// The largest difference in units of the largest expected magnitude.
fn difference(actual: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(actual.len(), expected.len());
    let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs())).max(1e-6);
    actual
        .iter()
        .zip(expected)
        .map(|(a, b)| if a.is_nan() { f32::INFINITY } else { (a - b).abs() / largest })
        .fold(0.0, f32::max)
}

/// Keras computed in single precision, too: both sides round each of some dozen ops per step, and steps build on each other.
const TOLERANCE: f32 = 2e-5;

#[test]
fn ten_steps_give_the_losses_and_weights_of_keras() {
    let Some(trainings) = trainings() else { return };
    let gpu = device();
    let mut failures = Vec::new();
    let mut compared = 0;
    for path in trainings {
        let mut archive = Archive::open(&path).unwrap();
        for (name, optimizer) in [
            ("sgd", Optimizer::sgd()),
            ("sgd_momentum", Optimizer::momentum(0.9, false)),
            ("sgd_nesterov", Optimizer::momentum(0.9, true)),
            ("adam", Optimizer::adam()),
            // The files were made with this decay rather than the default of 0.004.
            ("adamw", Optimizer::adamw().weight_decay(0.01)),
            ("rmsprop", Optimizer::rmsprop()),
        ] {
            let Some(losses) = array(&mut archive, &format!("{name}.losses")) else { continue };
            for device in [&Device::Cpu, &gpu] {
                let (model, batch) = model(&path);
                let settings = Settings::new(&model, Loss::MeanSquaredError, optimizer);
                let mut trainer = Trainer::new(&model, device.clone(), settings).unwrap();
                let found: Vec<f32> = (0..10).map(|_| trainer.train_batch(&batch).unwrap().loss).collect();
                let what = format!("{} {name} on {}", path.file_name().unwrap().to_string_lossy(), device.name());
                let worst = difference(&found, losses.f32s().unwrap());
                if worst > TOLERANCE {
                    failures.push(format!("{what}: losses differ by {worst:e}: {found:?} {losses:?}"));
                }
                trainer.update_model().unwrap();
                let names = weights(&archive, &format!("{name}.w10."));
                assert_eq!(names.len(), model.weights().len());
                for weight in model.weights() {
                    let expected = array(&mut archive, &names[weight.name()]).unwrap();
                    let worst = difference(weight.get().f32s().unwrap(), expected.f32s().unwrap());
                    if worst > TOLERANCE {
                        failures.push(format!("{what}: {} differs by {worst:e}", weight.name()));
                    }
                    compared += 1;
                }
            }
        }
    }
    println!("{compared} weights compared");
    assert!(compared > 0, "no training was found");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn gradients_of_whole_models_are_those_of_keras() {
    let Some(trainings) = trainings() else { return };
    let mut compared = 0;
    for path in trainings {
        let mut archive = Archive::open(&path).unwrap();
        let (model, batch) = model(&path);
        let training = model.training_graph(batch.len(), &BTreeMap::new()).unwrap();
        let mut graph = training.graph;
        let prediction = training.outputs[0].1;
        let target = graph.input("target", graph.ty(prediction).clone());
        let loss = Loss::MeanSquaredError.emit(&mut graph, target, prediction, None).unwrap();
        let wanted: Vec<_> = training.weights.iter().map(|weight| weight.value).collect();
        let gradients = backward(&mut graph, loss, &wanted).unwrap();
        let mut inputs = batch.inputs.clone();
        inputs.insert("target".into(), batch.targets.values().next().unwrap().clone());
        for (weight, gradient) in training.weights.iter().zip(gradients) {
            inputs.insert(weight.name.clone(), weight.weight.get());
            graph.output(weight.name.clone(), gradient.unwrap());
        }
        let found = wgconv::cpu::run(&graph, &inputs).unwrap();
        let names = weights(&archive, "grad.");
        for ((name, _), gradient) in graph.outputs().iter().zip(found) {
            let expected = array(&mut archive, &names[name]).unwrap();
            let worst = difference(gradient.f32s().unwrap(), expected.f32s().unwrap());
            assert!(worst < TOLERANCE, "{} {name}: {worst:e}", path.display());
            compared += 1;
        }
    }
    assert!(compared > 0, "no gradient was found");
}
