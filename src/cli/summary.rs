//! `wgconv summary`: what every layer of a model does.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::source::ModelArg;
use super::{Failure, Output};

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
    /// Show the layers inside nested models.
    #[arg(long)]
    expand_nested: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &SummaryArgs) -> Result<ExitCode, Failure> {
    let model = args.model.load()?;
    let summary = model.summary(args.batch)?;
    let output = Output { json: args.output.json || args.format == Format::Json };
    let text = match args.format {
        Format::Text | Format::Json => summary.text(args.expand_nested),
        Format::Mermaid => summary.mermaid(),
        Format::Dot => summary.dot(),
    };
    output.print(&text, &summary)?;
    Ok(ExitCode::SUCCESS)
}
