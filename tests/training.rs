//! Short trainings by Keras with every loss, optimizer and option (`tests/data/make_training.py`), and what a training keeps
//! to whatever it trains.

use std::collections::BTreeMap;

use serde_json::Value;
use wgconv::error::TrainError;
use wgconv::layers::{
    Activation, ActivationLayer, BatchNormalization, Conv2D, Dense, IntoLayer, LayerRef, Model, Noise, Sequential,
};
use wgconv::ops::UpdateRule;
use wgconv::session::Device;
use wgconv::tensor::Tensor;
use wgconv::train::{Batch, Clipping, Loss, Optimizer, Settings, Trainer};

fn tensor(value: &Value) -> Tensor {
    let shape: Vec<usize> = value["shape"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect();
    let values = value["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    Tensor::from_f32(shape, values).unwrap()
}

fn number(config: &Value, key: &str) -> f32 {
    config[key].as_f64().unwrap_or(0.0) as f32
}

fn loss(config: &Value) -> Loss {
    let from_logits = config["from_logits"].as_bool().unwrap_or(false);
    let label_smoothing = number(config, "label_smoothing");
    match config["class"].as_str().unwrap() {
        "MeanSquaredError" => Loss::MeanSquaredError,
        "MeanAbsoluteError" => Loss::MeanAbsoluteError,
        "Huber" => Loss::Huber { delta: number(config, "delta") },
        "LogCosh" => Loss::LogCosh,
        "BinaryCrossentropy" => Loss::BinaryCrossentropy { from_logits, label_smoothing },
        "CategoricalCrossentropy" => Loss::CategoricalCrossentropy { from_logits, label_smoothing },
        "SparseCategoricalCrossentropy" => Loss::SparseCategoricalCrossentropy { from_logits },
        "KLDivergence" => Loss::KlDivergence,
        "Hinge" => Loss::Hinge,
        "SquaredHinge" => Loss::SquaredHinge,
        other => panic!("{other}"),
    }
}

fn optimizer(config: &Value) -> Optimizer {
    let name = config["class"].as_str().unwrap().to_lowercase();
    let mut optimizer = Optimizer::parse(&name).unwrap();
    let momentum = number(config, "momentum");
    if momentum > 0.0 {
        optimizer = optimizer.with_momentum(momentum, config["nesterov"].as_bool().unwrap_or(false)).unwrap();
    }
    match &mut optimizer.rule {
        UpdateRule::Adam { amsgrad, .. } => *amsgrad = config["amsgrad"].as_bool().unwrap(),
        UpdateRule::RmsProp { centered, .. } => *centered = config["centered"].as_bool().unwrap(),
        _ => {}
    }
    optimizer = optimizer.learning_rate(config["learning_rate"].as_f64().unwrap());
    optimizer = optimizer.weight_decay(config["weight_decay"].as_f64().unwrap_or(0.0));
    let set = |key: &str| config[key].as_f64().map(|value| value as f32);
    let clipping = set("clipvalue").map(Clipping::Value).or(set("clipnorm").map(Clipping::Norm));
    optimizer = optimizer.clipping(clipping.or(set("global_clipnorm").map(Clipping::GlobalNorm)).unwrap_or_default());
    if config["use_ema"].as_bool().unwrap() { optimizer.ema(number(config, "ema_momentum")) } else { optimizer }
}

fn gpu() -> Device {
    let wanted = std::env::var("WGCONV_DEVICE").unwrap_or_else(|_| "gpu".into());
    Device::select(&wanted).expect("the tests need a Vulkan driver")
}

/// The largest difference in units of the largest expected magnitude.
fn difference(actual: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(actual.len(), expected.len());
    let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs())).max(1e-6);
    let apart = |(a, b): (&f32, &f32)| if a.is_nan() { f32::INFINITY } else { (a - b).abs() / largest };
    actual.iter().zip(expected).map(apart).fold(0.0, f32::max)
}

/// Keras computed in single precision, too: both sides round each of some dozen ops per step, and steps build on each other.
const TOLERANCE: f32 = 5e-5;

#[test]
fn every_loss_and_optimizer_trains_as_in_keras() {
    let entries: Value = serde_json::from_str(include_str!("data/training.json")).unwrap();
    let mut failures = Vec::new();
    let gpu = gpu();
    for entry in entries.as_array().unwrap() {
        for device in [Device::Cpu, gpu.clone()] {
            let what = format!("{} on {}", entry["name"].as_str().unwrap(), device.name());
            let model = Model::from_config(&entry["config"]).unwrap();
            for (weight, value) in model.weights().iter().zip(entry["first"].as_array().unwrap()) {
                weight.set(tensor(value)).unwrap();
            }
            let mut settings = Settings::new(&model, loss(&entry["loss"]), optimizer(&entry["optimizer"]));
            let accumulation = entry["optimizer"]["gradient_accumulation_steps"].as_u64();
            settings = settings.accumulation(accumulation.unwrap_or(1) as u32);
            let batch = Batch {
                inputs: BTreeMap::from([(model.inputs()[0].name.clone(), tensor(&entry["x"]))]),
                targets: BTreeMap::from([(model.outputs()[0].0.clone(), tensor(&entry["y"]))]),
                sample_weights: entry["sample_weights"].is_object().then(|| tensor(&entry["sample_weights"])),
            };
            let mut trainer = Trainer::new(&model, device, settings).unwrap();
            let expected: Vec<f32> =
                entry["losses"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
            let found: Vec<f32> = expected.iter().map(|_| trainer.train_batch(&batch).unwrap().loss).collect();
            if difference(&found, &expected) > TOLERANCE {
                failures.push(format!("{what}: losses {found:?} where {expected:?} are expected"));
            }
            trainer.update_model().unwrap();
            for (weight, value) in model.weights().iter().zip(entry["last"].as_array().unwrap()) {
                let worst = difference(weight.get().f32s().unwrap(), tensor(value).f32s().unwrap());
                if worst > TOLERANCE {
                    failures.push(format!("{what}: {} differs by {worst:e}", weight.name()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
