//! The loop: epochs of batches, validation, and what happens in between.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::data::{Batch, DataSource, order};
use super::{BatchResult, Epoch, History, Measured, Metric, Running, Schedule, Trainer};
use crate::error::TrainError;
use crate::tensor::Tensor;

/// How a training runs (what Keras's `fit` takes).
#[derive(Debug, Clone)]
pub struct FitOptions {
    /// Epochs in all.
    pub epochs: u64,
    /// Samples of a batch; the last one of an epoch may have fewer.
    pub batch_size: usize,
    /// Go through the samples in another order in every epoch.
    pub shuffle: bool,
    /// Stop after so many batches in all.
    pub steps: Option<u64>,
    /// What is measured beside the loss, on the first output that has one.
    pub metrics: Vec<Metric>,
    /// The learning rate by step; the optimizer's own where there is none.
    pub schedule: Option<Schedule>,
    /// Multiply the learning rate when a number stops falling.
    pub plateau: Option<ReduceOnPlateau>,
    /// Stop when a number stops improving.
    pub early_stopping: Option<EarlyStopping>,
    /// Where to save the state, at the end and in between.
    pub checkpoint: Option<Checkpointing>,
}

impl FitOptions {
    /// So many epochs with Keras's defaults: batches of 32, shuffled.
    pub fn epochs(epochs: u64) -> FitOptions {
        FitOptions {
            epochs,
            batch_size: 32,
            shuffle: true,
            steps: None,
            metrics: Vec::new(),
            schedule: None,
            plateau: None,
            early_stopping: None,
            checkpoint: None,
        }
    }

    /// Batches of another size.
    #[must_use]
    pub fn batch_size(self, batch_size: usize) -> FitOptions {
        FitOptions { batch_size, ..self }
    }

    /// Measures beside the loss.
    #[must_use]
    pub fn metrics(self, metrics: &[Metric]) -> FitOptions {
        FitOptions { metrics: metrics.to_vec(), ..self }
    }

    /// Another learning rate in every step.
    #[must_use]
    pub fn schedule(self, schedule: Schedule) -> FitOptions {
        FitOptions { schedule: Some(schedule), ..self }
    }
}

/// Stops when a number stops improving (`keras.callbacks.EarlyStopping`).
#[derive(Debug, Clone, PartialEq)]
pub struct EarlyStopping {
    /// The number: `loss`, `val_loss` or a metric.
    pub monitor: String,
    /// Less of a change than this is no improvement.
    pub min_delta: f64,
    /// Epochs without improvement before it stops.
    pub patience: u64,
    /// Go back to the weights of the best epoch.
    pub restore_best: bool,
}

/// Multiplies the learning rate when a number stops improving (`keras.callbacks.ReduceLROnPlateau`).
#[derive(Debug, Clone, PartialEq)]
pub struct ReduceOnPlateau {
    /// The number: `loss`, `val_loss` or a metric.
    pub monitor: String,
    /// The factor (0.1).
    pub factor: f64,
    /// Epochs without improvement before it acts (10).
    pub patience: u64,
    /// Less of a change than this is no improvement (0.0001).
    pub min_delta: f64,
    /// The learning rate does not fall below this.
    pub min_rate: f64,
}

/// Saves the state of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpointing {
    /// The file, always the latest state.
    pub path: PathBuf,
    /// Also after every so many epochs; 0 for only at the end.
    pub every: u64,
    /// Also to a file of this name whenever a number is better than ever.
    pub best: Option<(PathBuf, String)>,
}

/// How far a training has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs finished.
    pub epoch: u64,
    /// Samples of the present epoch that are done.
    pub samples: usize,
    /// The epochs so far.
    pub history: History,
    /// Sum of the losses of the present epoch's samples.
    loss_sum: f64,
    measured: Vec<Measured>,
    stopping: Patience,
    plateau: Patience,
    best: Patience,
    /// What the learning rate has been multiplied with on plateaus.
    factor: Option<f64>,
}

/// The best value so far and the epochs since.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Patience {
    best: Option<f64>,
    waited: u64,
}

