//! `wgconv train`: trains a model on arrays or a folder of pictures.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::{ArgAction, Args};
use serde_json::json;

use super::samples::{MeasureArgs, SampleArgs};
use super::source::ModelArg;
use super::{Failure, OnDevice, Output, Stored, count, make_folders, progress};
use crate::export::Format;
use crate::import::Preprocess;
use crate::layers::Model;
use crate::train::{
    Augment, Checkpointing, Clipping, DataSource, EarlyStopping, Ended, Event, FitOptions, Optimizer, Progress,
    ReduceOnPlateau, Schedule, Settings, Trainer, split,
};

#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    samples: SampleArgs,
    /// Share of the samples, the last ones, that is kept for validation.
    #[arg(long, value_name = "F", conflicts_with_all = ["x_val", "y_val"])]
    validation_split: Option<f64>,
    /// Inputs of validation samples.
    #[arg(long, value_name = "[NAME=]FILE.npy", requires = "y_val")]
    x_val: Vec<String>,
    /// Targets of validation samples.
    #[arg(long, value_name = "[NAME=]FILE.npy", requires = "x_val")]
    y_val: Vec<String>,
    #[command(flatten)]
    goal: GoalArgs,
    #[command(flatten)]
    way: WayArgs,
    /// Seed of shuffling and dropout.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Draw all weights anew from this seed before training.
    #[arg(long, value_name = "SEED")]
    initialize: Option<u64>,
    /// Layers whose weights stay as they are.
    #[arg(long, value_name = "LAYER")]
    freeze: Vec<String>,
    #[command(flatten)]
    device: OnDevice,
    #[command(flatten)]
    stored: Stored,
    /// Where to save the state of the training, after every epoch and at the end.
    #[arg(long, value_name = "FILE.safetensors")]
    checkpoint: Option<PathBuf>,
    /// Where to save the state whenever the validation loss (without validation, the loss) is lower than ever.
    #[arg(long, value_name = "FILE.safetensors", requires = "checkpoint")]
    checkpoint_best: Option<PathBuf>,
    /// Go on from a checkpoint as if the training had never stopped.
    #[arg(long, value_name = "FILE.safetensors")]
    resume: Option<PathBuf>,
    /// Where to write one JSON object per epoch.
    #[arg(long, value_name = "FILE.json")]
    history: Option<PathBuf>,
    /// Where to write one line per epoch, separated by commas.
    #[arg(long, value_name = "FILE.csv")]
    csv: Option<PathBuf>,
    /// Where to draw losses and metrics.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Where to save the trained model (.keras) or its weights (.weights.h5, .safetensors).
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// What is optimized, and by what.
#[derive(Debug, Args)]
struct GoalArgs {
    #[command(flatten)]
    measure: MeasureArgs,
    /// The optimizer: sgd, adam, adamw, adamax, nadam, rmsprop, adagrad or lion.
    #[arg(long, default_value = "adam", value_name = "NAME")]
    optimizer: String,
    /// The learning rate; as a rule the optimizer's own.
    #[arg(long, value_name = "X")]
    learning_rate: Option<f64>,
    /// Share of the last step that sgd and rmsprop keep.
    #[arg(long, value_name = "X")]
    momentum: Option<f32>,
    /// Nesterov's momentum, for sgd.
    #[arg(long, requires = "momentum")]
    nesterov: bool,
    /// Share of each weight, times the learning rate, that decays with every step.
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// Clip every element of a gradient.
    #[arg(long, value_name = "X", conflicts_with_all = ["clipnorm", "global_clipnorm"])]
    clipvalue: Option<f32>,
    /// Clip the norm of each gradient.
    #[arg(long, value_name = "X", conflicts_with = "global_clipnorm")]
    clipnorm: Option<f32>,
    /// Clip the norm of all gradients together.
    #[arg(long, value_name = "X")]
    global_clipnorm: Option<f32>,
    /// Train with a moving average of the weights of this momentum; the average is what is saved.
    #[arg(long, value_name = "X")]
    ema: Option<f32>,
}

/// How long, and in what steps.
#[derive(Debug, Args)]
struct WayArgs {
    /// Epochs in all.
    #[arg(long, default_value_t = 1, value_name = "N")]
    epochs: u64,
    /// Samples of a batch.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = count)]
    batch_size: usize,
    /// Stop after so many batches.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Go through the samples in another order in every epoch.
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "true|false")]
    shuffle: bool,
    /// Average the gradients of so many batches before each step.
    #[arg(long, default_value_t = 1, value_name = "N")]
    accumulate: u32,
    /// Let the learning rate fall to 0 along half a cosine over all epochs.
    #[arg(long)]
    cosine: bool,
    /// Stop when the validation loss (without validation, the loss) has not fallen for so many epochs, and go back to the best.
    #[arg(long, value_name = "EPOCHS")]
    early_stopping: Option<u64>,
    /// Multiply the learning rate with 0.1 when the validation loss (without validation, the loss) has not fallen for so many epochs.
    #[arg(long, value_name = "EPOCHS")]
    reduce_on_plateau: Option<u64>,
    /// Mirror half of the pictures in every epoch.
    #[arg(long)]
    flip: bool,
    /// Move pictures by up to so many pixels in every epoch.
    #[arg(long, default_value_t = 0, value_name = "PIXELS")]
    shift: usize,
    /// Save memory: keep only the borders of so many parts of the forward pass and compute the rest twice.
    #[arg(long, default_value_t = 1, value_name = "PARTS", value_parser = count)]
    segments: usize,
    /// Stop at the first number that is not finite and name the layer that gave it; slower.
    #[arg(long)]
    check_numbers: bool,
}

