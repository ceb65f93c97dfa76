//! The MODEL argument: a Keras or ONNX file, or a zoo architecture.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;

use super::Failure;
use crate::graph::Graph;
use crate::import::onnx::{Given, OnnxModel, read_onnx};
use crate::import::{Layout, read_model};
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

impl Source {
    /// Names and shapes of the inputs, the batch first.
    pub(super) fn inputs(&self) -> Vec<(&str, Vec<Option<usize>>)> {
        match self {
            Source::Layers(model) => {
                let shape = |shape: &[Option<usize>]| [None].into_iter().chain(shape.iter().copied()).collect();
                model.inputs().iter().map(|input| (input.name.as_str(), shape(&input.shape))).collect()
            }
            Source::Onnx(model) => {
                model.inputs().iter().map(|input| (input.name.as_str(), input.shape.clone())).collect()
            }
        }
    }

    /// The order of axes that models of this kind have as a rule.
    pub(super) fn layout(&self) -> Layout {
        match self {
            Source::Layers(_) => Layout::Nhwc,
            Source::Onnx(_) => Layout::Nchw,
        }
    }

    /// The graph of a model with one input, for this shape of it (the batch first).
    pub(super) fn graph_for(&self, input: &str, shape: &[usize]) -> Result<Graph, Failure> {
        match self {
            Source::Layers(model) => {
                let (batch, rest) = shape.split_first().ok_or("an input has a batch axis")?;
                Ok(model.graph_for(*batch, &BTreeMap::from([(input.to_string(), rest.to_vec())]))?)
            }
            Source::Onnx(model) => {
                let given = BTreeMap::from([(input.to_string(), Given::Shape(shape.to_vec()))]);
                Ok(model.graph(&given)?.graph)
            }
        }
    }
}

impl ModelArg {
    /// Reads or builds a model of layers.
    pub(super) fn load(&self) -> Result<Model, Failure> {
        match self.source()? {
            Source::Layers(model) => Ok(*model),
            Source::Onnx(_) => Err(format!(
                "{}: an ONNX file has no layers; it can be summed up, run, checked, explained and timed",
                self.model
            )
            .into()),
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
