//! Configurations that are written: read back they are the same model, and they are those that Keras writes.

mod layer_models;
mod shared_data;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use wgconv::layers::{InputSpec, Model};
use wgconv::ops::{Filters, Op};
use wgconv::passes::{FoldCache, optimize};
use wgconv::tensor::Tensor;
use wgconv::{cpu, zoo};

/// The same model has the same summary and the same graph, weights included: they start from their names.
fn assert_same(name: &str, model: &Model, other: &Model) {
    if !model.inputs().iter().any(|input| input.shape.contains(&None)) {
        // Rows of layers that hold a function are written as functional models, as Keras has it.
        if model.is_sequential() == other.is_sequential() {
            assert_eq!(model.summary(2).unwrap().text(true), other.summary(2).unwrap().text(true), "{name}");
        }
        assert_eq!(model.graph(2).unwrap(), other.graph(2).unwrap(), "{name}");
    }
    assert_eq!(model.inputs(), other.inputs(), "{name}");
    assert_eq!(model.outputs(), other.outputs(), "{name}");
    assert_eq!(model.name(), other.name(), "{name}");
    assert_eq!(model.to_config(), other.to_config(), "{name}");
}

#[test]
fn every_layer_class_survives_a_round_trip() {
    let all = [layer_models::of_keras(), layer_models::own(), layer_models::without_keras()];
    for (name, model) in all.into_iter().flatten() {
        let model = model.unwrap_or_else(|why| panic!("{name}: {why}"));
        let text = model.to_json();
        let again = Model::from_config(&serde_json::from_str(&text).unwrap());
        assert_same(name, &model, &again.unwrap_or_else(|why| panic!("{name}: {why}\n{text}")));
    }
}

#[test]
fn every_zoo_model_survives_a_round_trip() {
    let variants = ["separable", "depthwise", "pointwise", "shared", "conv3d", "permute", "plain_reshape", "slices"];
    let names = variants.iter().map(|variant| format!("separable_question?variant={variant}"));
    let names = names.chain(
        [
            "mobilenet_v1",
            "mobilenet_v2",
            "mobilenet_v3_small",
            "mobilenet_v3_large",
            "efficientnet_b0",
            "xception",
            "resnet18",
        ]
        .map(|name| format!("{name}?size=96&classes=10")),
    );
    for name in names {
        let model = zoo::build(&name).unwrap();
        assert_same(&name, &model, &Model::from_config(&model.to_config()).unwrap());
    }
}

/// What says nothing about the numbers, or is written by some versions of Keras only.
const METADATA: &[&str] = &[
    "dtype",
    "build_config",
    "compile_config",
    "shared_object_id",
    "trainable",
    "training",
    "synchronized",
    "renorm",
    "renorm_momentum",
];

/// A configuration without metadata and without keys that are null, numbers as they are in single precision.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.iter().filter(|(key, value)| !value.is_null() && !METADATA.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Number(number) if number.is_f64() => Value::from(number.as_f64().unwrap() as f32),
        other => other.clone(),
    }
}

#[test]
fn what_training_is_told_of_weights_is_written_as_keras_does() {
    let entries: Value = serde_json::from_str(include_str!("data/training.json")).unwrap();
    let mut told = 0;
    for name in ["regularizers", "constraints"] {
        let entry = entries.as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap();
        let model = Model::from_config(&entry["config"]).unwrap();
        assert_eq!(plain(&model.to_config()), plain(&entry["config"]), "{name}");
        told += model.to_json().matches("_regularizer\"").count() + model.to_json().matches("_constraint\"").count();
    }
    assert_eq!(told, 2 + 5);
}

#[test]
fn configurations_are_those_that_keras_writes() {
    let Some(folder) = shared_data::models("seed") else { return };
    let files = |home: &str| -> Vec<PathBuf> {
        std::fs::read_dir(folder.join(home)).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let mut paths = files("seed");
    paths.retain(|path| path.extension().is_some_and(|e| e == "json") && !path.ends_with("report.json"));
    paths.extend(files("arch").into_iter().map(|home| home.join("config.json")).filter(|path| path.is_file()));
    assert!(paths.len() > 3, "no configurations in {}", folder.display());
    for path in paths {
        let config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let model = Model::from_config(&config).unwrap();
        assert_eq!(plain(&model.to_config()), plain(&config), "{}", path.display());
    }
}

/// Inputs of every shape, open axes of size 9.
fn waves(model: &Model, batch: usize) -> BTreeMap<String, Tensor> {
    let wave = |shape: Vec<usize>| Tensor::from_fn(shape, |i| (i as f32 * 0.37).sin());
    let shape = |input: &InputSpec| {
        [batch].into_iter().chain(input.shape.iter().map(|size| size.unwrap_or(9))).collect::<Vec<usize>>()
    };
    model.inputs().iter().map(|input| (input.name.clone(), wave(shape(input)))).collect()
}

fn outputs(model: &Model) -> Vec<Tensor> {
    let inputs = waves(model, 2);
    let shapes = inputs.iter().map(|(name, x)| (name.clone(), x.shape()[1..].to_vec())).collect();
    cpu::run(&model.graph_for(2, &shapes).unwrap(), &inputs).unwrap()
}

#[test]
fn what_keras_lacks_is_said_in_its_layers_and_computes_the_same() {
    let all = [layer_models::of_keras(), layer_models::own(), vec![("halves", layer_models::halves())]];
    for (name, model) in all.into_iter().flatten() {
        let model = model.unwrap();
        // Biases of 0 would hide one that is lost.
        for weight in model.weights() {
            weight.set(Tensor::from_fn(weight.spec().shape.clone(), |i| 0.3 + (i as f32 * 0.9).cos() * 0.2)).unwrap();
        }
        let in_keras = model.in_keras().unwrap_or_else(|why| panic!("{name}: {why}")).model;
        let text = in_keras.to_json();
        assert!(!text.contains("wgconv"), "{name}: {text}");
        for part in ["_regularizer", "_constraint"] {
            assert_eq!(text.matches(part).count(), model.to_json().matches(part).count(), "{name}: {text}");
        }
        assert_eq!(
            in_keras.outputs().iter().map(|o| &o.0).collect::<Vec<_>>(),
            model.outputs().iter().map(|o| &o.0).collect::<Vec<_>>()
        );
        assert_eq!(outputs(&model), outputs(&in_keras), "{name}");
        let read = Model::from_config(&in_keras.to_config()).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(read.to_config(), in_keras.to_config(), "{name}");
    }
}

#[test]
fn what_no_layers_of_keras_compute_is_refused_with_every_layer() {
    for ((name, model), part) in
        layer_models::without_keras().into_iter().zip(["dilation", "4 axes", "Clip", "Cropping1D", "linearly", "`a/b`"])
    {
        let message = model.unwrap().in_keras().unwrap_err().to_string();
        assert!(message.contains(part), "{name}: {message}");
    }
}

#[test]
fn a_shared_kernel_is_known_again_behind_keras_layers() {
    for (name, model) in
        layer_models::own().into_iter().filter(|(name, _)| ["shared1d", "shared2d", "shared3d"].contains(name))
    {
        let read = Model::from_config(&model.unwrap().in_keras().unwrap().model.to_config()).unwrap();
        let (graph, report) = optimize(read.graph(2).unwrap(), &FoldCache::default()).unwrap();
        let shared = |op: &Op| matches!(op, Op::Conv(conv) if conv.filters == Filters::Shared);
        assert!(graph.nodes().iter().any(|node| shared(&node.op)), "{name}: {report:?}");
    }
}
