//! The trainer: a model with its optimizer on a device, one batch at a time.

use std::collections::{BTreeMap, HashMap};

use super::step::{Pending, Step, Store};
use super::step_graph::{Phase, names, step_graph, variables};
use super::{Batch, Settings};
use crate::error::TrainError;
use crate::kernels::preferred;
use crate::layers::{Emitter, Model};
use crate::passes::FoldCache;
use crate::plan::plan;
use crate::session::{Device, Options, run_passes};
use crate::tensor::{Shape, Tensor};

/// A model in training on a device. Weights and what the optimizer keeps stay there; only losses, and predictions where they
/// are asked for, come back. [`Trainer::update_model`] gives the model its trained weights.
///
/// The same settings, data and device give the same bits, run after run.
///
/// ```
/// use wgconv::layers::*;
/// use wgconv::session::Device;
/// use wgconv::tensor::Tensor;
/// use wgconv::train::{Arrays, FitOptions, Loss, Optimizer, Settings, Trainer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let model = Sequential::new().add(Dense::new(1)).build([3])?;
/// let x = Tensor::from_fn([64, 3], |i| (i as f32 * 0.7).sin());
/// let y = Tensor::from_fn([64, 1], |i| ((3 * i) as f32 * 0.7).sin()); // the first of the three
/// let settings = Settings::new(&model, Loss::MeanSquaredError, Optimizer::adam().learning_rate(0.05));
/// let mut trainer = Trainer::new(&model, Device::auto(), settings)?;
/// let history = trainer.fit(&Arrays::new(&model, x, y)?, &FitOptions::epochs(20))?;
/// assert!(history.epochs[19].loss < 0.1 * history.epochs[0].loss);
/// # let folder = tempfile::tempdir()?;
/// model.save(folder.path().join("trained.keras"))?; // the model has its trained weights
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Trainer {
    model: Model,
    device: Device,
    options: Options,
    settings: Settings,
    store: Store,
    steps: HashMap<Key, Step>,
    batches: u64,
}

/// Phase, batch size, sample weights, predictions.
type Key = (Phase, usize, bool, bool);

/// What a batch came to.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchResult {
    /// The loss, penalties on weights included.
    pub loss: f32,
    /// The model's outputs by name, if they were asked for.
    pub predictions: BTreeMap<String, Tensor>,
}

impl BatchResult {
    /// The first output that the batch has a target for, as target and prediction: what metrics go by.
    pub fn measured<'a>(&'a self, targets: &'a BTreeMap<String, Tensor>) -> Option<(&'a Tensor, &'a Tensor)> {
        self.predictions.iter().find_map(|(name, prediction)| Some((targets.get(name)?, prediction)))
    }
}

/// A batch under way on the device.
pub struct Running {
    pending: Pending,
    key: Key,
    batch: u64,
}

impl Trainer {
    /// A trainer that starts from the model's present weights.
    ///
    /// # Errors
    /// [`TrainError`] when the settings do not fit the model, or memory runs out.
    pub fn new(model: &Model, device: Device, settings: Settings) -> Result<Trainer, TrainError> {
        Trainer::with_options(model, device, settings, Options::default())
    }

