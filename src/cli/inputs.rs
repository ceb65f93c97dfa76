//! The --input arguments: arrays and pictures, or made-up numbers where none are given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::pictures::PictureArgs;
use super::source::{ModelArg, Source};
use super::{Failure, graph_inputs};
use crate::graph::Graph;
use crate::import::{Layout, PictureInput, Preprocess, is_picture_name};
use crate::layers::Model;
use crate::tensor::{Precision, Tensor, read_npy};

#[derive(Debug, Args)]
pub(super) struct InputArgs {
    /// An .npy array (batch axis first) or a PNG or JPEG picture for an input; the name may be left out when there is one.
    /// `run` takes a folder of pictures, too.
    #[arg(long = "input", value_name = "[NAME=]FILE")]
    files: Vec<String>,
    /// ONNX and TFLite models: sizes of an input whose axes are open.
    #[arg(long = "input-shape", value_name = "NAME=1,3,224,224")]
    shapes: Vec<String>,
    /// Batch size; as a rule that of the inputs, 1 without inputs. An array of one sample is repeated.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    #[command(flatten)]
    pictures: PictureArgs,
}

pub(super) type Inputs = BTreeMap<String, Tensor>;

/// A graph and what goes into it: all of its inputs, or none yet.
pub(super) struct Ready {
    pub graph: Graph,
    pub inputs: Inputs,
    /// What became of pictures, if there were any.
    pub preprocess: Option<Preprocess>,
}

/// Reads input files; settings for pictures are looked up when the first one comes.
pub(super) struct Reader<'a> {
    args: &'a PictureArgs,
    model: &'a str,
    otherwise: Layout,
    preprocess: Option<Preprocess>,
}

impl Reader<'_> {
    /// Reads a file for an input of this shape (the batch first).
    pub(super) fn read(&mut self, name: &str, shape: &[Option<usize>], file: &Path) -> Result<Tensor, Failure> {
        if is_picture_name(file) {
            let input = self.input(name, shape)?;
            let picture = self.settings()?.open(file, input)?;
            picture.notes.iter().for_each(|note| log::warn!("{}: {note}", file.display()));
            return Ok(picture.tensor);
        }
        match file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy")) {
            true => Ok(read_npy(file)?.to_f32()),
            false => Err(format!("{}: inputs are .npy arrays or .png and .jpg pictures", file.display()).into()),
        }
    }

    /// The picture that an input of this shape (the batch first) takes.
    pub(super) fn input(&mut self, name: &str, shape: &[Option<usize>]) -> Result<PictureInput, Failure> {
        let otherwise = self.otherwise;
        let input = PictureInput::of(shape.get(1..).unwrap_or_default(), self.settings()?.layout, otherwise);
        Ok(input.map_err(|e| format!("input `{name}`: {e}"))?)
    }

    /// What becomes of pictures.
    pub(super) fn settings(&mut self) -> Result<&Preprocess, Failure> {
        let settings = match self.preprocess.take() {
            Some(settings) => settings,
            None => self.args.preprocess(self.model, Preprocess::default())?,
        };
        Ok(self.preprocess.insert(settings))
    }
}

impl InputArgs {
    /// Whether anything was said about inputs.
    pub(super) fn given(&self) -> bool {
        self.any() || !self.shapes.is_empty() || self.batch.is_some()
    }

    /// Whether any input was given.
    pub(super) fn any(&self) -> bool {
        !self.files.is_empty()
    }

