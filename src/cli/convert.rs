//! `wgconv convert`: a model to a file that other programs read.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::source::ModelArg;
use super::{Failure, Output, make_folders};
use crate::export::{Format, write_model};

#[derive(Debug, Args)]
pub(super) struct ConvertArgs {
    #[command(flatten)]
    model: ModelArg,
    /// What to write: .keras (the whole model, for Keras 3), .weights.h5 (weights in Keras's order) or .safetensors (weights by
    /// name). A file that is there is replaced once the new one is complete.
    #[arg(value_name = "OUT")]
    path: PathBuf,
    /// Load the model's weights from this .safetensors, .weights.h5, .keras or .h5 file first; all of them must fit.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &ConvertArgs) -> Result<ExitCode, Failure> {
    // A wrong ending must not cost the reading of a large model.
    Format::of(&args.path)?;
    let model = args.model.load()?;
    if let Some(weights) = &args.weights {
        model.load_weights(weights)?;
    }
    make_folders([args.path.as_path()])?;
    let written = write_model(&args.path, &model)?;
    let bytes = std::fs::metadata(&args.path).map_err(|e| format!("{}: {e}", args.path.display()))?.len();
    let (weights, parameters) = (model.weights().len(), model.parameters());
    let mut text = format!("{}: {weights} weights, {parameters} parameters, {bytes} bytes\n", args.path.display());
    for note in &written.notes {
        writeln!(text, "  note: {note}")?;
    }
    let report = json!({
        "model": args.model.model,
        "file": args.path,
        "format": written.format,
        "weights": weights,
        "parameters": parameters,
        "bytes": bytes,
        "notes": written.notes,
    });
    args.output.print(&text, &report)?;
    Ok(ExitCode::SUCCESS)
}
