//! Short trainings by Keras with every loss, optimizer and option (`tests/data/make_training.py`), and what a training keeps
//! to whatever it trains.

mod shared_data;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use serde_json::Value;
use shared_data::device;
use wgconv::error::TrainError;
use wgconv::layers::{
    Activation, ActivationLayer, BatchNormalization, Conv2D, Dense, GlobalPooling2D, Input, IntoLayer, LayerRef, Model,
    Noise, Padding, Sequential, SharedDepthwiseConv2D,
};
use wgconv::ops::UpdateRule;
use wgconv::session::{Device, Options};
use wgconv::tensor::Tensor;
use wgconv::train::{
    Arrays, Batch, Checkpointing, Clipping, ConfusionMatrix, DataSource, EarlyStopping, Ended, FitOptions, Generator,
    ImageFolder, Loss, Metric, Optimizer, Progress, Settings, Trainer,
};

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
    let gpu = device();
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

/// A small network with everything that draws random numbers or keeps statistics.
fn network() -> Model {
    let model = Sequential::new()
        .add(Conv2D::new(8, 3).use_bias(false))
        .add(BatchNormalization::new())
        .add(ActivationLayer::new(Activation::RELU))
        .add(Noise::spatial_dropout(2, 0.2))
        .add(SharedDepthwiseConv2D::new(3))
        .add(Noise::gaussian(0.1))
        .add(GlobalPooling2D::max())
        .add(Noise::dropout(0.3))
        .add(Dense::new(4).activation(Activation::SOFTMAX));
    let model = model.build([9, 7, 3]).unwrap();
    model.initialize(5);
    model
}

fn samples(model: &Model, count: usize) -> Arrays {
    let x = Tensor::from_fn([count, 9, 7, 3], |i| ((i * 7919 % 2003) as f32 / 1001.5) - 1.0);
    let y = Tensor::from_fn([count], |i| (i * 31 % 4) as f32);
    Arrays::new(model, x, y).unwrap()
}

fn settings(model: &Model) -> Settings {
    Settings::new(model, Loss::SparseCategoricalCrossentropy { from_logits: false }, Optimizer::adam()).seed(9)
}

fn bits(trainer: &Trainer) -> BTreeMap<String, Vec<u32>> {
    let variables = trainer.variables().unwrap();
    variables.iter().map(|(name, t)| (name.clone(), t.f32s().unwrap().iter().map(|x| x.to_bits()).collect())).collect()
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_one_others() {
    let gpu = device();
    let train = |seed: u64| {
        let model = network();
        let mut trainer = Trainer::new(&model, gpu.clone(), settings(&model).seed(seed)).unwrap();
        let history = trainer.fit(&samples(&model, 21), &FitOptions::epochs(2).batch_size(8)).unwrap();
        (bits(&trainer), history.last().unwrap().loss)
    };
    assert!(train(1) == train(1));
    assert!(train(1) != train(2));
}

#[test]
fn gpu_and_reference_drop_the_same_elements() {
    let run = |device: Device| {
        let model = network();
        let mut trainer = Trainer::new(&model, device, settings(&model)).unwrap();
        let history = trainer.fit(&samples(&model, 13), &FitOptions::epochs(2).batch_size(8)).unwrap();
        trainer.update_model().unwrap();
        let weights: Vec<Tensor> = model.weights().iter().map(|weight| weight.get()).collect();
        (history.last().unwrap().loss, weights)
    };
    let ((cpu_loss, cpu), (gpu_loss, gpu)) = (run(Device::Cpu), run(device()));
    assert!((cpu_loss - gpu_loss).abs() < 1e-4, "{cpu_loss} {gpu_loss}");
    for (cpu, gpu) in cpu.iter().zip(&gpu) {
        // Adam divides by the size of the gradient: where that is nearly 0, rounding errors become whole steps of 0.001.
        let apart = cpu.f32s().unwrap().iter().zip(gpu.f32s().unwrap()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-4, "{apart}");
    }
}

#[test]
fn a_training_that_was_stopped_goes_on_as_if_nothing_had_happened() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("state.safetensors");
    let gpu = device();
    let whole = {
        let model = network();
        let mut trainer = Trainer::new(&model, gpu.clone(), settings(&model)).unwrap();
        let history = trainer.fit(&samples(&model, 29), &FitOptions::epochs(3).batch_size(8)).unwrap();
        (bits(&trainer), history.epochs.iter().map(|epoch| epoch.loss.to_bits()).collect::<Vec<_>>())
    };
    // It stops in the middle of the second epoch.
    let options = FitOptions { steps: Some(6), ..FitOptions::epochs(3).batch_size(8) };
    let checkpoint = Some(Checkpointing { path: file.clone(), every: 0, best: None });
    {
        let model = network();
        let mut trainer = Trainer::new(&model, gpu.clone(), settings(&model)).unwrap();
        trainer.fit(&samples(&model, 29), &FitOptions { checkpoint: checkpoint.clone(), ..options }).unwrap();
        assert_eq!(trainer.batches(), 6);
    }
    let model = network();
    model.initialize(77);
    let mut trainer = Trainer::new(&model, gpu, settings(&model)).unwrap();
    let mut progress = trainer.load_checkpoint(&file).unwrap();
    assert_eq!((progress.epoch, progress.samples), (1, 16));
    let options = FitOptions::epochs(3).batch_size(8);
    let data = samples(&model, 29);
    let ended = trainer.resume(&mut progress, &data, None, &options, &AtomicBool::new(false), &mut |_| {}).unwrap();
    assert_eq!(ended, Ended::Epochs);
    let losses: Vec<u64> = progress.history.epochs.iter().map(|epoch| epoch.loss.to_bits()).collect();
    assert!((bits(&trainer), losses) == whole);
    let other = Settings::new(&model, Loss::SparseCategoricalCrossentropy { from_logits: false }, Optimizer::sgd());
    let mut trainer = Trainer::new(&model, Device::Cpu, other).unwrap();
    assert!(trainer.load_checkpoint(&file).unwrap_err().to_string().contains("the optimizer is Adam"));
}

