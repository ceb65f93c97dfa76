//! Models to files that other programs read.

mod keras;
pub mod onnx;
mod weights_h5;

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::error::{LayerError, TensorError};
use crate::import::onnx::OnnxError;
use crate::layers::Model;
use crate::tensor::{Tensor, write_safetensors};

/// A model could not be written.
#[derive(Debug, Error)]
pub enum ExportError {
    /// No file of this kind is written.
    #[error(
        "{}: models are written as .keras (the whole model, for Keras 3), .onnx (the whole model), .weights.h5 (weights in \
         Keras's order) or .safetensors (weights by name)",
        path.display()
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
    },
    /// The format cannot express a layer.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// ONNX has no ops that compute what some nodes do; all of them are listed.
    #[error("{}: ONNX cannot say: {}", path.display(), nodes.join("; "))]
    Onnx {
        /// The file.
        path: PathBuf,
        /// The nodes, and why.
        nodes: Vec<String>,
    },
    /// An ONNX model that was to be written makes no graph.
    #[error(transparent)]
    Import(#[from] OnnxError),
    /// A tensor file could not be written.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The file could not be written.
    #[error("{}: {what}; the file is as it was before", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
}

/// What can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Format {
    /// A `.keras` archive: configuration and weights, as `model.save` of Keras 3 writes it.
    #[serde(rename = "keras")]
    Keras,
    /// A `.onnx` file, written with the default [`onnx::OnnxOptions`].
    #[serde(rename = "onnx")]
    Onnx,
    /// A `.weights.h5` file, as `model.save_weights` of Keras 3 writes it.
    #[serde(rename = "weights.h5")]
    WeightsH5,
    /// A `.safetensors` file: weights by the names of [`Model::named_weights`].
    #[serde(rename = "safetensors")]
    Safetensors,
}

impl Format {
    /// The format that a file's ending asks for.
    ///
    /// # Errors
    /// [`ExportError::Unsupported`] for any other ending.
    pub fn of(path: &Path) -> Result<Format, ExportError> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let formats = [
            (".keras", Format::Keras),
            (".onnx", Format::Onnx),
            (".weights.h5", Format::WeightsH5),
            (".safetensors", Format::Safetensors),
        ];
        let found = formats.into_iter().find(|(ending, _)| name.ends_with(ending));
        found.map(|(_, format)| format).ok_or_else(|| ExportError::Unsupported { path: path.to_path_buf() })
    }
}

/// What became of a model.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// The format, by the file's ending.
    pub format: Format,
    /// What is not in the file as it is in the model.
    pub notes: Vec<String>,
}

/// Writes a model, by the file's ending: see [`Format`]. The same model gives the same bytes; the file is there as a whole or
/// not at all, and one that was there before is replaced.
///
/// # Errors
/// [`ExportError`] when the ending is another, the format cannot say what one of the model's layers computes (all of them are
/// named), or the file cannot be written.
pub fn write_model(path: &Path, model: &Model) -> Result<Written, ExportError> {
    let format = Format::of(path)?;
    let notes = match format {
        Format::Keras => keras::write_archive(path, model)?,
        Format::Onnx => onnx::write_onnx(path, model, &onnx::OnnxOptions::default())?,
        Format::WeightsH5 => keras::write_weights(path, model)?,
        Format::Safetensors => {
            let weights = model.named_weights().into_iter().map(|(name, weight)| (name, weight.get()));
            write_safetensors(path, &weights.collect::<Vec<(String, Tensor)>>(), Some(("format", "wgconv")))?;
            vec!["weights only; the model itself is not in the file".into()]
        }
    };
    Ok(Written { format, notes })
}

impl Model {
    /// Writes the model to a file: [`write_model`].
    ///
    /// # Errors
    /// As [`write_model`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Written, ExportError> {
        write_model(path.as_ref(), self)
    }
}
