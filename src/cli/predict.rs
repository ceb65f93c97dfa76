//! `wgconv predict`: a model's outputs for any number of samples, batch by batch.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::samples::arrays_by_name;
use super::source::ModelArg;
use super::{Failure, OnDevice, Output, make_folders, progress};
use crate::session::{Device, Session};
use crate::tensor::{Tensor, write_npy};
use crate::train::{Arrays, Batch, DataSource};

#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    #[command(flatten)]
    model: ModelArg,
    /// Input samples, the batch axis first; the name may be left out when the model has one input.
    #[arg(long = "x", value_name = "[NAME=]FILE.npy", required = true)]
    x: Vec<String>,
    /// Factor for the inputs.
    #[arg(long, default_value_t = 1.0, value_name = "X", allow_negative_numbers = true)]
    scale: f32,
    /// Samples of a batch.
    #[arg(long, default_value_t = 32, value_name = "N")]
    batch_size: usize,
    /// Where to write the output; with several outputs, a folder for one file each.
    #[arg(long, value_name = "FILE.npy|DIR")]
    save: PathBuf,
    #[command(flatten)]
    device: OnDevice,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &PredictArgs) -> Result<ExitCode, Failure> {
    let model = args.model.load()?;
    let names: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
    let inputs = arrays_by_name("input", &names, &args.x)?;
    let shapes = inputs.iter().map(|(name, tensor)| (name.clone(), tensor.shape()[1..].to_vec())).collect();
    let samples = Arrays::named(Batch { inputs, ..Batch::default() })?.scaled(args.scale);
    let count = samples.len();
    if count == 0 || args.batch_size == 0 {
        return Err("there is nothing to predict".into());
    }
    let device = Device::select(&args.device.device)?;
    let graph = model.graph_for(args.batch_size.min(count), &shapes)?;
    let session = Session::new(graph, device, progress::options(true));
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
    make_folders([args.save.as_path()])?;
    let single = gathered.len() == 1 && args.save.extension().is_some_and(|ending| ending == "npy");
    if !single {
        std::fs::create_dir_all(&args.save).map_err(|e| format!("{}: {e}", args.save.display()))?;
    }
    let (mut text, mut written) = (String::new(), Vec::new());
    for (name, (mut shape, values)) in gathered {
        shape[0] = count;
        let tensor = Tensor::from_f32(shape, values)?;
        let path = if single { args.save.clone() } else { args.save.join(format!("{}.npy", name.replace('/', "_"))) };
        write_npy(&path, &tensor)?;
        text.push_str(&format!("`{name}` {} -> {}\n", tensor.shape(), path.display()));
        written.push(json!({ "name": name, "shape": tensor.shape(), "file": path }));
    }
    args.output.print(&text, &json!({ "model": args.model.model, "samples": count, "outputs": written }))?;
    Ok(ExitCode::SUCCESS)
}
