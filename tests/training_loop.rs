//! What the loop of training decides, and that stopping and resuming it at any batch changes nothing of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use wgconv::layers::{DataFormat, Dense, Model, Reshaping, Sequential};
use wgconv::session::Device;
use wgconv::tensor::Tensor;
use wgconv::train::{
    Arrays, Augment, Batch, Checkpointing, DataSource, EarlyStopping, Ended, FitOptions, Generator, Loss, Metric,
    Optimizer, Progress, ReduceOnPlateau, Schedule, Settings, Trainer, split,
};

/// So large a learning rate that momentum carries the training past its best epochs.
const RATE: f64 = 1.2;

fn model() -> Model {
    let model = Sequential::new().add(Dense::new(1)).build([2]).unwrap();
    model.initialize(1);
    model
}

fn samples(model: &Model, count: usize) -> Arrays {
    let x = Tensor::from_fn([count, 2], |i| (i as f32 * 0.7).sin());
    Arrays::new(model, x, Tensor::from_fn([count, 1], |i| 0.3 + (i as f32 * 1.3).cos())).unwrap()
}

fn trainer(model: &Model, rate: f64) -> Trainer {
    let optimizer = Optimizer::sgd().learning_rate(rate).with_momentum(0.9, false).unwrap();
    Trainer::new(model, Device::Cpu, Settings::new(model, Loss::MeanSquaredError, optimizer).seed(5)).unwrap()
}

/// Options with which everything has something to decide.
fn options() -> FitOptions {
    FitOptions {
        plateau: Some(ReduceOnPlateau {
            monitor: "val_loss".into(),
            factor: 0.7,
            patience: 2,
            cooldown: 1,
            ..ReduceOnPlateau::default()
        }),
        early_stopping: Some(EarlyStopping { patience: 4, restore_best: true, ..EarlyStopping::default() }),
        ..FitOptions::epochs(9).batch_size(4).metrics(&[Metric::MeanAbsoluteError])
    }
}

/// Weights bit for bit, all variables, and every number of the history but the speed.
type Outcome = (Vec<Vec<u32>>, BTreeMap<String, Vec<u32>>, Vec<Vec<u64>>, Ended);

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.f32s().unwrap().iter().map(|x| x.to_bits()).collect()
}

fn outcome(model: &Model, trainer: &Trainer, progress: &Progress, ended: Ended) -> Outcome {
    let epochs = progress.history.epochs.iter().map(|epoch| {
        let numbers = [epoch.loss, epoch.val_loss.unwrap(), epoch.learning_rate];
        numbers.iter().chain(epoch.metrics.values()).map(|x| x.to_bits()).collect()
    });
    let variables = trainer.variables().unwrap().iter().map(|(name, tensor)| (name.clone(), bits(tensor))).collect();
    (model.weights().iter().map(|weight| bits(&weight.get())).collect(), variables, epochs.collect(), ended)
}

fn run(trainer: &mut Trainer, model: &Model, progress: &mut Progress, options: &FitOptions) -> Ended {
    let (data, validation) = (samples(model, 11), samples(model, 5));
    let stop = AtomicBool::new(false);
    trainer.resume(progress, &data, Some(&validation), options, &stop, &mut |_| {}).unwrap()
}

