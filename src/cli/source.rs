//! The MODEL argument: a Keras, ONNX or TFLite file, or a zoo architecture.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;

use super::Failure;
use crate::graph::Graph;
use crate::import::onnx::{Elem, Given, HostTensor, OnnxGraph, OnnxModel, read_onnx};
use crate::import::tflite::{TfliteModel, read_tflite};
use crate::import::{Layout, read_model};
use crate::layers::Model;
use crate::tensor::{Precision, Tensor};
use crate::zoo;

#[derive(Debug, Args)]
pub(super) struct ModelArg {
    /// A .keras, .h5, .onnx or .tflite file, or `zoo:NAME` with options, such as `zoo:mobilenet_v1?alpha=0.25&size=96`.
    #[arg(value_name = "MODEL")]
    pub model: String,
}

/// What a model is read as: by the ending of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Layers,
    Onnx,
    Tflite,
}

/// A model of layers, or a graph from a file without layers.
pub(super) enum Source {
    Layers(Box<Model>),
    Onnx(Box<OnnxModel>),
    Tflite(Box<TfliteModel>),
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
            Source::Tflite(model) => {
                model.inputs().iter().map(|input| (input.name.as_str(), input.shape.clone())).collect()
            }
        }
    }

    /// The order of axes that models of this kind have as a rule.
    pub(super) fn layout(&self) -> Layout {
        match self {
            Source::Layers(_) | Source::Tflite(_) => Layout::Nhwc,
            Source::Onnx(_) => Layout::Nchw,
        }
    }

    /// The graph for inputs of these shapes (the batch first), and for what is known of their elements. It will be stored with
    /// a precision, which must be enough for it.
    pub(super) fn graph(
        &self,
        shapes: &BTreeMap<String, Vec<usize>>,
        known: &BTreeMap<String, Tensor>,
        precision: Precision,
    ) -> Result<Graph, Failure> {
        match self {
            Source::Layers(model) => {
                let batch = shapes.values().find_map(|shape| shape.first()).copied().unwrap_or(1);
                let rest = shapes.iter().map(|(name, shape)| (name.clone(), shape[1.min(shape.len())..].to_vec()));
                Ok(model.graph_for(batch, &rest.collect())?)
            }
            Source::Onnx(model) => {
                let mut given: BTreeMap<String, Given> =
                    shapes.iter().map(|(name, shape)| (name.clone(), Given::Shape(shape.clone()))).collect();
                for input in model.inputs() {
                    let Some(tensor) = known.get(&input.name) else { continue };
                    let values = tensor.f32s()?.iter().map(|&value| f64::from(value)).collect();
                    let host = HostTensor::from_f64(tensor.shape().to_vec(), input.elem, values);
                    let host = host.map_err(|what| format!("input `{}`: {what}", input.name))?;
                    given.insert(input.name.clone(), Given::Tensor(host));
                }
                let graph = onnx_graph(model, given)?;
                graph.notes.iter().for_each(|note| log::warn!("{note}"));
                Ok(graph.stored_as(precision)?)
            }
            Source::Tflite(model) => Ok(model.graph(shapes)?),
        }
    }
}

/// The graph. Integers that `f32` holds exactly, pictures above all, go in when it runs unless an op must know them before.
fn onnx_graph(model: &OnnxModel, given: BTreeMap<String, Given>) -> Result<OnnxGraph, Failure> {
    let small = |given: &Given| match given {
        Given::Tensor(tensor) if matches!(tensor.elem, Elem::U8 | Elem::I8 | Elem::U16 | Elem::I16 | Elem::Bool) => {
            Given::Shape(tensor.shape.clone())
        }
        other => other.clone(),
    };
    let later: BTreeMap<String, Given> = given.iter().map(|(name, given)| (name.clone(), small(given))).collect();
    if later != given
        && let Ok(graph) = model.graph(&later)
    {
        return Ok(graph);
    }
    Ok(model.graph(&given)?)
}

impl ModelArg {
    /// Reads or builds a model of layers.
    pub(super) fn load(&self) -> Result<Model, Failure> {
        self.needs_layers()?;
        match self.source()? {
            Source::Layers(model) => Ok(*model),
            Source::Onnx(_) | Source::Tflite(_) => Err(format!("{}: the file has no layers", self.model).into()),
        }
    }

    /// Fails for a file without layers, before it is read.
    pub(super) fn needs_layers(&self) -> Result<(), Failure> {
        let can = match self.kind() {
            Kind::Layers => return Ok(()),
            Kind::Onnx => {
                "`summary`, `run`, `check`, `explain`, `tune` and `bench` take it, and `convert` makes .onnx and .safetensors of it"
            }
            Kind::Tflite => "`summary`, `run`, `check`, `explain`, `tune` and `bench` take it",
        };
        Err(format!("{}: an ONNX or TFLite file has no layers, and layers are needed here; {can}", self.model).into())
    }

    /// What the argument names.
    pub(super) fn kind(&self) -> Kind {
        let ending = Path::new(&self.model).extension().map(|ending| ending.to_ascii_lowercase()).unwrap_or_default();
        match ending.to_str() {
            Some(_) if self.model.starts_with("zoo:") => Kind::Layers,
            Some("onnx") => Kind::Onnx,
            Some("tflite") => Kind::Tflite,
            _ => Kind::Layers,
        }
    }

    /// Reads or builds a model of any kind.
    pub(super) fn source(&self) -> Result<Source, Failure> {
        if let Some(name) = self.model.strip_prefix("zoo:") {
            return Ok(Source::Layers(Box::new(zoo::build(name)?)));
        }
        let path = Path::new(&self.model);
        Ok(match self.kind() {
            Kind::Onnx => Source::Onnx(Box::new(read_onnx(path)?)),
            Kind::Tflite => Source::Tflite(Box::new(read_tflite(path)?)),
            Kind::Layers
                if ["keras", "h5", "hdf5"]
                    .iter()
                    .any(|known| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(known))) =>
            {
                Source::Layers(Box::new(read_model(path)?))
            }
            Kind::Layers => {
                return Err(
                    format!("{}: models are .keras, .h5, .onnx and .tflite files, or `zoo:NAME`", self.model).into()
                );
            }
        })
    }
}
