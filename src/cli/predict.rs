//! `wgconv predict`: a model's outputs for any number of samples, batch by batch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::pictures::PictureArgs;
use super::samples::arrays_by_name;
use super::source::ModelArg;
use super::{Failure, OnDevice, Output, Stored, count, make_folder, make_folders, output_file, progress};
use crate::error::TrainError;
use crate::import::{Layout, PictureInput, Preprocess, picture_files};
use crate::layers::Model;
use crate::session::Session;
use crate::tensor::{Tensor, write_npy};
use crate::train::{Arrays, Batch, DataSource, Generator};

#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    #[command(flatten)]
    model: ModelArg,
    /// Input samples, the batch axis first; the name may be left out when the model has one input.
    #[arg(long = "x", value_name = "[NAME=]FILE.npy", required_unless_present = "images")]
    x: Vec<String>,
    /// A folder of PNG or JPEG pictures instead of arrays, in the order of their names.
    #[arg(long, value_name = "DIR", conflicts_with = "x")]
    images: Option<PathBuf>,
    #[command(flatten)]
    pictures: PictureArgs,
    /// Samples of a batch.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = count)]
    batch_size: usize,
    /// Where to write the output; with several outputs, a folder for one file each.
    #[arg(long, value_name = "FILE.npy|DIR")]
    save: PathBuf,
    #[command(flatten)]
    device: OnDevice,
    #[command(flatten)]
    stored: Stored,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &PredictArgs) -> Result<ExitCode, Failure> {
    let model = args.model.load()?;
    let ending = args.save.extension().map(|ending| ending.to_ascii_lowercase());
    let single = ending.as_ref().is_some_and(|ending| ending == "npy");
    if ending.is_some() && !single && !args.save.is_dir() {
        return Err(format!("{}: outputs are written as .npy files, or into a folder", args.save.display()).into());
    }
    match model.outputs().len() {
        1 if single => make_folders([args.save.as_path()])?,
        outputs if single => {
            return Err(format!("--save names a file, and the model has {outputs} outputs: name a folder").into());
        }
        _ => make_folder(&args.save)?,
    }
    let samples: Box<dyn DataSource> = match &args.images {
        Some(folder) => Box::new(pictures(args, &model, folder)?),
        None => {
            let names: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
            let inputs = arrays_by_name("input", &names, &args.x)?;
            Box::new(Arrays::named(Batch { inputs, ..Batch::default() })?.scaled(args.pictures.scale_of_arrays()?))
        }
    };
    let count = samples.len();
    if count == 0 {
        return Err("there are no samples to predict for".into());
    }
    let first = samples.batch(&[0], 0)?.inputs;
    let shapes = first.iter().map(|(name, tensor)| (name.clone(), tensor.shape()[1..].to_vec())).collect();
    let device = args.device.open()?;
    let graph = model.graph_for(args.batch_size.min(count), &shapes)?;
    let session = Session::new(graph, device, args.stored.options());
    let bar = progress::bar("predicting");
    bar.set_length(count as u64);
    let positions: Vec<usize> = (0..count).collect();
    let mut gathered: BTreeMap<String, (Vec<usize>, Vec<f32>)> = BTreeMap::new();
    for chunk in positions.chunks(args.batch_size) {
        let outputs = session.run(&samples.batch(chunk, 0)?.inputs)?;
        for (name, tensor) in outputs {
            let (shape, values) = gathered.entry(name).or_default();
            *shape = tensor.shape().to_vec();
            values.extend_from_slice(tensor.f32s()?);
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    let (mut text, mut written) = (String::new(), Vec::new());
    for (name, (mut shape, values)) in gathered {
        shape[0] = count;
        let tensor = Tensor::from_f32(shape, values)?;
        let path = if single { args.save.clone() } else { output_file(&args.save, &name) };
        write_npy(&path, &tensor)?;
        text.push_str(&format!("`{name}` {} -> {}\n", tensor.shape(), path.display()));
        written.push(json!({ "name": name, "shape": tensor.shape(), "file": path }));
    }
    args.output.print(&text, &json!({ "model": args.model.model, "samples": count, "outputs": written }))?;
    Ok(ExitCode::SUCCESS)
}

/// The pictures of a folder as samples.
fn pictures(args: &PredictArgs, model: &Model, folder: &Path) -> Result<impl DataSource, Failure> {
    let [input] = model.inputs() else {
        return Err("a folder of pictures needs a model with one input".into());
    };
    let preprocess = args.pictures.preprocess(&args.model.model, Preprocess::default())?;
    let picture = PictureInput::of(&input.shape, preprocess.layout, Layout::Nhwc)?;
    let (files, name) = (picture_files(folder)?, input.name.clone());
    Ok(Generator::new(files.len(), move |positions: &[usize], _| {
        let paths = positions.iter().map(|&position| files[position].as_path());
        let tensor = preprocess.open_batch(paths, picture).map_err(|e| TrainError::Data { what: e.to_string() })?;
        Ok(Batch { inputs: BTreeMap::from([(name.clone(), tensor)]), ..Batch::default() })
    }))
}
