//! The MODEL argument: a Keras or ONNX file, or a zoo architecture.

use std::path::Path;

use clap::Args;

use super::Failure;
use crate::import::onnx::{OnnxModel, read_onnx};
use crate::import::read_model;
use crate::layers::Model;
use crate::zoo;

#[derive(Debug, Args)]
pub(super) struct ModelArg {
    /// A .keras, .h5 or .onnx file, or `zoo:NAME` with options, such as `zoo:mobilenet_v1?alpha=0.25&size=96`.
    #[arg(value_name = "MODEL")]
    pub model: String,
}

/// A model of layers, or a graph from a file without layers.
pub(super) enum Source {
    Layers(Box<Model>),
    Onnx(Box<OnnxModel>),
}

impl ModelArg {
    /// Reads or builds a model of layers.
    pub(super) fn load(&self) -> Result<Model, Failure> {
        match self.source()? {
            Source::Layers(model) => Ok(*model),
            Source::Onnx(_) => {
                Err(format!("{}: an ONNX file has no layers; it can be run, checked, explained and timed", self.model)
                    .into())
            }
        }
    }

    /// Reads or builds a model of any kind.
    pub(super) fn source(&self) -> Result<Source, Failure> {
        if let Some(name) = self.model.strip_prefix("zoo:") {
            return Ok(Source::Layers(Box::new(zoo::build(name)?)));
        }
        let path = Path::new(&self.model);
        match path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx")) {
            true => Ok(Source::Onnx(Box::new(read_onnx(path)?))),
            false => Ok(Source::Layers(Box::new(read_model(path)?))),
        }
    }
}
