//! The loop: epochs of batches, validation, and what happens in between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::data::{Batch, DataSource, order, read_batch};
use super::{
    BatchResult, Checkpointing, EarlyStopping, Epoch, History, Measured, Metric, Patience, ReduceOnPlateau, Running,
    Schedule, Trainer, Verdict,
};
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
    /// The variables of the best epoch, where a training goes back to them. Checkpoints keep them as tensors.
    #[serde(skip)]
    pub(super) best_variables: Option<BTreeMap<String, Tensor>>,
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
        if progress.samples > 0 && progress.samples >= data.len() {
            let (done, count) = (progress.samples, data.len());
            let what =
                format!("the training stopped {done} samples into an epoch, and there are {count}; give the same data");
            return Err(TrainError::Setting { what });
        }
        let ended = loop {
            if progress.epoch >= options.epochs {
                break Ended::Epochs;
            }
            if options.early_stopping.as_ref().is_some_and(|stopping| stopping.stops(&progress.stopping)) {
                break Ended::EarlyStopping;
            }
            if options.steps.is_some_and(|steps| self.batches() >= steps) {
                break Ended::Steps;
            }
            let epoch = progress.epoch;
            let ended = self.epoch(progress, data, options, stop, tell, validation)?;
            // A training that ends with the last batch of an epoch decides what belongs to that epoch, too.
            if progress.epoch > epoch {
                self.end_epoch(progress, options, tell)?;
            }
            if let Some(ended) = ended {
                break ended;
            }
        };
        // What is saved is the state to go on from, which is not that of the best epoch.
        if let Some(checkpoint) = &options.checkpoint {
            self.save_checkpoint(&checkpoint.path, progress)?;
        }
        if matches!(ended, Ended::EarlyStopping | Ended::Epochs)
            && options.early_stopping.as_ref().is_some_and(|stopping| stopping.restore_best)
            && let Some(best) = &progress.best_variables
        {
            self.set_variables(best)?;
        }
        self.update_model()?;
        Ok(ended)
    }

    /// Decides what follows from the epoch that was recorded last.
    fn end_epoch(
        &mut self,
        progress: &mut Progress,
        options: &FitOptions,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TrainError> {
        let Some(last) = progress.history.last().cloned() else { return Ok(()) };
        if let Some(plateau) = &options.plateau
            && let Some(value) = last.get(&plateau.monitor)
            && plateau.observe(&mut progress.plateau, value, last.learning_rate)
        {
            progress.factor = Some(progress.factor.unwrap_or(1.0) * plateau.factor);
            tell(Event::Plateau { learning_rate: (last.learning_rate * plateau.factor).max(plateau.min_rate) });
        }
        if let Some(stopping) = &options.early_stopping
            && let Some(value) = last.get(&stopping.monitor)
            && stopping.observe(&mut progress.stopping, value) == Verdict::Best
        {
            progress.best_variables = stopping.restore_best.then(|| self.variables()).transpose()?;
        }
        if let Some(checkpoint) = &options.checkpoint {
            if checkpoint.is_due(progress.epoch) {
                self.save_checkpoint(&checkpoint.path, progress)?;
            }
            if let Some((path, monitor)) = &checkpoint.best
                && let Some(value) = last.get(monitor)
                && checkpoint.is_best(&mut progress.best, value)
            {
                self.save_checkpoint(path, progress)?;
            }
        }
        Ok(())
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
                    let batch = read_batch(chunk.len(), || data.batch(chunk, epoch));
                    if send.send(batch).is_err() {
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
                if let Some((target, prediction)) = result.measured(&submitted.targets) {
                    for measured in &mut progress.measured {
                        measured.update(target, prediction, submitted.weights.as_ref())?;
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
        self.evaluate_batches(data, batch_size, metrics, &mut |_, _| Ok(()))
    }

    /// As [`Trainer::evaluate`]; `seen` gets every batch with its loss and its predictions.
    ///
    /// # Errors
    /// As [`Trainer::evaluate`], and what `seen` returns.
    pub fn evaluate_batches(
        &mut self,
        data: &dyn DataSource,
        batch_size: usize,
        metrics: &[Metric],
        seen: &mut dyn FnMut(&Batch, &BatchResult) -> Result<(), TrainError>,
    ) -> Result<(f64, BTreeMap<String, f64>), TrainError> {
        if batch_size == 0 {
            return Err(TrainError::Setting { what: "a batch needs at least one sample".into() });
        }
        let mut measured: Vec<Measured> = metrics.iter().map(|&metric| Measured::new(metric)).collect();
        let mut sum = 0.0;
        let positions: Vec<usize> = (0..data.len()).collect();
        for chunk in positions.chunks(batch_size) {
            let batch = read_batch(chunk.len(), || data.plain_batch(chunk))?;
            let result = self.evaluate_batch(&batch)?;
            sum += f64::from(result.loss) * batch.len() as f64;
            if let Some((target, prediction)) = result.measured(&batch.targets) {
                for measured in &mut measured {
                    measured.update(target, prediction, batch.sample_weights.as_ref())?;
                }
            }
            seen(&batch, &result)?;
        }
        let results = measured.iter().map(|measured| (measured.metric.name(), measured.result())).collect();
        Ok((sum / data.len().max(1) as f64, results))
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
    options.schedule.as_ref().map_or(Ok(()), Schedule::check)?;
    if let Some(factor) = options.plateau.as_ref().map(|plateau| plateau.factor).filter(|f| !(0.0..1.0).contains(f)) {
        return wrong(format!("a factor of {factor} does not lower the learning rate; give one from 0 to below 1"));
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