#[test]
fn a_training_that_stops_after_any_batch_comes_to_the_same_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.safetensors");
    let (whole, rates) = {
        let model = model();
        let mut trainer = trainer(&model, RATE);
        let mut progress = Progress::default();
        let ended = run(&mut trainer, &model, &mut progress, &options());
        let rates: Vec<f64> = progress.history.epochs.iter().map(|epoch| epoch.learning_rate).collect();
        (outcome(&model, &trainer, &progress, ended), rates)
    };
    // Otherwise the test would show nothing.
    assert!(whole.3 == Ended::EarlyStopping && rates[0] > *rates.last().unwrap(), "{:?} {rates:?}", whole.3);
    let batches = 3 * rates.len() as u64;
    for stop in 1..batches {
        let checkpoint = Some(Checkpointing { path: file.clone(), every: 0, best: None });
        {
            let model = model();
            let mut trainer = trainer(&model, RATE);
            let options = FitOptions { steps: Some(stop), checkpoint, ..options() };
            assert_eq!(run(&mut trainer, &model, &mut Progress::default(), &options), Ended::Steps);
            assert_eq!(trainer.batches(), stop);
        }
        let model = model();
        model.initialize(77);
        let mut trainer = trainer(&model, RATE);
        let mut progress = trainer.load_checkpoint(&file).unwrap();
        let ended = run(&mut trainer, &model, &mut progress, &options());
        assert!(outcome(&model, &trainer, &progress, ended) == whole, "stopped after batch {stop}");
    }
}

#[test]
fn the_best_epoch_comes_back_also_when_all_epochs_are_done() {
    // Each epoch alone, to know its weights.
    let (model, mut progress) = (model(), Progress::default());
    let mut single = trainer(&model, RATE);
    let mut weights = Vec::new();
    for epochs in 1..=4 {
        let options = FitOptions { early_stopping: None, epochs, ..options() };
        run(&mut single, &model, &mut progress, &options);
        weights.push(model.weights().iter().map(|weight| bits(&weight.get())).collect::<Vec<_>>());
    }
    let losses: Vec<f64> = progress.history.epochs.iter().map(|epoch| epoch.val_loss.unwrap()).collect();
    let best = (0..4).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap();
    assert!(best < 3, "{losses:?}");
    model.initialize(1);
    let mut trainer = trainer(&model, RATE);
    let ended = run(&mut trainer, &model, &mut Progress::default(), &FitOptions { epochs: 4, ..options() });
    assert_eq!(ended, Ended::Epochs);
    assert_eq!(model.weights().iter().map(|weight| bits(&weight.get())).collect::<Vec<_>>(), weights[best]);
}

#[test]
fn no_batch_is_trained_on_after_the_last_step() {
    let model = model();
    let mut trainer = trainer(&model, 0.1);
    let (mut progress, options) = (Progress::default(), FitOptions { steps: Some(5), ..options() });
    for _ in 0..2 {
        assert_eq!(run(&mut trainer, &model, &mut progress, &options), Ended::Steps);
        assert_eq!(trainer.batches(), 5);
    }
}

fn checkpoint(path: &Path, seed: u64) {
    let model = model();
    model.initialize(seed);
    let mut trainer = trainer(&model, 0.1);
    trainer.fit(&samples(&model, 11), &FitOptions { steps: Some(2), ..FitOptions::epochs(2).batch_size(4) }).unwrap();
    trainer.save_checkpoint(path, &Progress::default()).unwrap();
}

#[test]
fn checkpoints_are_the_same_bytes_and_damaged_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.safetensors");
    checkpoint(&file, 3);
    let whole = std::fs::read(&file).unwrap();
    checkpoint(&file, 3);
    assert!(std::fs::read(&file).unwrap() == whole);
    let model = model();
    let mut own = trainer(&model, 0.1);
    let before = own.variables().unwrap();
    for end in (0..whole.len()).step_by(7) {
        std::fs::write(&file, &whole[..end]).unwrap();
        let failure = own.load_checkpoint(&file).unwrap_err().to_string();
        assert!(failure.contains("state.safetensors"), "{failure}");
        assert_eq!(own.variables().unwrap(), before);
    }
    // A byte of the header may be any other: it is an error that changes nothing, or a text that means nothing here.
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut refused = 0;
    for position in (0..header).step_by(3) {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x11;
        std::fs::write(&file, &bytes).unwrap();
        if own.load_checkpoint(&file).is_err() {
            refused += 1;
            assert_eq!(own.variables().unwrap(), before);
        }
        own.set_variables(&before).unwrap();
    }
    assert!(refused * 3 > header / 2, "{refused} of {header} bytes");
    checkpoint(&file, 3);
    let other = Sequential::new().add(Dense::new(1)).build([3]).unwrap();
    let failure = trainer(&other, 0.1).load_checkpoint(&file).unwrap_err().to_string();
    assert!(failure.contains("[3, 1]") && failure.contains("[2, 1]"), "{failure}");
    own.load_checkpoint(&file).unwrap();
    assert_ne!(own.variables().unwrap(), before);
}

