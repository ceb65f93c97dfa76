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
use crate::layers::{LayerRef, Model};
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
    let inner = config.get("config").unwrap_or(config);
    let by_layer = assign::match_layers(inner, file).or_else(|_| assign::match_layers(config, file))?;
    let mut stored = BTreeMap::new();
    for (layer_path, weights) in by_layer {
        stored.insert(layer_path.join("/"), weights);
    }
    let mut wrong = Vec::new();
    walk(model, "", &mut |name, layer| {
        let weights = stored.get(name).map_or(&[][..], Vec::as_slice);
        let expected = layer.weights();
        if weights.len() != expected.len() {
            wrong.push(format!("layer `{name}` has {} weights, the file {}", expected.len(), weights.len()));
            return;
        }
        for (weight, (_, array)) in expected.iter().zip(weights) {
            let set = Tensor::from_f32(array.shape.clone(), array.data.clone())
                .map_err(crate::error::LayerError::from)
                .and_then(|tensor| weight.set(tensor));
            if let Err(why) = set {
                wrong.push(why.to_string());
            }
        }
    });
    if wrong.is_empty() { Ok(()) } else { Err(ImportError::Weights { path: file.path.clone(), wrong }) }
}

/// Visits every layer that holds weights of its own, nested models included, under its name path.
fn walk(model: &Model, scope: &str, visit: &mut impl FnMut(&str, &LayerRef)) {
    for layer in model.layers() {
        let name = if scope.is_empty() { layer.name().to_string() } else { format!("{scope}/{}", layer.name()) };
        match layer.layer().as_model() {
            Some(nested) => walk(nested, &name, visit),
            None => visit(&name, layer),
        }
    }
}