    /// The folder of pictures that is given as the only input, if it is one.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        match &self.files[..] {
            [only] => [Some(only.as_str()), only.split_once('=').map(|(_, file)| file)]
                .into_iter()
                .flatten()
                .map(PathBuf::from)
                .find(|path| path.is_dir()),
            _ => None,
        }
    }

    /// The batch size that was asked for.
    pub(super) fn batch(&self) -> Option<usize> {
        self.batch
    }

    /// Sizes of an input as --input-shape gives them.
    pub(super) fn shapes(&self) -> &[String] {
        &self.shapes
    }

    /// What reads input files for a model.
    pub(super) fn reader<'a>(&'a self, model: &'a ModelArg, source: &Source) -> Reader<'a> {
        Reader { args: &self.pictures, model: &model.model, otherwise: source.layout(), preprocess: None }
    }

    /// Reads all inputs that are given and builds the graph for their shapes.
    /// The graph will be stored with a precision, which must be enough for it.
    pub(super) fn read(&self, model: &ModelArg, source: &Source, precision: Precision) -> Result<Ready, Failure> {
        let mut reader = self.reader(model, source);
        let (graph, inputs) = match source {
            Source::Layers(_) if !self.shapes.is_empty() => {
                return Err(
                    "--input-shape is for ONNX and TFLite models; those of Keras take --input and --batch".into()
                );
            }
            Source::Layers(model) => self.read_for(model, &mut reader)?,
            Source::Onnx(_) | Source::Tflite(_) => {
                graph_inputs::read(source, &self.files, &self.shapes, self.batch, &mut reader, precision)?
            }
        };
        let preprocess = reader.preprocess;
        if preprocess.is_none() && self.pictures.scale_of_arrays()? != 1.0 {
            return Err("--scale is for pictures, and none is given; it takes arrays as they are".into());
        }
        Ok(Ready { graph, inputs, preprocess })
    }

    fn read_for(&self, model: &Model, reader: &mut Reader<'_>) -> Result<(Graph, Inputs), Failure> {
        let names: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
        let mut tensors = Inputs::new();
        for argument in &self.files {
            let (position, file) = named("input", &names, argument)?;
            let spec = &model.inputs()[position];
            let shape: Vec<Option<usize>> = [None].into_iter().chain(spec.shape.iter().copied()).collect();
            let tensor = reader.read(&spec.name, &shape, Path::new(file))?;
            if tensor.shape().rank() != shape.len() {
                let (is, rank) = (tensor.shape(), tensor.shape().rank());
                let takes = format!("input `{}` takes {} (the batch first)", spec.name, shape.len());
                return Err(format!("{file}: {is} has {rank} axes; {takes}").into());
            }
            once("input", &mut tensors, &spec.name, tensor)?;
        }
        let given = tensors.values().map(|tensor| tensor.shape().first().copied().unwrap_or(1)).max();
        let batch = self.batch.or(given).unwrap_or(1);
        for (name, tensor) in &mut tensors {
            *tensor = fit_batch(name, tensor, batch)?;
        }
        let shapes = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape()[1..].to_vec())).collect();
        let graph = model.graph_for(batch, &shapes)?;
        all_or_none(&graph, &tensors)?;
        Ok((graph, tensors))
    }
}

impl Ready {
    /// Gives inputs that are not given waves between -1 and 1.
    pub(super) fn filled(mut self) -> Result<Ready, Failure> {
        for value in self.graph.inputs().iter().map(|&id| self.graph.value(id)) {
            if !self.inputs.contains_key(&value.name) {
                let count = value.ty.shape.elements();
                let mut waves: Vec<f32> = Vec::new();
                waves
                    .try_reserve_exact(count)
                    .map_err(|_| format!("there is no memory for input `{}` {}", value.name, value.ty))?;
                waves.extend((0..count).map(|i| (i as f32 * 0.618_034).sin()));
                self.inputs.insert(value.name.clone(), Tensor::from_f32(value.ty.shape.clone(), waves)?);
            }
        }
        Ok(self)
    }
}

/// Fails when some inputs of a graph are given and others are not.
pub(super) fn all_or_none(graph: &Graph, given: &Inputs) -> Result<(), Failure> {
    let values = graph.inputs().iter().map(|&id| graph.value(id));
    let missing: Vec<String> = values
        .filter(|value| !given.contains_key(&value.name))
        .map(|value| format!("`{}` {}", value.name, value.ty))
        .collect();
    match given.is_empty() || missing.is_empty() {
        true => Ok(()),
        false => Err(format!("inputs are missing: {}", missing.join(", ")).into()),
    }
}

/// Notes what was given for an input or output, which must be the first time.
pub(super) fn once<T>(kind: &str, given: &mut BTreeMap<String, T>, name: &str, value: T) -> Result<(), Failure> {
    match given.insert(name.to_string(), value) {
        Some(_) => Err(format!("{kind} `{name}` is given twice").into()),
        None => Ok(()),
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
pub(super) fn fit_batch(name: &str, tensor: &Tensor, batch: usize) -> Result<Tensor, Failure> {
    let Some(&own) = tensor.shape().first().filter(|&&own| own != batch) else { return Ok(tensor.clone()) };
    if own != 1 {
        return Err(format!("input `{name}` has a batch of {own} where {batch} is asked for").into());
    }
    let values = tensor.f32s()?;
    let shape: Vec<usize> = [batch].into_iter().chain(tensor.shape()[1..].iter().copied()).collect();
    Ok(Tensor::from_fn(shape, |i| values[i % values.len().max(1)]))
}