#[test]
fn frozen_layers_stay_and_shared_layers_gather_both_gradients() {
    let input = Input::new([6, 5, 2]);
    let shared: LayerRef = Conv2D::new(2, 3).padding(Padding::Same).named("shared");
    let frozen: LayerRef = Conv2D::new(3, 1).named("frozen");
    frozen.set_trainable(false);
    let x = shared.call(&shared.call(&input));
    let a = GlobalPooling2D::average().named("a").call(&frozen.call(&x));
    let b = Dense::new(2).named("b").call(&GlobalPooling2D::average().layer().call(&x));
    let model = Model::new(&[input], &[a, b]).unwrap();
    model.initialize(3);
    let before: Vec<Tensor> = frozen.weights().iter().map(|weight| weight.get()).collect();
    let batch = Batch {
        inputs: BTreeMap::from([(model.inputs()[0].name.clone(), Tensor::from_fn([4, 6, 5, 2], |i| (i as f32).sin()))]),
        targets: BTreeMap::from([
            ("a".into(), Tensor::from_fn([4, 3], |i| (i as f32).cos())),
            ("b".into(), Tensor::from_fn([4, 2], |i| 0.1 * i as f32)),
        ]),
        sample_weights: None,
    };
    let mut settings = Settings::new(&model, Loss::MeanSquaredError, Optimizer::sgd().learning_rate(0.05));
    settings.losses.insert("b".into(), (Loss::MeanAbsoluteError, 0.5));
    for device in [Device::Cpu, device()] {
        let mut trainer = Trainer::new(&model, device, settings.clone()).unwrap();
        let first = trainer.train_batch(&batch).unwrap().loss;
        let last = (0..30).map(|_| trainer.train_batch(&batch).unwrap().loss).last().unwrap();
        assert!(last < 0.95 * first, "{first} {last}");
        trainer.update_model().unwrap();
        let after: Vec<Tensor> = frozen.weights().iter().map(|weight| weight.get()).collect();
        assert_eq!(before, after);
        model.initialize(3);
    }
}