impl GoalArgs {
    fn optimizer(&self) -> Result<Optimizer, Failure> {
        let mut optimizer = Optimizer::parse(&self.optimizer)?;
        if let Some(momentum) = self.momentum {
            optimizer = optimizer.with_momentum(momentum, self.nesterov)?;
        }
        let rate = self.learning_rate.unwrap_or(optimizer.learning_rate);
        let decay = self.weight_decay.unwrap_or(optimizer.weight_decay);
        let clipping = match (self.clipvalue, self.clipnorm, self.global_clipnorm) {
            (Some(bound), ..) => Clipping::Value(bound),
            (_, Some(bound), _) => Clipping::Norm(bound),
            (.., Some(bound)) => Clipping::GlobalNorm(bound),
            _ => Clipping::None,
        };
        let optimizer = optimizer.learning_rate(rate).weight_decay(decay).clipping(clipping);
        Ok(self.ema.map_or(optimizer, |momentum| optimizer.ema(momentum)))
    }
}

pub(super) fn run(args: &TrainArgs) -> Result<ExitCode, Failure> {
    // A wrong ending or name should not show itself after large files have been read, or after hours.
    args.save.as_deref().map(Format::of).transpose()?;
    let (loss, optimizer) = (args.goal.measure.loss()?, args.goal.optimizer()?);
    args.goal.measure.metrics()?;
    let files = [&args.save, &args.checkpoint, &args.checkpoint_best, &args.history, &args.csv, &args.plot];
    make_folders(files.into_iter().flatten().map(PathBuf::as_path))?;
    let model = args.model.load()?;
    args.initialize.into_iter().for_each(|seed| model.initialize(seed));
    for name in &args.freeze {
        model.get_layer(name).ok_or_else(|| format!("the model has no layer `{name}` to freeze"))?.set_trainable(false);
    }
    let augment = Augment { flip: args.way.flip, shift: args.way.shift, normalize: None, seed: args.seed };
    let (all, preprocess) = args.samples.open(&args.model.model, &model, loss, augment)?;
    let parts = args.validation_split.map(|share| split(all.as_ref(), share)).transpose()?;
    let other = match args.x_val.is_empty() {
        true => None,
        false => Some(args.samples.open_other(&model, &args.x_val, &args.y_val)?),
    };
    let (training, validation): (&dyn DataSource, Option<&dyn DataSource>) = match &parts {
        Some((training, validation)) => (training, Some(validation)),
        None => (all.as_ref(), other.as_deref()),
    };
    let settings = Settings::new(&model, loss, optimizer)
        .seed(args.seed)
        .accumulation(args.way.accumulate)
        .segments(args.way.segments)
        .check_numbers(args.way.check_numbers);
    let device = args.device.open()?;
    let mut trainer = Trainer::with_options(&model, device, settings, args.stored.options())?;
    let options = options(args, training.len(), validation.is_some())?;
    let mut so_far = match &args.resume {
        Some(path) => trainer.load_checkpoint(path)?,
        None => Progress::default(),
    };
    let batch = args.way.batch_size.min(training.len()).max(1);
    let peak_bytes = (trainer.peak_bytes(batch)?, trainer.peak_bytes_without_recomputing(batch)?);
    let start = Instant::now();
    let stop = stop_on_interrupt();
    let ended = follow(&mut trainer, &mut so_far, training, validation, &options, &stop)?;
    let history = &so_far.history;
    args.history.as_deref().map_or(Ok(()), |path| history.write_json_lines(path))?;
    args.csv.as_deref().map_or(Ok(()), |path| history.write_csv(path))?;
    if let Some(path) = args.plot.as_deref().filter(|_| !history.epochs.is_empty()) {
        history.write_plot(path)?;
    }
    let saved = args.save.as_ref().map(|path| model.save(path)).transpose()?;
    let keras = args.save.as_ref().filter(|path| path.extension().is_some_and(|ending| ending == "keras"));
    if let (Some(path), Some(preprocess)) = (keras, preprocess) {
        // Pictures then go into the trained model as they went into its training.
        preprocess.write(&Preprocess::path_beside(path))?;
    }
    report(args, &model, &trainer, &so_far, ended, peak_bytes, start.elapsed().as_secs_f64())?;
    saved.iter().flat_map(|saved| &saved.notes).for_each(|note| log::warn!("{note}"));
    // What a shell expects of a program that an interrupt ended.
    Ok(if ended == Ended::Stopped { ExitCode::from(130) } else { ExitCode::SUCCESS })
}