impl Patience {
    /// Whether `value` is better than all before.
    fn improved(&mut self, monitor: &str, value: f64, min_delta: f64) -> bool {
        let larger = larger_is_better(monitor);
        let better =
            self.best.is_none_or(|best| if larger { value - min_delta > best } else { value + min_delta < best });
        if better {
            self.best = Some(value);
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        better
    }
}

fn larger_is_better(monitor: &str) -> bool {
    let name = monitor.strip_prefix("val_").unwrap_or(monitor);
    Metric::parse(name).is_ok_and(Metric::larger_is_better)
}

/// What the loop tells while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// A batch is done.
    Batch {
        /// Epoch, from 1.
        epoch: u64,
        /// Samples of the epoch that are done, and all of them.
        samples: (usize, usize),
        /// Mean loss over the epoch so far.
        loss: f64,
        /// Metrics over the epoch so far.
        metrics: Vec<(String, f64)>,
        /// Samples per second in this epoch.
        samples_per_second: f64,
    },
    /// An epoch is done.
    Epoch(&'a Epoch),
    /// The learning rate was multiplied on a plateau.
    Plateau {
        /// What it is from here on.
        learning_rate: f64,
    },
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All epochs are done.
    Epochs,
    /// All steps are done.
    Steps,
    /// The monitored number stopped improving.
    EarlyStopping,
    /// It was asked to stop.
    Stopped,
}

/// A batch that the device works on.
struct Submitted {
    running: Running,
    samples: usize,
    targets: BTreeMap<String, Tensor>,
    weights: Option<Tensor>,
}

impl Trainer {
    /// Trains from the beginning. See [`Trainer::resume`].
    ///
    /// # Errors
    /// As [`Trainer::resume`].
    pub fn fit(&mut self, data: &dyn DataSource, options: &FitOptions) -> Result<History, TrainError> {
        let mut progress = Progress::default();
        self.resume(&mut progress, data, None, options, &AtomicBool::new(false), &mut |_| {})?;
        Ok(progress.history)
    }

