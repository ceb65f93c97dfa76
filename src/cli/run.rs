//! `wgconv run`: runs a model and writes its outputs.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::inputs::InputArgs;
use super::source::{ModelArg, Source};
use super::tuning::TuningArgs;
use super::{Failure, OnDevice, Output, profile, progress};
use crate::session::{Device, Session};
use crate::tensor::{Tensor, write_npy};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: OnDevice,
    #[command(flatten)]
    tuning: TuningArgs,
    /// Folder for `<output name>.npy` of each output; made if it is missing.
    #[arg(long = "output", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Time every step with the device's own clock.
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let model = args.model.source()?;
    if !args.inputs.any() {
        let takes: Vec<String> = match &model {
            Source::Layers(model) => {
                model.inputs().iter().map(|input| format!("--input {}=FILE ({:?})", input.name, input.shape)).collect()
            }
            Source::Onnx(model) => {
                model.inputs().iter().map(|input| format!("--input {}=FILE ({:?})", input.name, input.shape)).collect()
            }
        };
        return Err(format!("the model needs inputs: {}", takes.join(", ")).into());
    }
    let (graph, inputs) = args.inputs.read(&model)?;
    let device = Device::select(&args.device.device)?;
    let session = Session::new(graph, device, args.tuning.apply(progress::options(true)));
    let outputs = session.run(&inputs)?;
    let mut text = format!("{} on {}\n", args.model.model, session.device().name());
    for (name, tensor) in &inputs {
        writeln!(text, "input  `{name}` {}", tensor.shape())?;
    }
    let folder = args.folder.as_ref();
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let mut report = Vec::new();
    for (name, tensor) in &outputs {
        writeln!(text, "output `{name}` {}", tensor.shape())?;
        let best = top_five(tensor);
        for (class, value) in &best {
            writeln!(text, "  class {class:>4}  {value:.6}")?;
        }
        let file = folder.map(|folder| folder.join(format!("{}.npy", name.replace('/', "_"))));
        if let Some(file) = &file {
            write_npy(file, tensor)?;
            writeln!(text, "  written to {}", file.display())?;
        }
        report.push(json!({ "name": name, "shape": tensor.shape(), "file": file, "top": best }));
    }
    let rows = if args.profile {
        let types = inputs.iter().map(|(name, tensor)| (name.clone(), tensor.tensor_type())).collect();
        let rows = profile::profile(session.compile(&types)?.as_ref())?;
        write!(text, "\n{}", profile::table(&rows)?)?;
        Some(rows)
    } else {
        None
    };
    args.output.print(&text, &json!({ "device": session.device().name(), "outputs": report, "profile": rows }))?;
    Ok(ExitCode::SUCCESS)
}

/// The five largest classes of a single vector; nothing for any other output.
fn top_five(tensor: &Tensor) -> Vec<(usize, f32)> {
    let single = matches!(tensor.shape()[..], [1, classes] if classes > 1);
    let Some(values) = tensor.f32s().ok().filter(|_| single) else { return Vec::new() };
    let mut classes: Vec<(usize, f32)> = values.iter().copied().enumerate().collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    classes.truncate(5);
    classes
}