#[test]
fn the_layer_that_first_gives_no_number_is_named() {
    for device in [Device::Cpu, device()] {
        let model = network();
        let kernel = model.get_layer("shared_depthwise_conv2d").unwrap().weights()[0].clone();
        let mut values = kernel.get().f32s().unwrap().to_vec();
        values[4] = f32::INFINITY;
        kernel.set(Tensor::from_f32(kernel.spec().shape.clone(), values).unwrap()).unwrap();
        let mut trainer = Trainer::new(&model, device, settings(&model).check_numbers(true)).unwrap();
        let failure = trainer.fit(&samples(&model, 8), &FitOptions::epochs(1)).unwrap_err();
        let text = failure.to_string();
        assert!(matches!(failure, TrainError::NotFinite { step: 1, .. }), "{text}");
        assert!(text.contains("`shared_depthwise_conv2d"), "{text}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_way_out() {
    let model = network();
    let fit = |data: &Arrays, options: &FitOptions| {
        let mut trainer = Trainer::new(&model, Device::Cpu, settings(&model)).unwrap();
        trainer.fit(data, options).unwrap_err().to_string()
    };
    let x = |shape: [usize; 4]| Tensor::full(shape, 0.5);
    let wrong_shape = Arrays::new(&model, x([4, 9, 8, 3]), Tensor::full([4], 0.0)).unwrap();
    assert!(fit(&wrong_shape, &FitOptions::epochs(1)).contains("input `input_layer`"));
    let wrong_class = Arrays::new(&model, x([4, 9, 7, 3]), Tensor::full([4], 4.0)).unwrap();
    assert!(fit(&wrong_class, &FitOptions::epochs(1)).contains("the classes 0 to 3"));
    let one_hot = Arrays::new(&model, x([4, 9, 7, 3]), Tensor::full([4, 4], 0.0)).unwrap();
    assert!(fit(&one_hot, &FitOptions::epochs(1)).contains("numbers of classes"));
    let good = samples(&model, 4);
    assert!(fit(&good, &FitOptions::epochs(1).batch_size(0)).contains("at least one sample"));
    let stopping = EarlyStopping { patience: 1, ..EarlyStopping::default() };
    let options = FitOptions { early_stopping: Some(stopping), ..FitOptions::epochs(1) };
    assert!(fit(&good, &options).contains("validation data"));
    let losses = BTreeMap::from([("nothing".into(), (Loss::Hinge, 1.0))]);
    let refused = Trainer::new(&model, Device::Cpu, Settings { losses, ..settings(&model) }).unwrap_err();
    assert!(refused.to_string().contains("its outputs are `dense`"), "{refused}");
}

#[test]
fn a_training_stops_when_nothing_improves_and_goes_back_to_the_best() {
    let model = Sequential::new().add(Dense::new(1)).build([2]).unwrap();
    model.initialize(1);
    let x = Tensor::from_fn([16, 2], |i| (i as f32 * 0.7).sin());
    let data = Arrays::new(&model, x, Tensor::full([16, 1], 0.3)).unwrap();
    // Far too large a step: the loss grows.
    let settings = Settings::new(&model, Loss::MeanSquaredError, Optimizer::sgd().learning_rate(3.0));
    let mut trainer = Trainer::new(&model, Device::Cpu, settings).unwrap();
    let stopping =
        EarlyStopping { monitor: "loss".into(), patience: 2, restore_best: true, ..EarlyStopping::default() };
    let options = FitOptions { early_stopping: Some(stopping), ..FitOptions::epochs(20).batch_size(16) };
    let mut progress = Progress::default();
    let stop = AtomicBool::new(false);
    let ended = trainer.resume(&mut progress, &data, None, &options, &stop, &mut |_| {}).unwrap();
    assert_eq!(ended, Ended::EarlyStopping);
    let losses: Vec<f64> = progress.history.epochs.iter().map(|epoch| epoch.loss).collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses.len(), losses.iter().position(|&loss| loss == best).unwrap() + 3);
}

#[test]
fn recomputing_saves_memory_and_gives_the_same_weights() {
    // A deep row of layers, whose outputs are what takes memory.
    let model = || {
        let mut model = Sequential::new();
        for _ in 0..12 {
            model = model
                .add(Conv2D::new(8, 3).padding(Padding::Same))
                .add(BatchNormalization::new())
                .add(ActivationLayer::new(Activation::SILU));
        }
        let model = model.add(GlobalPooling2D::average()).add(Noise::dropout(0.1)).add(Dense::new(4));
        let model = model.build([9, 7, 3]).unwrap();
        model.initialize(5);
        model
    };
    let loss = Loss::SparseCategoricalCrossentropy { from_logits: true };
    // Without fusing every op rounds alike, so that what is computed twice is the same twice.
    let run = |device: &Device, segments: usize, optimize: bool| {
        let model = model();
        let settings = Settings::new(&model, loss, Optimizer::sgd()).segments(segments);
        let options = Options { optimize, ..Options::default() };
        let mut trainer = Trainer::with_options(&model, device.clone(), settings, options).unwrap();
        let history = trainer.fit(&samples(&model, 16), &FitOptions::epochs(2).batch_size(8)).unwrap();
        let whole = trainer.peak_bytes_without_recomputing(8).unwrap();
        (bits(&trainer), history.last().unwrap().loss, trainer.peak_bytes(8).unwrap(), whole)
    };
    let gpu = device();
    for device in [&Device::Cpu, &gpu] {
        assert!(run(device, 1, false).0 == run(device, 6, false).0, "other bits on {}", device.name());
    }
    let (whole, parts) = (run(&gpu, 1, true), run(&gpu, 6, true));
    assert!((whole.1 - parts.1).abs() < 1e-5, "{} {}", whole.1, parts.1);
    assert_eq!(whole.2, whole.3);
    assert_eq!(parts.3, whole.3);
    assert!(parts.2 * 3 < whole.2 * 2, "{} of {} bytes", parts.2, whole.2);
}

#[test]
fn folders_of_pictures_are_classes() {
    let folder = tempfile::TempDir::new().unwrap();
    // Bright pictures are one class, dark ones the other.
    for (class, brightness) in [("bright", 200u8), ("dark", 40)] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        for number in 0..6u8 {
            let picture = image::RgbImage::from_fn(11, 9, |x, y| image::Rgb([brightness + number, x as u8, y as u8]));
            picture.save(folder.path().join(class).join(format!("{number}.png"))).unwrap();
        }
    }
    let model = Sequential::new()
        .add(Conv2D::new(4, 3))
        .add(GlobalPooling2D::average())
        .add(Dense::new(2).activation(Activation::SOFTMAX))
        .build([8, 8, 3])
        .unwrap();
    model.initialize(2);
    let pictures = ImageFolder::open(folder.path(), &model, false).unwrap();
    assert_eq!(pictures.classes(), ["bright", "dark"]);
    let batch = pictures.batch(&[11, 0], 0).unwrap();
    assert_eq!(batch.inputs["input_layer"].shape().to_vec(), [2, 8, 8, 3]);
    assert_eq!(batch.targets["dense"].f32s().unwrap(), [1.0, 0.0]);
    assert_eq!(batch.inputs["input_layer"].f32s().unwrap()[0], 45.0 / 255.0);
    let loss = Loss::SparseCategoricalCrossentropy { from_logits: false };
    let settings = Settings::new(&model, loss, Optimizer::adam().learning_rate(0.05));
    let mut trainer = Trainer::new(&model, device(), settings).unwrap();
    let options = FitOptions::epochs(30).batch_size(4).metrics(&[Metric::Accuracy]);
    let history = trainer.fit(&pictures, &options).unwrap();
    assert_eq!(history.last().unwrap().metrics["accuracy"], 1.0);
    let mut matrix = ConfusionMatrix::default();
    trainer
        .evaluate_batches(&pictures, 5, &[], &mut |batch, result| {
            matrix.update(&batch.targets["dense"], &result.predictions["dense"])
        })
        .unwrap();
    assert_eq!(matrix.counts, [[6, 0], [0, 6]]);

    std::fs::write(folder.path().join("dark/9.png"), b"no picture").unwrap();
    let damaged = ImageFolder::open(folder.path(), &model, false).unwrap();
    let failure = trainer.fit(&damaged, &FitOptions::epochs(1)).unwrap_err().to_string();
    assert!(failure.contains("9.png"), "{failure}");
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let failure = ImageFolder::open(folder.path(), &model, true).unwrap_err().to_string();
    assert!(failure.contains("empty") && failure.contains("without"), "{failure}");
}