    /// As [`Trainer::new`], with options of compilation.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub fn with_options(
        model: &Model,
        device: Device,
        settings: Settings,
        options: Options,
    ) -> Result<Trainer, TrainError> {
        settings.check(model)?;
        let store = Store::new(&device, variables(model, &settings)?)?;
        Ok(Trainer { model: model.clone(), device, options, settings, store, steps: HashMap::new(), batches: 0 })
    }

    /// The model; its weights are those that training started from until [`Trainer::update_model`].
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Batches trained on so far.
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// Goes on counting from `batches`.
    pub fn set_batches(&mut self, batches: u64) {
        self.batches = batches;
    }

    /// Bytes on the device that training on batches of this size takes at its peak, variables included. Compiles the step.
    ///
    /// # Errors
    /// [`TrainError`] when the step cannot be compiled.
    pub fn peak_bytes(&mut self, batch: usize) -> Result<u64, TrainError> {
        let variables = self.store.bytes();
        Ok(variables + self.compiled((Phase::Train, batch, false, false))?.peak_bytes())
    }

    /// As [`Trainer::peak_bytes`], for a step that keeps everything for the way back: what [`Settings::segments`] saves from.
    ///
    /// # Errors
    /// [`TrainError`] when the step cannot be planned.
    pub fn peak_bytes_without_recomputing(&mut self, batch: usize) -> Result<u64, TrainError> {
        if self.settings.segments <= 1 {
            return self.peak_bytes(batch);
        }
        let Device::Gpu(gpu) = &self.device else { return Ok(self.store.bytes()) };
        let graph = step_graph(&self.model, &self.settings.clone().segments(1), batch, Phase::Train, false)?;
        let (graph, _) = run_passes(graph, Some(gpu.traits()), &self.options, &FoldCache::default())?;
        let plan = plan(&graph, gpu.traits(), |node, _| preferred(&node.op, gpu.traits()))?;
        Ok(self.store.bytes() + plan.peak_bytes())
    }

    /// The step of training on batches of this size, as it was compiled: for printing its plan or profiling it.
    ///
    /// # Errors
    /// [`TrainError`] when the step cannot be compiled.
    pub fn compiled_step(&mut self, batch: usize) -> Result<&crate::session::Compiled, TrainError> {
        Ok(self.compiled((Phase::Train, batch, false, false))?.compiled())
    }

    fn compiled(&mut self, key: Key) -> Result<&mut Step, TrainError> {
        let (phase, batch, weighted, predictions) = key;
        if !self.steps.contains_key(&key) {
            let graph = step_graph(&self.model, &self.settings, batch, phase, weighted)?;
            let step = Step::compile(&self.device, &self.options, graph, phase, &self.store, predictions)?;
            self.steps.insert(key, step);
        }
        self.steps.get_mut(&key).ok_or_else(|| TrainError::Setting { what: "a step was not kept".into() })
    }

    /// Trains on one batch at the optimizer's own learning rate.
    ///
    /// # Errors
    /// [`TrainError`] when the batch does not fit the model, the loss is not finite, or the device fails.
    pub fn train_batch(&mut self, batch: &Batch) -> Result<BatchResult, TrainError> {
        let running = self.start_batch(batch, self.settings.optimizer.learning_rate, false)?;
        self.finish(running)
    }

    /// Starts training on one batch and returns while the device works on it; the next batch can be started at once.
    ///
    /// # Errors
    /// As [`Trainer::train_batch`].
    pub fn start_batch(&mut self, batch: &Batch, learning_rate: f64, predictions: bool) -> Result<Running, TrainError> {
        let ready = (self.batches + 1).is_multiple_of(u64::from(self.settings.accumulation));
        let phase = if ready { Phase::Train } else { Phase::Accumulate };
        self.batches += 1;
        let mut data = self.data(batch, true)?;
        let rates = self.settings.optimizer.rates(self.batches, learning_rate);
        data.insert(names::RATES.into(), Tensor::from_fn([rates.len()], |i| rates[i]));
        // 24 bits are what an `f32` holds exactly.
        let part = |number: u64, part: u32| ((number >> (24 * part)) & 0xff_ffff) as f32;
        let key =
            [part(self.settings.seed, 0), part(self.settings.seed, 1), part(self.batches, 0), part(self.batches, 1)];
        data.insert(Emitter::KEY.into(), Tensor::from_fn([4], |i| key[i]));
        self.start(phase, batch, &data, predictions)
    }

    fn start(
        &mut self,
        phase: Phase,
        batch: &Batch,
        data: &BTreeMap<String, Tensor>,
        predictions: bool,
    ) -> Result<Running, TrainError> {
        let key = (phase, batch.len(), batch.sample_weights.is_some(), predictions);
        self.compiled(key)?;
        let (store, steps) = (&mut self.store, &mut self.steps);
        let step = steps.get_mut(&key).ok_or_else(|| TrainError::Setting { what: "a step was not kept".into() })?;
        Ok(Running { pending: step.start(store, data)?, key, batch: self.batches })
    }

    /// Waits for a batch.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] when the loss (or, with `check_numbers`, a gradient) is no finite number.
    pub fn finish(&mut self, running: Running) -> Result<BatchResult, TrainError> {
        let outputs = running.pending.wait()?;
        let number = |tensor: Option<&Tensor>| tensor.and_then(|tensor| tensor.f32s().ok()?.first().copied());
        let loss = number(outputs.get(names::LOSS)).unwrap_or(0.0);
        let norm = number(outputs.get(names::GRADIENT_NORM)).unwrap_or(0.0);
        if !loss.is_finite() || !norm.is_finite() {
            let first = match self.settings.check_numbers {
                true => self.first_bad_number(running.key)?,
                false => "`check_numbers` names the layer it comes from; a smaller learning rate or clipped gradients \
                          often help"
                    .into(),
            };
            return Err(TrainError::NotFinite { loss, step: running.batch, first });
        }
        Ok(BatchResult { loss, predictions: predictions(outputs) })
    }

    /// The node that first gave a number that is not finite in the last run of a step.
    fn first_bad_number(&mut self, key: Key) -> Result<String, TrainError> {
        let found = match self.steps.get_mut(&key) {
            Some(step) => step.first_bad_number(&self.store)?,
            None => None,
        };
        Ok(match found {
            Some(node) => format!("`{node}` is the first to give a number that is not finite"),
            None => "every node gave finite numbers when the step was run again".into(),
        })
    }

    /// The loss of a batch without training on it, and the model's outputs.
    ///
    /// # Errors
    /// [`TrainError`] when the batch does not fit the model, or the device fails.
    pub fn evaluate_batch(&mut self, batch: &Batch) -> Result<BatchResult, TrainError> {
        let data = self.data(batch, true)?;
        let running = self.start(Phase::Evaluate, batch, &data, true)?;
        let outputs = running.pending.wait()?;
        let loss = outputs.get(names::LOSS).and_then(|loss| loss.f32s().ok()?.first().copied()).unwrap_or(0.0);
        Ok(BatchResult { loss, predictions: predictions(outputs) })
    }

    /// The model's outputs for a batch.
    ///
    /// # Errors
    /// [`TrainError`] when the batch does not fit the model, or the device fails.
    pub fn predict_batch(&mut self, inputs: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, TrainError> {
        let batch = Batch { inputs: inputs.clone(), ..Batch::default() };
        let data = self.data(&batch, false)?;
        let running = self.start(Phase::Predict, &batch, &data, true)?;
        Ok(predictions(running.pending.wait()?))
    }

    /// A batch under the names of the graph's inputs, checked.
    fn data(&self, batch: &Batch, targets: bool) -> Result<BTreeMap<String, Tensor>, TrainError> {
        let wrong = |what: String| TrainError::Data { what };
        if batch.is_empty() {
            return Err(wrong("the batch is empty".into()));
        }
        let count = batch.len();
        let mut data = BTreeMap::new();
        for input in self.model.inputs() {
            let tensor = batch
                .inputs
                .get(&input.name)
                .ok_or_else(|| wrong(format!("the batch has no input `{}`", input.name)))?;
            let shape = self.settings.shapes.get(&input.name).cloned();
            let shape = shape.or_else(|| input.shape.iter().copied().collect());
            let fits = tensor.shape().first() == Some(&count)
                && shape.as_ref().is_none_or(|shape| tensor.shape()[1..] == shape[..]);
            if !fits {
                let (name, found) = (&input.name, tensor.shape());
                let expected = shape.map_or_else(
                    || "as many samples as the others".into(),
                    |shape| Shape::from([&[count][..], &shape].concat()).to_string(),
                );
                return Err(wrong(format!("input `{name}` is {found} where {expected} is expected")));
            }
            data.insert(input.name.clone(), tensor.to_f32());
        }
        if let Some(weights) = &batch.sample_weights {
            if weights.shape().to_vec() != [count] {
                return Err(wrong(format!("sample weights are {} where [{count}] is expected", weights.shape())));
            }
            data.insert(names::SAMPLE_WEIGHTS.into(), weights.to_f32());
        }
        for (output, (loss, _)) in self.settings.losses.iter().filter(|_| targets) {
            let target =
                batch.targets.get(output).ok_or_else(|| wrong(format!("the batch has no target `{output}`")))?;
            let tensor = self.model.outputs().iter().find(|(name, _)| name == output).map(|(_, tensor)| *tensor);
            let dims = tensor.map(|tensor| self.model.dims(tensor)).unwrap_or_default();
            // Open axes of a prediction follow from the target itself.
            let prediction: Vec<usize> = dims
                .iter()
                .enumerate()
                .map(|(axis, size)| match (axis, size) {
                    (0, _) => count,
                    (_, Some(size)) => *size,
                    (axis, None) => target.shape().get(axis).copied().unwrap_or(1),
                })
                .collect();
            let shape = loss.target_shape(&prediction);
            let fitted = target.to_f32().reshaped(shape.clone()).map_err(|_| {
                let hint = if loss.is_sparse() { " (numbers of classes)" } else { "" };
                wrong(format!("target `{output}` is {} where {shape:?}{hint} is expected", target.shape()))
            })?;
            if loss.is_sparse() {
                check_classes(output, &fitted, prediction.last().copied().unwrap_or(0))?;
            }
            data.insert(names::target(output), fitted);
        }
        Ok(data)
    }

    /// Everything that training changes, by name: weights, what the optimizer keeps for each, and averages.
    ///
    /// # Errors
    /// [`TrainError`] when the device fails.
    pub fn variables(&self) -> Result<BTreeMap<String, Tensor>, TrainError> {
        let names: Vec<String> = self.store.names().map(String::from).collect();
        names.into_iter().enumerate().map(|(index, name)| Ok((name, self.store.read(index)?))).collect()
    }

    /// Puts back what [`Trainer::variables`] gave.
    ///
    /// # Errors
    /// [`TrainError::Data`] when a variable is missing, unknown or of another shape; nothing is changed then.
    pub fn set_variables(&mut self, values: &BTreeMap<String, Tensor>) -> Result<(), TrainError> {
        self.store.write(values)
    }

    /// Refuses what [`Trainer::set_variables`] refuses.
    pub(super) fn check_variables(&self, values: &BTreeMap<String, Tensor>) -> Result<(), TrainError> {
        self.store.check(values)
    }

    /// Gives the model its trained weights (their moving averages, where the optimizer keeps some).
    ///
    /// # Errors
    /// [`TrainError`] when the device fails.
    pub fn update_model(&self) -> Result<(), TrainError> {
        self.store.update_weights()
    }
}

fn predictions(outputs: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    let own = |(name, tensor): (String, Tensor)| Some((name.strip_prefix("prediction/")?.to_string(), tensor));
    outputs.into_iter().filter_map(own).collect()
}

/// Classes outside the model's would silently count as no class at all.
fn check_classes(output: &str, target: &Tensor, classes: usize) -> Result<(), TrainError> {
    let values = target.f32s().unwrap_or_default();
    match values.iter().find(|&&class| class < 0.0 || class >= classes as f32 || class.fract() != 0.0) {
        Some(class) => Err(TrainError::Data {
            what: format!(
                "target `{output}` has the class {class}; the model has the classes 0 to {}",
                classes.max(1) - 1
            ),
        }),
        None => Ok(()),
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("batch", &self.batch).finish_non_exhaustive()
    }
}
