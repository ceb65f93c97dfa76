//! Reads models and weights that Keras wrote.

pub mod archive;
pub mod array;
pub mod assign;
mod config;
pub mod h5;
pub mod stored;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

pub use archive::{Error as FileError, Format, KerasFile, read};
pub use assign::Error as AssignError;

use super::ImportError;
use super::weights::Pairing;
use crate::layers::Model;
use crate::tensor::Tensor;

/// Reads a model with its weights from a `.keras` file or a legacy `.h5` file.
///
/// # Errors
/// [`ImportError`] when the file is damaged or holds weights only, a layer or key is not supported (named), or weights and
/// layers do not fit together.
pub fn read_model(path: &Path) -> Result<Model, ImportError> {
    let file = read(path)?;
    let config = file.config.as_ref().ok_or_else(|| ImportError::NoModel { path: path.to_path_buf() })?;
    let model = Model::from_config(config)?;
    assign_weights(&model, config, &file)?;
    Ok(model)
}

/// Gives a model that was built by hand, or from the same configuration, the weights of a file.
///
/// `config` is the configuration that the file's weights belong to.
///
/// # Errors
/// [`ImportError`] when weights and layers do not fit together, naming them.
pub fn assign_weights(model: &Model, config: &Value, file: &KerasFile) -> Result<(), ImportError> {
    Pairing::by_layer(model, stored_by_name(config, file)?).strict(&file.path)
}

/// The stored weights of each layer, under the names that a configuration gives: those of the models around it and its own,
/// joined by `/`.
pub(super) fn stored_by_name(config: &Value, file: &KerasFile) -> Result<BTreeMap<String, Vec<Tensor>>, ImportError> {
    let inner = config.get("config").unwrap_or(config);
    let by_layer = assign::match_layers(inner, file).or_else(|_| assign::match_layers(config, file))?;
    let mut stored = BTreeMap::new();
    for (path, weights) in by_layer {
        let tensors = weights.into_iter().map(|(_, array)| Tensor::from_f32(array.shape.clone(), array.data.clone()));
        stored.insert(path.join("/"), tensors.collect::<Result<Vec<Tensor>, _>>()?);
    }
    Ok(stored)
}
