//! Trains a depthwise-separable network on the 8x8 digits of scikit-learn and saves it for Keras and for `wgconv run`.
//!
//! ```sh
//! cargo run --release --example 01_digits
//! ```
//!
//! A random fifth of the 1,797 digits is the test set.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use wgconv::layers::{
    Activation, ActivationLayer, BatchNormalization, Conv2D, Dense, GlobalPooling2D, IntoLayer, Model, Noise, Padding,
    SeparableConv2D, Sequential,
};
use wgconv::session::Device;
use wgconv::tensor::read_npy;
use wgconv::train::{
    Arrays, Augment, Event, FitOptions, Loss, Metric, Optimizer, Progress, Schedule, Settings, Trainer, split,
};

/// A convolution, and two separable ones that halve the picture.
fn network() -> Result<Model, Box<dyn Error>> {
    let mut model = Sequential::new()
        .add(Conv2D::new(32, 3).padding(Padding::Same).use_bias(false))
        .add(BatchNormalization::new().momentum(0.9))
        .add(ActivationLayer::new(Activation::RELU));
    for (filters, strides) in [(64, 2), (96, 1), (96, 2)] {
        model = model
            .add(SeparableConv2D::new(filters, 3).strides(strides).padding(Padding::Same).use_bias(false))
            .add(BatchNormalization::new().momentum(0.9))
            .add(ActivationLayer::new(Activation::RELU));
    }
    let model = model
        .add(GlobalPooling2D::average())
        .add(Noise::dropout(0.3))
        .add(Dense::new(10).activation(Activation::SOFTMAX).named("digit"));
    Ok(model.build([8, 8, 1])?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data");
    let images = read_npy(&data.join("digits.images.npy"))?;
    let labels = read_npy(&data.join("digits.labels.npy"))?;
    let model = network()?;
    model.initialize(1);
    let (epochs, batch_size) = (30, 64);
    let plain = Arrays::new(&model, images, labels)?.scaled(1.0 / 16.0).shuffled(7);
    let moved = plain.clone().augmented(Augment { shift: 1, ..Augment::default() });
    let (training, _) = split(&moved, 360.0 / 1797.0)?;
    let (_, test) = split(&plain, 360.0 / 1797.0)?;
    let steps = epochs * 1437u64.div_ceil(batch_size as u64);
    let options = FitOptions::epochs(epochs)
        .batch_size(batch_size)
        .metrics(&[Metric::Accuracy])
        .schedule(Schedule::CosineDecay { initial: 8e-3, steps, alpha: 0.0, warmup: None });
    let loss = Loss::SparseCategoricalCrossentropy { from_logits: false };
    let settings = Settings::new(&model, loss, Optimizer::adamw().weight_decay(0.1)).seed(3);
    let device = Device::auto();
    println!("{} parameters, on {}", model.parameters(), device.name());
    let start = Instant::now();
    let mut trainer = Trainer::new(&model, device, settings)?;
    let mut progress = Progress::default();
    trainer.resume(&mut progress, &training, Some(&test), &options, &AtomicBool::new(false), &mut |event| {
        if let Event::Epoch(epoch) = event {
            println!(
                "epoch {:2}  loss {:.4}  accuracy {:.4}  test accuracy {:.4}  {:5.0} digits per second",
                epoch.epoch,
                epoch.loss,
                epoch.metrics["accuracy"],
                epoch.metrics["val_accuracy"],
                epoch.samples_per_second
            );
        }
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let accuracy = progress.history.last().map_or(0.0, |epoch| epoch.metrics["val_accuracy"]);
    println!("{:.2}% of the test digits are read correctly after {seconds:.0} s", accuracy * 100.0);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/examples/digits");
    std::fs::create_dir_all(&folder)?;
    model.save(folder.join("digits.keras"))?;
    progress.history.write_plot(&folder.join("digits.svg"))?;
    println!("saved {} and {}", folder.join("digits.keras").display(), folder.join("digits.svg").display());
    if accuracy < 0.98 {
        return Err("fewer than 98% of the test digits are read correctly".into());
    }
    Ok(())
}
