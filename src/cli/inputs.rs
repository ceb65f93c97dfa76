//! The --input arguments: arrays and pictures, or made-up numbers where none are given.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;

use super::source::Source;
use super::{Failure, onnx_inputs};
use crate::graph::Graph;
use crate::import::{PictureOptions, read_picture};
use crate::layers::{InputSpec, Model};
use crate::tensor::{Tensor, read_npy};

#[derive(Debug, Args)]
pub(super) struct InputArgs {
    /// An .npy array (batch axis first) or a PNG or JPEG picture for an input; the name may be left out when there is one.
    #[arg(long = "input", value_name = "[NAME=]FILE")]
    files: Vec<String>,
    /// ONNX models: sizes of an input whose axes are open.
    #[arg(long = "input-shape", value_name = "NAME=1,3,224,224")]
    shapes: Vec<String>,
    /// Batch size; as a rule that of the inputs, 1 without inputs.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Pictures: factor for bytes 0 to 255.
    #[arg(long, default_value_t = 1.0, value_name = "X", allow_negative_numbers = true)]
    scale: f32,
    /// Pictures: added after the factor.
    #[arg(long, default_value_t = 0.0, value_name = "X", allow_negative_numbers = true)]
    offset: f32,
}

type Inputs = BTreeMap<String, Tensor>;

impl InputArgs {
    /// Whether any input was given.
    pub(super) fn any(&self) -> bool {
        !self.files.is_empty()
    }

    /// Reads all inputs and builds the graph for their shapes. Inputs that are not given are waves between -1 and 1.
    pub(super) fn read(&self, source: &Source) -> Result<(Graph, Inputs), Failure> {
        match source {
            Source::Layers(_) if !self.shapes.is_empty() => {
                Err("--input-shape is for ONNX models; those of Keras take --input and --batch".into())
            }
            Source::Layers(model) => self.read_for(model),
            Source::Onnx(model) => onnx_inputs::read(model, &self.files, &self.shapes, self.batch),
        }
    }

    fn read_for(&self, model: &Model) -> Result<(Graph, Inputs), Failure> {
        let names: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
        let mut tensors = Inputs::new();
        for argument in &self.files {
            let (position, file) = named("input", &names, argument)?;
            let spec = &model.inputs()[position];
            let tensor = self.read_one(spec, Path::new(file))?;
            if tensors.insert(spec.name.clone(), tensor).is_some() {
                return Err(format!("input `{}` is given twice", spec.name).into());
            }
        }
        let given = tensors.values().map(|tensor| tensor.shape().first().copied().unwrap_or(1)).max();
        let batch = self.batch.or(given).unwrap_or(1);
        for (name, tensor) in &mut tensors {
            *tensor = fit_batch(name, tensor, batch)?;
        }
        let shapes = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape()[1..].to_vec())).collect();
        let graph = model.graph_for(batch, &shapes)?;
        if !tensors.is_empty() && tensors.len() < graph.inputs().len() {
            return Err(format!("inputs are missing: {}", graph.input_list()).into());
        }
        for &id in graph.inputs() {
            let value = graph.value(id);
            tensors
                .entry(value.name.clone())
                .or_insert_with(|| Tensor::from_fn(value.ty.shape.clone(), |i| (i as f32 * 0.618_034).sin()));
        }
        Ok((graph, tensors))
    }

    fn read_one(&self, spec: &InputSpec, file: &Path) -> Result<Tensor, Failure> {
        let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        match (ending.as_str(), &spec.shape[..]) {
            ("npy", shape) => {
                let tensor = read_npy(file)?.to_f32();
                if tensor.shape().rank() != shape.len() + 1 {
                    return Err(format!(
                        "{}: {} has {} axes; input `{}` takes {} (the batch first)",
                        file.display(),
                        tensor.shape(),
                        tensor.shape().rank(),
                        spec.name,
                        shape.len() + 1
                    )
                    .into());
                }
                Ok(tensor)
            }
            ("png" | "jpg" | "jpeg", &[rows, columns, channels]) => {
                let options = PictureOptions {
                    size: rows.zip(columns),
                    channels: channels.unwrap_or(3),
                    scale: self.scale,
                    offset: self.offset,
                };
                Ok(read_picture(file, options)?)
            }
            ("png" | "jpg" | "jpeg", shape) => {
                Err(format!("{}: input `{}` takes {shape:?}, which is no picture", file.display(), spec.name).into())
            }
            _ => Err(format!("{}: inputs are .npy arrays or .png and .jpg pictures", file.display()).into()),
        }
    }
}

/// The position among `names` that a `[NAME=]VALUE` argument is about, and the value; the name may be left out when there is
/// one. `kind` says what is named, for the error.
pub(super) fn named<'a>(kind: &str, names: &[&str], argument: &'a str) -> Result<(usize, &'a str), Failure> {
    let found = argument
        .split_once('=')
        .and_then(|(name, value)| Some((names.iter().position(|other| *other == name)?, value)));
    match (found, names) {
        (Some(found), _) => Ok(found),
        (None, [_]) if !argument.contains('=') || Path::new(argument).exists() => Ok((0, argument)),
        (None, names) => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            Err(format!("`{argument}` must be NAME=.. with an {kind} of the model: {}", names.join(", ")).into())
        }
    }
}

/// The same tensor for another batch: one element repeats, anything else must match.
fn fit_batch(name: &str, tensor: &Tensor, batch: usize) -> Result<Tensor, Failure> {
    let own = tensor.shape().first().copied().unwrap_or(1);
    if own == batch {
        return Ok(tensor.clone());
    }
    if own != 1 {
        return Err(format!("input `{name}` has a batch of {own} where {batch} is asked for").into());
    }
    let values = tensor.f32s()?;
    let shape: Vec<usize> = [batch].into_iter().chain(tensor.shape()[1..].iter().copied()).collect();
    Ok(Tensor::from_fn(shape, |i| values[i % values.len().max(1)]))
}
