//! `wgconv convert`: a model to a file that other programs read.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::source::{Kind, ModelArg, Source};
use super::{Failure, Output, make_folders};
use crate::export::onnx::{OnnxOptions, rewrite_onnx, write_onnx};
use crate::export::{Format, write_model};
use crate::tensor::write_safetensors;

#[derive(Debug, Args)]
pub(super) struct ConvertArgs {
    #[command(flatten)]
    model: ModelArg,
    /// What to write: .keras (the whole model, for Keras 3), .onnx (the whole model, for ONNX Runtime and others), .weights.h5
    /// (weights in Keras's order) or .safetensors (weights by name). A file that is there is replaced once the new one is
    /// complete. From an ONNX file: .onnx or .safetensors.
    #[arg(value_name = "OUT")]
    path: PathBuf,
    /// Load the model's weights from this .safetensors, .weights.h5, .keras, .h5 or .onnx file first; all of them must fit.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Fix the batch size in a written .onnx file; it is open otherwise.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Keep the weights of a written .onnx file beside it, in OUT.data.
    #[arg(long)]
    external_data: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &ConvertArgs) -> Result<ExitCode, Failure> {
    // A wrong ending must not cost the reading of a large model.
    let format = Format::of(&args.path)?;
    let options = OnnxOptions { batch: args.batch, external_data: args.external_data };
    if format != Format::Onnx && options != OnnxOptions::default() {
        return Err("--batch and --external-data are about written .onnx files".into());
    }
    match (args.model.kind(), format) {
        (Kind::Tflite, _) => args.model.needs_layers()?,
        (Kind::Onnx, _) if args.weights.is_some() => {
            return Err(format!("{}: weights go into models of layers", args.model.model).into());
        }
        (Kind::Onnx, Format::Keras | Format::WeightsH5) => {
            return Err(format!(
                "{}: an ONNX file holds ops, not layers, and Keras's files are made of layers; write .onnx or \
                 .safetensors, or convert from the Keras model it came from",
                args.model.model
            )
            .into());
        }
        _ => {}
    }
    let source = args.model.source()?;
    let (weights, parameters, notes) = match &source {
        Source::Layers(model) => {
            if let Some(weights) = &args.weights {
                model.load_weights(weights)?;
            }
            make_folders([args.path.as_path()])?;
            let notes = match format {
                Format::Onnx => write_onnx(&args.path, model, &options)?,
                _ => write_model(&args.path, model)?.notes,
            };
            (model.weights().len(), model.parameters(), notes)
        }
        Source::Tflite(_) => return Err(format!("{}: a TFLite file is not converted", args.model.model).into()),
        Source::Onnx(model) => {
            let weights = model.weights()?;
            let parameters = weights.iter().map(|(_, tensor)| tensor.shape().elements()).sum();
            make_folders([args.path.as_path()])?;
            let notes = match format {
                Format::Onnx => rewrite_onnx(&args.path, model, &options)?,
                _ => {
                    write_safetensors(&args.path, &weights, Some(("format", "wgconv")))?;
                    vec!["weights only, under ONNX's names and in its layout".into()]
                }
            };
            (weights.len(), parameters, notes)
        }
    };
    let bytes = std::fs::metadata(&args.path).map_err(|e| format!("{}: {e}", args.path.display()))?.len();
    let mut text = format!("{}: {weights} weights, {parameters} parameters, {bytes} bytes\n", args.path.display());
    for note in &notes {
        writeln!(text, "  note: {note}")?;
    }
    let report = json!({
        "model": args.model.model,
        "file": args.path,
        "format": format,
        "weights": weights,
        "parameters": parameters,
        "bytes": bytes,
        "notes": notes,
    });
    args.output.print(&text, &report)?;
    Ok(ExitCode::SUCCESS)
}
