//! Checkpoints: everything a training needs to go on as if it had never stopped, in one safetensors file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::fit::Progress;
use super::{Settings, Trainer};
use crate::error::TrainError;
use crate::tensor::{Tensor, read_safetensors, write_safetensors};

/// The key of the state in the file's header.
const KEY: &str = "wgconv.training";
/// The version of what is written under it.
const VERSION: u32 = 1;

/// What the names of the best epoch's variables begin with.
const BEST: &str = "best/";

/// What a checkpoint holds beside the tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    version: u32,
    settings: Settings,
    batches: u64,
    progress: Progress,
}

impl Trainer {
    /// Writes weights, what the optimizer keeps, and how far the training has come. The file is there as a whole or not at
    /// all. Its tensors are the model's weights by name beside those of the optimizer, so that it can be read as weights, too.
    ///
    /// # Errors
    /// [`TrainError`] when the device fails or the file cannot be written.
    pub fn save_checkpoint(&self, path: &Path, progress: &Progress) -> Result<(), TrainError> {
        let settings = self.settings().clone();
        let state = State { version: VERSION, settings, batches: self.batches(), progress: progress.clone() };
        let text = serde_json::to_string(&state).map_err(|e| wrong(path, e.to_string()))?;
        let best = progress.best_variables.iter().flatten();
        let best = best.map(|(name, tensor)| (format!("{BEST}{name}"), tensor.clone()));
        let tensors: Vec<(String, Tensor)> = self.variables()?.into_iter().chain(best).collect();
        Ok(write_safetensors(path, &tensors, Some((KEY, &text)))?)
    }

    /// Puts back what [`Trainer::save_checkpoint`] wrote and says how far that training had come. Going on gives the same
    /// bits as if it had never stopped.
    ///
    /// # Errors
    /// [`TrainError`] when the file is no checkpoint, or belongs to another model or other settings; nothing is changed then.
    pub fn load_checkpoint(&mut self, path: &Path) -> Result<Progress, TrainError> {
        let (tensors, texts) = read_safetensors(path)?;
        let text = texts.get(KEY).ok_or_else(|| wrong(path, "it holds tensors but no state of a training".into()))?;
        let state: State = serde_json::from_str(text)
            .map_err(|e| wrong(path, format!("its state of training cannot be read: {e}")))?;
        if state.version != VERSION {
            return Err(wrong(path, format!("it has version {} and this program reads {VERSION}", state.version)));
        }
        let differs = differences(&state.settings, self.settings());
        if !differs.is_empty() {
            return Err(wrong(path, format!("it was written with other settings: {}", differs.join("; "))));
        }
        let (mut own, mut best) = (BTreeMap::new(), BTreeMap::new());
        for (name, tensor) in tensors {
            match name.strip_prefix(BEST) {
                Some(name) => best.insert(name.to_string(), tensor),
                None => own.insert(name, tensor),
            };
        }
        let best = (!best.is_empty()).then_some(best);
        best.as_ref().map_or(Ok(()), |best| self.check_variables(best))?;
        self.set_variables(&own)?;
        self.set_batches(state.batches);
        let mut progress = state.progress;
        progress.best_variables = best;
        Ok(progress)
    }
}

/// The settings that must agree for a training to go on, where they do not.
fn differences(there: &Settings, here: &Settings) -> Vec<String> {
    let mut differs = Vec::new();
    let mut compare = |what: &str, a: String, b: String| {
        if a != b {
            differs.push(format!("{what} is {a} there and {b} here"));
        }
    };
    compare("the optimizer", format!("{:?}", there.optimizer.rule), format!("{:?}", here.optimizer.rule));
    compare("the average", format!("{:?}", there.optimizer.ema_momentum), format!("{:?}", here.optimizer.ema_momentum));
    compare("accumulation", there.accumulation.to_string(), here.accumulation.to_string());
    compare("the seed", there.seed.to_string(), here.seed.to_string());
    differs
}

fn wrong(path: &Path, what: String) -> TrainError {
    TrainError::File { path: path.to_path_buf(), what }
}