fn options(args: &TrainArgs, samples: usize, validated: bool) -> Result<FitOptions, Failure> {
    let way = &args.way;
    let schedule = match way.cosine {
        true => {
            let steps = way.steps.unwrap_or(way.epochs * (samples as u64).div_ceil(way.batch_size.max(1) as u64));
            let initial = args.goal.optimizer()?.learning_rate;
            Some(Schedule::CosineDecay { initial, steps, alpha: 0.0, warmup: None })
        }
        false => None,
    };
    let monitor = if validated { "val_loss" } else { "loss" };
    let early_stopping = way.early_stopping.map(|patience| EarlyStopping {
        monitor: monitor.into(),
        patience,
        restore_best: true,
        ..EarlyStopping::default()
    });
    let plateau = way.reduce_on_plateau.map(|patience| ReduceOnPlateau {
        monitor: monitor.into(),
        patience,
        ..ReduceOnPlateau::default()
    });
    Ok(FitOptions {
        epochs: way.epochs,
        batch_size: way.batch_size,
        shuffle: way.shuffle,
        steps: way.steps,
        metrics: args.goal.measure.metrics()?,
        schedule,
        plateau,
        early_stopping,
        checkpoint: args.checkpoint.clone().map(|path| Checkpointing {
            path,
            every: 1,
            best: args.checkpoint_best.clone().map(|path| (path, monitor.to_string())),
        }),
    })
}

/// A flag that the first Ctrl-C sets; the second one ends the program.
fn stop_on_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let handled = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("wgconv: stopping after this batch; once more to stop at once");
    });
    if let Err(why) = handled {
        log::warn!("Ctrl-C will not save anything: {why}");
    }
    stop
}

/// Trains with a bar that shows how it goes.
fn follow(
    trainer: &mut Trainer,
    progress: &mut Progress,
    training: &dyn DataSource,
    validation: Option<&dyn DataSource>,
    options: &FitOptions,
    stop: &AtomicBool,
) -> Result<Ended, Failure> {
    let bar = progress::bar("training");
    let ended = trainer.resume(progress, training, validation, options, stop, &mut |event| match event {
        Event::Batch { epoch, samples, loss, metrics, samples_per_second } => {
            bar.set_length(samples.1 as u64);
            bar.set_position(samples.0 as u64);
            let metrics: String = metrics.iter().map(|(name, value)| format!("  {name} {value:.4}")).collect();
            let epochs = options.epochs;
            bar.set_message(format!("epoch {epoch}/{epochs}  loss {loss:.4}{metrics}  {samples_per_second:.0}/s"));
        }
        Event::Epoch(epoch) => bar.println(line(epoch)),
        Event::Plateau { learning_rate } => bar.println(format!("the learning rate falls to {learning_rate:e}")),
    });
    bar.finish_and_clear();
    Ok(ended?)
}

fn line(epoch: &crate::train::Epoch) -> String {
    let validated = epoch.val_loss.map_or_else(String::new, |loss| format!("  val_loss {loss:.6}"));
    let metrics: String = epoch.metrics.iter().map(|(name, value)| format!("  {name} {value:.4}")).collect();
    format!("epoch {:>3}  loss {:.6}{validated}{metrics}", epoch.epoch, epoch.loss)
}

fn report(
    args: &TrainArgs,
    model: &Model,
    trainer: &Trainer,
    progress: &Progress,
    ended: Ended,
    peak_bytes: (u64, u64),
    seconds: f64,
) -> Result<(), Failure> {
    let mut text = format!(
        "{} on {}: {} parameters, {:.1} MB at the peak of a step{}\n",
        args.model.model,
        trainer.device().name(),
        model.parameters(),
        peak_bytes.0 as f64 / 1e6,
        match args.way.segments {
            0 | 1 => String::new(),
            segments => format!(" in {segments} segments instead of {:.1} MB", peak_bytes.1 as f64 / 1e6),
        }
    );
    for epoch in &progress.history.epochs {
        writeln!(text, "{}", line(epoch))?;
    }
    let why = match ended {
        Ended::Epochs => "all epochs are done",
        Ended::Steps => "all steps are done",
        Ended::EarlyStopping => "the loss has stopped falling",
        Ended::Stopped => "it was interrupted",
    };
    writeln!(text, "{} batches in {seconds:.1} s; {why}", trainer.batches())?;
    let files = [&args.save, &args.checkpoint, &args.history, &args.csv, &args.plot];
    for file in files.into_iter().flatten() {
        writeln!(text, "wrote {}", file.display())?;
    }
    let json = json!({
        "model": args.model.model,
        "device": trainer.device().name(),
        "parameters": model.parameters(),
        "peak_bytes": peak_bytes.0,
        "peak_bytes_without_recomputing": peak_bytes.1,
        "batches": trainer.batches(),
        "seconds": seconds,
        "ended": ended,
        "epochs": progress.history.epochs,
        "saved": args.save,
    });
    args.output.print(&text, &json)
}
