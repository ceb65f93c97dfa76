//! What is trained for, and how.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Clipping, Loss, Optimizer};
use crate::error::TrainError;
use crate::layers::Model;

/// What is trained for, and how (what Keras's `compile` takes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The loss of each output that has one, by the output's name, and its share of the whole.
    pub losses: BTreeMap<String, (Loss, f32)>,
    /// Seed of dropout and shuffling.
    pub seed: u64,
    /// Batches whose gradients are averaged before one step of the optimizer.
    pub accumulation: u32,
    /// Sizes of input axes that the model leaves open, by the input's name, the batch not counted.
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// Parts of the forward pass of which only the borders are kept for the way back, to save memory at the price of computing
    /// it twice; 1 keeps everything.
    pub segments: usize,
    /// Stop at the first number that is not finite and name the node that gave it. Every step is then waited for.
    pub check_numbers: bool,
}

impl Settings {
    /// One loss for all outputs of a model.
    pub fn new(model: &Model, loss: Loss, optimizer: Optimizer) -> Settings {
        let losses = model.outputs().iter().map(|(name, _)| (name.clone(), (loss, 1.0))).collect();
        Settings {
            optimizer,
            losses,
            seed: 0,
            accumulation: 1,
            shapes: BTreeMap::new(),
            segments: 1,
            check_numbers: false,
        }
    }

    /// With another seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Settings {
        Settings { seed, ..self }
    }

    /// Averages the gradients of `batches` batches before each step of the optimizer.
    #[must_use]
    pub fn accumulation(self, batches: u32) -> Settings {
        Settings { accumulation: batches, ..self }
    }

    /// Keeps only the borders of so many parts of the forward pass; the square root of the number of layers is a good start.
    #[must_use]
    pub fn segments(self, segments: usize) -> Settings {
        Settings { segments, ..self }
    }

    /// Names the node that first gives a number that is not finite.
    #[must_use]
    pub fn check_numbers(self, check_numbers: bool) -> Settings {
        Settings { check_numbers, ..self }
    }

    /// Checks the settings against a model.
    pub(super) fn check(&self, model: &Model) -> Result<(), TrainError> {
        let wrong = |what: String| Err(TrainError::Setting { what });
        if self.losses.is_empty() {
            return wrong("there is no loss; give one to at least one output".into());
        }
        if self.accumulation == 0 {
            return wrong("the gradients of 0 batches make no step; accumulate over 1 or more".into());
        }
        if !self.optimizer.learning_rate.is_finite() || self.optimizer.learning_rate < 0.0 {
            return wrong(format!("the learning rate is {}; it must be 0 or more", self.optimizer.learning_rate));
        }
        if let Some(momentum) = self.optimizer.ema_momentum.filter(|momentum| !(0.0..=1.0).contains(momentum)) {
            return wrong(format!("the average of the weights has a momentum of {momentum}; it must be from 0 to 1"));
        }
        if let Clipping::Value(bound) | Clipping::Norm(bound) | Clipping::GlobalNorm(bound) = self.optimizer.clipping
            && !(bound.is_finite() && bound > 0.0)
        {
            return wrong(format!("gradients would be clipped to {bound}; it must be above 0"));
        }
        match self.losses.keys().find(|name| !model.outputs().iter().any(|(output, _)| output == *name)) {
            Some(name) => {
                let names: Vec<String> = model.outputs().iter().map(|(output, _)| format!("`{output}`")).collect();
                wrong(format!(
                    "the model has no output `{name}` to give a loss to; its outputs are {}",
                    names.join(", ")
                ))
            }
            None => Ok(()),
        }
    }
}