#[test]
fn sources_that_fail_end_the_training_with_an_error() {
    let model = model();
    let make = |fault: &'static str| {
        move |positions: &[usize], _: u64| {
            let late = positions.contains(&7);
            let count = positions.len() - usize::from(late && fault == "short");
            if late && fault == "panic" {
                panic!("sample 7 is bad");
            }
            Ok(Batch {
                inputs: BTreeMap::from([("input_layer".into(), Tensor::full([count, 2], 0.5))]),
                targets: BTreeMap::from([("dense".into(), Tensor::full([count, 1], 0.5))]),
                sample_weights: None,
            })
        }
    };
    for (fault, said) in [("short", "asked for 4 samples"), ("panic", "sample 7 is bad")] {
        let mut trainer = trainer(&model, 0.1);
        let source = Generator::new(12, make(fault));
        let failure = trainer.fit(&source, &FitOptions::epochs(1).batch_size(4)).unwrap_err().to_string();
        assert!(failure.contains(said), "{failure}");
        let failure = trainer.evaluate(&source, 4, &[]).unwrap_err().to_string();
        assert!(failure.contains(said), "{failure}");
    }
}

#[test]
fn senseless_options_and_other_data_are_refused() {
    let model = model();
    let refused =
        |options: FitOptions| trainer(&model, 0.1).fit(&samples(&model, 4), &options).unwrap_err().to_string();
    let schedule = Schedule::PiecewiseConstantDecay { boundaries: vec![3], values: vec![0.1] };
    assert!(refused(FitOptions::epochs(1).schedule(schedule)).contains("between 2 values"));
    let plateau = ReduceOnPlateau { monitor: "loss".into(), factor: 1.5, ..ReduceOnPlateau::default() };
    assert!(refused(FitOptions { plateau: Some(plateau), ..FitOptions::epochs(1) }).contains("1.5"));
    let mut own = trainer(&model, 0.1);
    let (mut progress, options) = (Progress::default(), FitOptions { steps: Some(2), ..options() });
    run(&mut own, &model, &mut progress, &options);
    assert_eq!(progress.samples, 8);
    let few = samples(&model, 6);
    let options = FitOptions::epochs(2).batch_size(4);
    let failure = own.resume(&mut progress, &few, None, &options, &AtomicBool::new(false), &mut |_| {}).unwrap_err();
    assert!(failure.to_string().contains("8 samples into an epoch, and there are 6"), "{failure}");
}

#[test]
fn validation_is_not_augmented() {
    let model = Sequential::new()
        .add(Reshaping::Flatten(DataFormat::ChannelsLast))
        .add(Dense::new(1))
        .build([3, 5, 1])
        .unwrap();
    model.initialize(2);
    let x = Tensor::from_fn([20, 3, 5, 1], |i| (i as f32 * 0.7).sin());
    let plain = Arrays::new(&model, x, Tensor::full([20, 1], 0.3)).unwrap();
    let augmented = plain.clone().augmented(Augment { flip: true, shift: 2, ..Augment::default() });
    let ((_, plain), (_, augmented)) = (split(&plain, 0.5).unwrap(), split(&augmented, 0.5).unwrap());
    let positions = [0, 1, 2, 3];
    assert_ne!(plain.batch(&positions, 0).unwrap(), augmented.batch(&positions, 0).unwrap());
    let mut trainer = trainer(&model, 0.1);
    let metrics = [Metric::MeanAbsoluteError];
    assert_eq!(trainer.evaluate(&plain, 4, &metrics).unwrap(), trainer.evaluate(&augmented, 4, &metrics).unwrap());
}
