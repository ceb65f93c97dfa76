//! `wgconv summary`: what every layer, or every node of an ONNX file, does.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::onnx_inputs::given_shapes;
use super::source::{ModelArg, Source};
use super::{Failure, Output};
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
    /// ONNX models: sizes of an input whose axes are open; else its first axis is the batch, and others count as 224.
    #[arg(long = "input-shape", value_name = "NAME=1,3,224,224")]
    shapes: Vec<String>,
    /// Show the layers inside nested models.
    #[arg(long)]
    expand_nested: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &SummaryArgs) -> Result<ExitCode, Failure> {
    let summary = match args.model.source()? {
        Source::Layers(_) if !args.shapes.is_empty() => {
            return Err("--input-shape is for ONNX models; work of others is counted for --batch".into());
        }
        Source::Layers(model) => model.summary(args.batch)?,
        Source::Onnx(model) => {
            model.summary(&given_shapes(&model, &args.shapes, Some(args.batch), Some(OPEN_AXIS))?)?
        }
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
