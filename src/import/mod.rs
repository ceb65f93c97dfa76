//! Models and pictures from files.

mod bounds;
pub mod keras;
pub mod onnx;
mod picture;
mod preprocess;
mod refusal;
mod resample;
pub mod tflite;
mod weights;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use picture::{PictureInput, PreparedPicture, is_picture_name, picture_files, read_picture};
pub use preprocess::{ChannelOrder, Interpolation, Layout, PictureError, Preprocess, ResizeTo};
pub use weights::WeightReport;

use crate::error::{LayerError, TensorError};
use crate::layers::Model;

/// A model could not be read.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file is not what it should be.
    #[error(transparent)]
    File(#[from] keras::FileError),
    /// An ONNX model cannot be read.
    #[error(transparent)]
    Onnx(#[from] onnx::OnnxError),
    /// A TFLite model cannot be read.
    #[error(transparent)]
    Tflite(#[from] tflite::TfliteError),
    /// Stored weights and layers do not fit together.
    #[error(transparent)]
    Assign(#[from] keras::AssignError),
    /// A layer is not supported, or does not fit.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The file holds weights but no model.
    #[error(
        "{} holds weights only; give the whole model (`model.save(\"model.keras\")`), or build the model in Rust and use \
         `Model::load_weights`",
        path.display()
    )]
    NoModel {
        /// The file.
        path: PathBuf,
    },
    /// A tensor file cannot be read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Weights are missing or have other shapes.
    #[error("{}: {}", path.display(), wrong.join("; "))]
    Weights {
        /// The file.
        path: PathBuf,
        /// Everything that does not fit.
        wrong: Vec<String>,
    },
    /// A file of another kind.
    #[error("{}: {what}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What was expected.
        what: String,
    },
}

/// Reads a model, by the file's ending: `.keras` or `.h5` (`.hdf5`).
///
/// # Errors
/// [`ImportError`], naming the file, and what was wrong or is not supported.
pub fn read_model(path: &Path) -> Result<Model, ImportError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    match ending.as_str() {
        "keras" | "h5" | "hdf5" => keras::read_model(path),
        _ => Err(ImportError::Unsupported {
            path: path.to_path_buf(),
            what: "models are read from .keras and .h5 files; zoo models are named `zoo:NAME`".into(),
        }),
    }
}
