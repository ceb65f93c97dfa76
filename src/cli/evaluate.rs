//! `wgconv evaluate`: loss and metrics of a model on samples.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::samples::{MeasureArgs, SampleArgs};
use super::source::ModelArg;
use super::{Failure, OnDevice, Output, Stored, count};
use crate::train::{Augment, ConfusionMatrix, Optimizer, Settings, Trainer};

#[derive(Debug, Args)]
pub(super) struct EvaluateArgs {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    samples: SampleArgs,
    #[command(flatten)]
    measure: MeasureArgs,
    /// Samples of a batch.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = count)]
    batch_size: usize,
    /// Count which classes are taken for which.
    #[arg(long)]
    confusion: bool,
    #[command(flatten)]
    device: OnDevice,
    #[command(flatten)]
    stored: Stored,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &EvaluateArgs) -> Result<ExitCode, Failure> {
    let model = args.model.load()?;
    let (loss, metrics) = (args.measure.loss()?, args.measure.metrics()?);
    let (samples, _) = args.samples.open(&args.model.model, &model, loss, Augment::default())?;
    let settings = Settings::new(&model, loss, Optimizer::sgd());
    let device = args.device.open()?;
    let mut trainer = Trainer::with_options(&model, device, settings, args.stored.options())?;
    let mut matrix = args.confusion.then(ConfusionMatrix::default);
    let (loss, metrics) =
        trainer.evaluate_batches(samples.as_ref(), args.batch_size, &metrics, &mut |batch, result| match (
            &mut matrix,
            result.measured(&batch.targets),
        ) {
            (Some(matrix), Some((target, prediction))) => matrix.update(target, prediction),
            _ => Ok(()),
        })?;
    let mut text = format!("{} samples on {}\nloss {loss:.6}\n", samples.len(), trainer.device().name());
    for (name, value) in &metrics {
        writeln!(text, "{name} {value:.6}")?;
    }
    if let Some(matrix) = &matrix {
        write!(text, "{matrix}")?;
    }
    let json = json!({
        "model": args.model.model,
        "samples": samples.len(),
        "loss": loss,
        "metrics": metrics,
        "confusion": matrix,
    });
    args.output.print(&text, &json)?;
    Ok(ExitCode::SUCCESS)
}