#[test]
fn a_function_can_make_the_samples() {
    let model = Sequential::new().add(Dense::new(1)).build([2]).unwrap();
    model.initialize(4);
    let make = |positions: &[usize], epoch: u64| {
        let value = |i: usize| ((positions[i / 2] * 2 + i % 2) as f32 + epoch as f32).sin();
        let x = Tensor::from_fn([positions.len(), 2], value);
        let y = Tensor::from_fn([positions.len(), 1], |i| 2.0 * value(2 * i) - value(2 * i + 1) + 0.5);
        Ok(Batch {
            inputs: BTreeMap::from([("input_layer".into(), x)]),
            targets: BTreeMap::from([("dense".into(), y)]),
            sample_weights: None,
        })
    };
    let settings = Settings::new(&model, Loss::MeanSquaredError, Optimizer::sgd().learning_rate(0.2));
    let mut trainer = Trainer::new(&model, Device::Cpu, settings).unwrap();
    trainer.fit(&Generator::new(64, make), &FitOptions::epochs(20).batch_size(16)).unwrap();
    let weights: Vec<Tensor> = model.weights().iter().map(|weight| weight.get()).collect();
    let near = |tensor: &Tensor, expected: &[f32]| difference(tensor.f32s().unwrap(), expected) < 1e-2;
    assert!(near(&weights[0], &[2.0, -1.0]) && near(&weights[1], &[0.5]), "{weights:?}");
}
