//! `wgconv summary`: what every layer, or every node of a model without layers, does.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::source::{ModelArg, Source};
use super::{Failure, Output, graph_inputs};
use crate::import::onnx::Given;
use crate::layers::OPEN_AXIS;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Mermaid,
    Dot,
}

#[derive(Debug, Args)]
pub(super) struct SummaryArgs {
    #[command(flatten)]
    model: ModelArg,
    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Batch size for multiply-accumulates and activation bytes.
    #[arg(long, default_value_t = 1, value_name = "N")]
    batch: usize,
    /// ONNX and TFLite models: sizes of an input whose axes are open; else its first axis is the batch, and others count as 224.
    #[arg(long = "input-shape", value_name = "NAME=1,3,224,224")]
    shapes: Vec<String>,
    /// Show the layers inside nested models.
    #[arg(long)]
    expand_nested: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &SummaryArgs) -> Result<ExitCode, Failure> {
    let source = args.model.source()?;
    let shapes = || graph_inputs::shapes(&source, &args.shapes, Some(args.batch), Some(OPEN_AXIS));
    let summary = match &source {
        Source::Layers(_) if !args.shapes.is_empty() => {
            return Err("--input-shape is for models without layers; work of others is counted for --batch".into());
        }
        Source::Layers(model) => model.summary(args.batch)?,
        Source::Onnx(model) => {
            model.summary(&shapes()?.into_iter().map(|(name, shape)| (name, Given::Shape(shape))).collect())?
        }
        Source::Tflite(model) => model.summary(&shapes()?)?,
    };
    let output = Output { json: args.output.json || args.format == Format::Json };
    let text = match args.format {
        Format::Text | Format::Json => summary.text(args.expand_nested),
        Format::Mermaid => summary.mermaid(),
        Format::Dot => summary.dot(),
    };
    output.print(&text, &summary)?;
    Ok(ExitCode::SUCCESS)
}
