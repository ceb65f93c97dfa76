//! Weights alone from files, into a model that is there already.

use std::collections::BTreeMap;
use std::path::Path;

use super::{ImportError, keras, onnx};
use crate::layers::{InKeras, Model, Weight};
use crate::tensor::{Tensor, read_safetensors};

/// How a file's weights and a model's fit together. Names are those of [`Model::named_weights`]; in a file that names layers
/// only, a number stands for the weight.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct WeightReport {
    /// Weights that both have, in the same shape.
    pub loaded: Vec<String>,
    /// Weights of the model that the file lacks.
    pub missing: Vec<String>,
    /// Weights of the file that the model lacks.
    pub unexpected: Vec<String>,
    /// Weights that both have, and why they cannot be the same.
    pub mismatched: Vec<String>,
}

impl WeightReport {
    /// Whether every weight of the model is in the file and the other way round.
    pub fn complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }

    fn sentences(&self) -> Vec<String> {
        let missing = self.missing.iter().map(|name| format!("`{name}` of the model is not in the file"));
        let unexpected = self.unexpected.iter().map(|name| format!("`{name}` of the file is no weight of the model"));
        missing.chain(unexpected).chain(self.mismatched.iter().cloned()).collect()
    }
}

impl Model {
    /// Loads the weights of a `.safetensors` or `.onnx` file (by the names of [`Model::named_weights`]; the latter must have been
    /// written by this crate, for others name and lay out their weights otherwise) or of a `.keras`, `.h5` or `.weights.h5` file.
    /// Layers of these are found by name; where names differ or are not in the file, by class and order, as Keras does it.
    ///
    /// # Errors
    /// [`ImportError`] when the file cannot be read, or [`ImportError::Weights`] when a weight is missing, unexpected or of
    /// another shape. The model then is as it was.
    pub fn load_weights(&self, path: impl AsRef<Path>) -> Result<(), ImportError> {
        Pairing::of_file(self, path.as_ref())?.strict(path.as_ref())
    }

    /// As [`Model::load_weights`], for what fits, and says what does not.
    ///
    /// # Errors
    /// [`ImportError`] when the file cannot be read.
    pub fn load_matching_weights(&self, path: impl AsRef<Path>) -> Result<WeightReport, ImportError> {
        let pairing = Pairing::of_file(self, path.as_ref())?;
        pairing.set()?;
        Ok(pairing.report)
    }
}

/// Weights and what they become.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    pairs: Vec<(Weight, Tensor)>,
    report: WeightReport,
}

impl Pairing {
    fn of_file(model: &Model, path: &Path) -> Result<Pairing, ImportError> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
        match ending.as_str() {
            "safetensors" => {
                let (tensors, _) = read_safetensors(path)?;
                Ok(Pairing::by_weight(model, tensors))
            }
            "onnx" => Ok(Pairing::by_weight(model, onnx::read_weights(path)?)),
            "keras" | "h5" | "hdf5" => Pairing::of_keras(model, &keras::read(path)?),
            _ => Err(ImportError::Unsupported {
                path: path.to_path_buf(),
                what: "weights are read from .safetensors, .keras, .h5, .weights.h5 and .onnx files".into(),
            }),
        }
    }

    fn of_keras(model: &Model, file: &keras::KerasFile) -> Result<Pairing, ImportError> {
        // Files name Keras's layers. What Keras cannot express is in no such file, so that the model's own names do as well.
        let model = model.in_keras().map_or_else(|_| model.clone(), |InKeras { model, .. }| model);
        let ordered = || Ok(Pairing::by_layer(&model, keras::stored_by_name(&model.to_config(), file)?));
        let Some(config) = &file.config else { return ordered() };
        let named = Pairing::by_layer(&model, keras::stored_by_name(config, file)?);
        if named.report.complete() {
            return Ok(named);
        }
        let ordered: Result<Pairing, ImportError> = ordered();
        Ok(ordered.ok().filter(|ordered| ordered.report.complete()).unwrap_or(named))
    }

    /// Pairs weight by weight.
    fn by_weight(model: &Model, mut tensors: BTreeMap<String, Tensor>) -> Pairing {
        let mut pairing = Pairing::default();
        for (name, weight) in model.named_weights() {
            match tensors.remove(&name) {
                Some(tensor) => pairing.add(name, weight, tensor),
                None => pairing.report.missing.push(name),
            }
        }
        pairing.report.unexpected.extend(tensors.into_keys());
        pairing
    }

    /// Pairs layer by layer, weights in Keras's order.
    pub(super) fn by_layer(model: &Model, mut stored: BTreeMap<String, Vec<Tensor>>) -> Pairing {
        let mut pairing = Pairing::default();
        for (name, layer) in model.leaves() {
            let mut tensors = stored.remove(&name).unwrap_or_default().into_iter();
            for weight in layer.weights() {
                let name = format!("{name}/{}", weight.spec().name);
                match tensors.next() {
                    Some(tensor) => pairing.add(name, weight.clone(), tensor),
                    None => pairing.report.missing.push(name),
                }
            }
            let (known, more) = (layer.weights().len(), tensors.count());
            pairing.report.unexpected.extend((known..known + more).map(|number| format!("{name}/{number}")));
        }
        for (name, tensors) in stored {
            pairing.report.unexpected.extend((0..tensors.len()).map(|number| format!("{name}/{number}")));
        }
        pairing
    }

    fn add(&mut self, name: String, weight: Weight, tensor: Tensor) {
        let (own, given) = (&weight.spec().shape, tensor.tensor_type());
        if tensor.f32s().is_ok() && given.shape == *own {
            self.report.loaded.push(name);
            self.pairs.push((weight, tensor));
        } else {
            self.report.mismatched.push(format!("`{name}` is {given} in the file and {own} in the model"));
        }
    }

    /// Sets all weights, if all fit.
    pub(super) fn strict(&self, path: &Path) -> Result<(), ImportError> {
        match self.report.complete() {
            true => self.set(),
            false => Err(ImportError::Weights { path: path.to_path_buf(), wrong: self.report.sentences() }),
        }
    }

    fn set(&self) -> Result<(), ImportError> {
        self.pairs.iter().try_for_each(|(weight, tensor)| Ok(weight.set(tensor.clone())?))
    }
}