    /// Trains from `progress` on until the end, and keeps `progress` up to date. `validation` is evaluated after every epoch;
    /// `stop` ends the training after the batch under way; `tell` hears how it goes.
    ///
    /// Batches are read on a thread of their own while the device works. The order of samples follows from the seed and the
    /// epoch, so that a training that was stopped and resumed gives the same bits as one that was not.
    ///
    /// # Errors
    /// [`TrainError`] when data cannot be read or does not fit, the loss is not finite, the device fails, or a checkpoint
    /// cannot be written.
    pub fn resume(
        &mut self,
        progress: &mut Progress,
        data: &dyn DataSource,
        validation: Option<&dyn DataSource>,
        options: &FitOptions,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<Ended, TrainError> {
        check(options, data, validation)?;
        let mut best = None;
        let ended = loop {
            if progress.epoch >= options.epochs {
                break Ended::Epochs;
            }
            if options.steps.is_some_and(|steps| self.batches() >= steps) {
                break Ended::Steps;
            }
            if let Some(ended) = self.epoch(progress, data, options, stop, tell, validation)? {
                break ended;
            }
            let Some(last) = progress.history.last().cloned() else { break Ended::Epochs };
            if let Some(plateau) = &options.plateau
                && let Some(value) = last.get(&plateau.monitor)
                && !progress.plateau.improved(&plateau.monitor, value, plateau.min_delta)
                && progress.plateau.waited >= plateau.patience
            {
                let factor = progress.factor.unwrap_or(1.0) * plateau.factor;
                progress.factor = Some(factor);
                progress.plateau.waited = 0;
                tell(Event::Plateau { learning_rate: (last.learning_rate * plateau.factor).max(plateau.min_rate) });
            }
            let mut stopped = false;
            if let Some(stopping) = &options.early_stopping
                && let Some(value) = last.get(&stopping.monitor)
            {
                if progress.stopping.improved(&stopping.monitor, value, stopping.min_delta) {
                    best = stopping.restore_best.then(|| self.variables()).transpose()?;
                }
                stopped = progress.stopping.waited >= stopping.patience.max(1);
            }
            if let Some(checkpoint) = &options.checkpoint {
                if checkpoint.every > 0 && progress.epoch % checkpoint.every == 0 {
                    self.save_checkpoint(&checkpoint.path, progress)?;
                }
                if let Some((path, monitor)) = &checkpoint.best
                    && let Some(value) = last.get(monitor)
                    && progress.best.improved(monitor, value, 0.0)
                {
                    self.save_checkpoint(path, progress)?;
                }
            }
            if stopped {
                break Ended::EarlyStopping;
            }
        };
        if ended == Ended::EarlyStopping
            && let Some(best) = best
        {
            self.set_variables(&best)?;
        }
        if let Some(checkpoint) = &options.checkpoint {
            self.save_checkpoint(&checkpoint.path, progress)?;
        }
        self.update_model()?;
        Ok(ended)
    }

    /// The rest of one epoch; says why the training ends in the middle of it, if it does.
    fn epoch(
        &mut self,
        progress: &mut Progress,
        data: &dyn DataSource,
        options: &FitOptions,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Event<'_>),
        validation: Option<&dyn DataSource>,
    ) -> Result<Option<Ended>, TrainError> {
        let epoch = progress.epoch;
        let order = order(data.len(), options.shuffle, self.settings().seed, epoch);
        if progress.samples == 0 {
            progress.loss_sum = 0.0;
            progress.measured = options.metrics.iter().map(|&metric| Measured::new(metric)).collect();
        }
        let positions = order.get(progress.samples..).unwrap_or_default();
        let started = (Instant::now(), progress.samples);
        let speed = |samples: usize| (samples - started.1) as f64 / started.0.elapsed().as_secs_f64().max(1e-9);
        let mut rate = self.settings().optimizer.learning_rate;
        let mut ended = None;
        std::thread::scope(|scope| -> Result<(), TrainError> {
            // Two batches ahead keep the device busy; more would only take memory.
            let (send, batches) = mpsc::sync_channel::<Result<Batch, TrainError>>(2);
            scope.spawn(move || {
                for chunk in positions.chunks(options.batch_size) {
                    // Nobody listens any more once the training has ended.
                    if send.send(data.batch(chunk, epoch)).is_err() {
                        break;
                    }
                }
            });
            let mut under_way: Option<Submitted> = None;
            let mut tell_batch = |trainer: &mut Trainer, submitted: Submitted, progress: &mut Progress| {
                let samples = submitted.samples;
                let result = trainer.finish(submitted.running)?;
                progress.samples += samples;
                progress.loss_sum += f64::from(result.loss) * samples as f64;
                for measured in &mut progress.measured {
                    for (output, prediction) in &result.predictions {
                        if let Some(target) = submitted.targets.get(output) {
                            measured.update(target, prediction, submitted.weights.as_ref())?;
                            break;
                        }
                    }
                }
                let loss = progress.loss_sum / progress.samples as f64;
                let metrics = progress.measured.iter().map(|m| (m.metric.name(), m.result())).collect();
                let samples = (progress.samples, data.len());
                tell(Event::Batch { epoch: epoch + 1, samples, loss, metrics, samples_per_second: speed(samples.0) });
                Ok::<(), TrainError>(())
            };
            for batch in batches.iter() {
                let batch = batch?;
                rate = self.rate(options, progress.factor);
                let running = self.start_batch(&batch, rate, !options.metrics.is_empty())?;
                let next =
                    Submitted { running, samples: batch.len(), targets: batch.targets, weights: batch.sample_weights };
                // The batch before is waited for while the device works on this one.
                let before = under_way.replace(next);
                if let Some(before) = before {
                    tell_batch(self, before, progress)?;
                }
                if self.settings().check_numbers
                    && let Some(own) = under_way.take()
                {
                    tell_batch(self, own, progress)?;
                }
                if options.steps.is_some_and(|steps| self.batches() >= steps) {
                    ended = Some(Ended::Steps);
                } else if stop.load(Ordering::Relaxed) {
                    ended = Some(Ended::Stopped);
                }
                if ended.is_some() {
                    break;
                }
            }
            drop(batches);
            under_way.take().map_or(Ok(()), |last| tell_batch(self, last, progress))
        })?;
        if progress.samples < data.len() {
            return Ok(ended);
        }
        let mut record = Epoch {
            epoch: epoch + 1,
            batches: self.batches(),
            loss: progress.loss_sum / data.len() as f64,
            metrics: progress.measured.iter().map(|measured| (measured.metric.name(), measured.result())).collect(),
            val_loss: None,
            learning_rate: rate,
            samples_per_second: speed(progress.samples),
        };
        if let Some(validation) = validation {
            let (loss, metrics) = self.evaluate(validation, options.batch_size, &options.metrics)?;
            record.val_loss = Some(loss);
            record.metrics.extend(metrics.into_iter().map(|(name, value)| (format!("val_{name}"), value)));
        }
        progress.epoch += 1;
        progress.samples = 0;
        tell(Event::Epoch(&record));
        progress.history.epochs.push(record);
        Ok(ended)
    }

    fn rate(&self, options: &FitOptions, factor: Option<f64>) -> f64 {
        let own = self.settings().optimizer.learning_rate;
        let rate = options.schedule.as_ref().map_or(own, |schedule| schedule.rate(self.batches()));
        match (factor, &options.plateau) {
            (Some(factor), Some(plateau)) => (rate * factor).max(plateau.min_rate.min(rate)),
            _ => rate,
        }
    }

    /// Loss and metrics on other data, in its own order.
    ///
    /// # Errors
    /// [`TrainError`] when data cannot be read or does not fit, or the device fails.
    pub fn evaluate(
        &mut self,
        data: &dyn DataSource,
        batch_size: usize,
        metrics: &[Metric],
    ) -> Result<(f64, BTreeMap<String, f64>), TrainError> {
        let mut measured: Vec<Measured> = metrics.iter().map(|&metric| Measured::new(metric)).collect();
        let mut sum = 0.0;
        self.evaluate_batches(data, batch_size, &mut |batch, result| {
            sum += f64::from(result.loss) * batch.len() as f64;
            for measured in &mut measured {
                let both = result.predictions.iter().find_map(|(name, p)| Some((batch.targets.get(name)?, p)));
                if let Some((target, prediction)) = both {
                    measured.update(target, prediction, batch.sample_weights.as_ref())?;
                }
            }
            Ok(())
        })?;
        let results = measured.iter().map(|measured| (measured.metric.name(), measured.result())).collect();
        Ok((sum / data.len().max(1) as f64, results))
    }

    /// Loss and predictions on other data, batch by batch in its own order.
    ///
    /// # Errors
    /// As [`Trainer::evaluate`], and what `seen` returns.
    pub fn evaluate_batches(
        &mut self,
        data: &dyn DataSource,
        batch_size: usize,
        seen: &mut dyn FnMut(&Batch, &BatchResult) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let positions: Vec<usize> = (0..data.len()).collect();
        for chunk in positions.chunks(batch_size.max(1)) {
            let batch = data.plain_batch(chunk)?;
            let result = self.evaluate_batch(&batch)?;
            seen(&batch, &result)?;
        }
        Ok(())
    }
}

fn check(options: &FitOptions, data: &dyn DataSource, validation: Option<&dyn DataSource>) -> Result<(), TrainError> {
    let wrong = |what: String| Err(TrainError::Setting { what });
    if data.is_empty() {
        return wrong("there are no samples to train on".into());
    }
    if options.batch_size == 0 {
        return wrong("a batch needs at least one sample".into());
    }
    let monitors = options.early_stopping.iter().map(|stopping| &stopping.monitor);
    let monitors = monitors.chain(options.plateau.iter().map(|plateau| &plateau.monitor));
    let best = options.checkpoint.iter().filter_map(|checkpoint| checkpoint.best.as_ref().map(|(_, monitor)| monitor));
    for monitor in monitors.chain(best) {
        let name = monitor.strip_prefix("val_").unwrap_or(monitor);
        let known = name == "loss" || options.metrics.iter().any(|metric| metric.name() == name);
        if !known || (name != monitor && validation.is_none()) {
            return wrong(format!("`{monitor}` is not measured; add its metric, or validation data"));
        }
    }
    Ok(())
}
