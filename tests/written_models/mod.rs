//! Models that are written to files and read back: one of every kind, whole networks, and those that Keras saved.

// Each test file uses its own part of these.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wgconv::import::read_model;
use wgconv::layers::Model;
use wgconv::tensor::{Tensor, write_npy};
use wgconv::{cpu, zoo};

/// Gives every weight values of its own, so that none can stand for another.
pub fn fill(model: &Model) {
    for (number, weight) in model.weights().iter().enumerate() {
        let variance = weight.spec().name.contains("variance");
        let wave = |i: usize| ((i as f32 * 0.9 + number as f32).cos() * 0.4) + if variance { 1.0 } else { 0.05 };
        weight.set(Tensor::from_fn(weight.spec().shape.clone(), wave)).unwrap();
    }
}

/// Small models of every kind, with weights.
pub fn models() -> Vec<(String, Model)> {
    let all =
        [super::layer_models::of_keras(), super::layer_models::own(), vec![("halves", super::layer_models::halves())]];
    let models = all.into_iter().flatten().map(|(name, model)| {
        let model = model.unwrap();
        fill(&model);
        (name.to_string(), model)
    });
    let variants = ["separable", "depthwise", "pointwise", "shared", "conv3d", "permute", "plain_reshape", "slices"];
    let question = variants.iter().map(|variant| {
        let model = zoo::build(&format!("separable_question?variant={variant}&seed=5")).unwrap();
        (format!("question_{variant}"), model)
    });
    models.chain(question).collect()
}

/// Inputs of every shape, open axes of size 9.
pub fn inputs(model: &Model) -> BTreeMap<String, Tensor> {
    let inputs = model.inputs().iter().enumerate().map(|(number, input)| {
        let shape: Vec<usize> = [2].into_iter().chain(input.shape.iter().map(|size| size.unwrap_or(9))).collect();
        (input.name.clone(), Tensor::from_fn(shape, |i| (i as f32 * 0.37 + number as f32).sin()))
    });
    inputs.collect()
}

pub fn outputs(model: &Model) -> Vec<Tensor> {
    let inputs = inputs(model);
    let shapes = inputs.iter().map(|(name, x)| (name.clone(), x.shape()[1..].to_vec())).collect();
    cpu::run(&model.graph_for(2, &shapes).unwrap(), &inputs).unwrap()
}

/// Whole networks on pictures of `size` x `size`, or of the least that they take.
pub fn networks(size: usize) -> Vec<(String, Model)> {
    let architectures = [
        "mobilenet_v1?alpha=0.25",
        "mobilenet_v2?alpha=0.35",
        "mobilenet_v3_small?seed=0",
        "mobilenet_v3_large?seed=0",
        "efficientnet_b0?seed=0",
        "xception?seed=0",
        "resnet18?seed=0",
    ];
    let architectures = architectures.iter().map(|name| {
        let (stem, _) = name.split_once('?').unwrap();
        let least = if stem == "xception" { 71 } else { 32 };
        let model = zoo::build(&format!("{name}&size={}&classes=10", size.max(least))).unwrap();
        // Biases and statistics that start as 0 and 1 would hide that one stands for another.
        let vectors: Vec<_> = model.weights().into_iter().filter(|w| w.spec().shape.rank() == 1).collect();
        for (number, weight) in vectors.iter().enumerate() {
            let start = weight.get();
            let start = start.f32s().unwrap();
            let wave = |i: usize| start[i] + 0.3 * (i as f32 * 0.9 + number as f32).cos();
            weight.set(Tensor::from_fn(weight.spec().shape.clone(), wave)).unwrap();
        }
        (stem.to_string(), model)
    });
    architectures.collect()
}

/// Models that Keras saved, from the folder `WGCONV_MODELS` (default `../shared/models`).
pub fn saved_by_keras() -> Vec<(String, Model)> {
    let mut open: Vec<PathBuf> = crate::shared_data::models("").into_iter().collect();
    let mut models = Vec::new();
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "keras") {
                let home = folder.file_name().unwrap().to_string_lossy();
                let stem = path.file_stem().unwrap().to_string_lossy();
                let model = read_model(&path).unwrap();
                match model.in_keras() {
                    Ok(_) => models.push((format!("{home}_{stem}"), model)),
                    // Keras 2 took more axes than Keras 3 does.
                    Err(why) => assert!(why.to_string().contains("Keras 3 takes"), "{}: {why}", path.display()),
                }
            }
        }
    }
    println!("{} models that Keras saved", models.len());
    models
}

/// Writes what goes in and comes out as `NAME.input_0.npy`, .. and `NAME.output_0.npy`, .., in the model's order.
pub fn write_arrays(folder: &Path, name: &str, inputs: &BTreeMap<String, Tensor>, model: &Model, outputs: &[Tensor]) {
    let file = |kind: &str, number: usize| folder.join(format!("{name}.{kind}_{number}.npy"));
    for (number, input) in model.inputs().iter().enumerate() {
        write_npy(&file("input", number), &inputs[&input.name]).unwrap();
    }
    for (number, output) in outputs.iter().enumerate() {
        write_npy(&file("output", number), output).unwrap();
    }
}
