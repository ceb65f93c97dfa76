//! `wgconv run`: runs a model and writes its outputs.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::answers::AnswerArgs;
use super::inputs::{InputArgs, Ready};
use super::picture_folder::{self, Job};
use super::source::ModelArg;
use super::tuning::TuningArgs;
use super::{Failure, OnDevice, Output, Stored, make_folder, output_file, profile};
use crate::session::Session;
use crate::tensor::{open_shape, write_npy};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    /// Pictures of a batch where --input is a folder of them; as a rule the model's own, or 8.
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Stop at the first picture of a folder that cannot be read rather than go on and exit with 1 at the end.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    device: OnDevice,
    #[command(flatten)]
    tuning: TuningArgs,
    #[command(flatten)]
    stored: Stored,
    /// Folder for `<output name>.npy` of each output; made if it is missing. For a folder of pictures, their names come first.
    #[arg(long = "output", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Time every step with the device's own clock.
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let (device, model) = args.device.open_beside(|| args.model.source())?;
    if !args.inputs.any() {
        let inputs = model.inputs();
        let takes: Vec<String> =
            inputs.iter().map(|(name, shape)| format!("--input {name}=FILE of {}", open_shape(shape))).collect();
        return Err(format!("the model needs inputs: {}", takes.join(", ")).into());
    }
    let answers = args.answers.open()?;
    if let Some(folder) = &args.folder {
        make_folder(folder)?;
    }
    if let Some(pictures) = args.inputs.folder() {
        if args.inputs.batch().is_some() {
            return Err(
                "of a folder, so many pictures as --batch-size says are a batch; --batch is for single inputs".into()
            );
        }
        if args.profile {
            return Err("--profile times one run, and a folder of pictures is many; give one of them as --input".into());
        }
        let job = Job {
            source: &model,
            shapes: args.inputs.shapes(),
            device,
            answers,
            batch: args.batch_size,
            outputs: args.folder.as_deref(),
            strict: args.strict,
            options: args.tuning.apply(args.stored.options()),
        };
        return picture_folder::run(&job, &pictures, &mut args.inputs.reader(&args.model, &model));
    }
    if args.batch_size.is_some() || args.strict {
        return Err("--batch-size and --strict are for a folder of pictures".into());
    }
    let Ready { graph, inputs, preprocess } = args.inputs.read(&args.model, &model, args.stored.precision())?;
    let classes = answers.outputs(&graph)?;
    let session = Session::new(graph, device, args.tuning.apply(args.stored.options()));
    let outputs = session.run(&inputs)?;
    let mut text = format!("{} on {}\n", args.model.model, session.device().name());
    for (name, tensor) in &inputs {
        writeln!(text, "input  `{name}` {}", tensor.shape())?;
    }
    if let Some(preprocess) = &preprocess {
        writeln!(text, "  pictures: {preprocess}")?;
    }
    let mut report = Vec::new();
    for (name, tensor) in &outputs {
        // Classes are those of one sample; of several there are rows in the file.
        let single = tensor.shape().first() == Some(&1);
        let made = classes.iter().find(|(output, _)| output == name && single).map(|(_, made)| *made);
        let top = made.zip(tensor.f32s().ok()).map(|(made, values)| answers.classes(made, values));
        writeln!(text, "output `{name}` {}{}", tensor.shape(), made.map_or("", |made| made.note()))?;
        for class in top.iter().flatten() {
            let label = class.label.as_ref().map_or(String::new(), |label| format!("  {label}"));
            writeln!(text, "  class {:>4}  {:.6}{label}", class.class, class.probability)?;
        }
        let file = args.folder.as_ref().map(|folder| output_file(folder, name));
        if let Some(file) = &file {
            write_npy(file, tensor)?;
            writeln!(text, "  written to {}", file.display())?;
        }
        let shape = tensor.shape();
        report.push(json!({ "name": name, "shape": shape, "file": file, "probabilities": made, "top": top }));
    }
    let rows = if args.profile {
        let types = inputs.iter().map(|(name, tensor)| (name.clone(), tensor.tensor_type())).collect();
        let rows = profile::profile(session.compile(&types)?.as_ref(), &inputs)?;
        write!(text, "\n{}", profile::table(&rows)?)?;
        Some(rows)
    } else {
        None
    };
    let json = json!({
        "device": session.device().name(),
        "preprocess": preprocess,
        "outputs": report,
        "profile": rows,
    });
    args.output.print(&text, &json)?;
    Ok(ExitCode::SUCCESS)
}
