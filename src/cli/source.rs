//! The MODEL argument: a Keras file or a zoo architecture.

use std::path::Path;

use clap::Args;

use super::Failure;
use crate::import::read_model;
use crate::layers::Model;
use crate::zoo;

#[derive(Debug, Args)]
pub(super) struct ModelArg {
    /// A .keras or .h5 file, or `zoo:NAME` with options, such as `zoo:mobilenet_v1?alpha=0.25&size=96`.
    #[arg(value_name = "MODEL")]
    pub model: String,
}

impl ModelArg {
    /// Reads or builds the model.
    pub(super) fn load(&self) -> Result<Model, Failure> {
        match self.model.strip_prefix("zoo:") {
            Some(name) => Ok(zoo::build(name)?),
            None => Ok(read_model(Path::new(&self.model))?),
        }
    }
}
