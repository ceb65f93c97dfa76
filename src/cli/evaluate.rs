//! `wgconv evaluate`: loss and metrics of a model on samples.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::samples::SampleArgs;
use super::source::ModelArg;
use super::{Failure, OnDevice, Output, progress};
use crate::session::Device;
use crate::train::{Augment, ConfusionMatrix, Loss, Metric, Optimizer, Settings, Trainer};

#[derive(Debug, Args)]
pub(super) struct EvaluateArgs {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    samples: SampleArgs,
    /// The loss, as for `train`.
    #[arg(long, value_name = "NAME")]
    loss: String,
    /// Outputs are logits rather than probabilities.
    #[arg(long)]
    from_logits: bool,
    /// What is measured beside the loss, as for `train`.
    #[arg(long = "metric", value_name = "NAME")]
    metrics: Vec<String>,
    /// Samples of a batch.
    #[arg(long, default_value_t = 32, value_name = "N")]
    batch_size: usize,
    /// Count which classes are taken for which.
    #[arg(long)]
    confusion: bool,
    #[command(flatten)]
    device: OnDevice,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &EvaluateArgs) -> Result<ExitCode, Failure> {
    let model = args.model.load()?;
    let loss = Loss::parse(&args.loss)?;
    let loss = if args.from_logits { loss.with_logits() } else { loss };
    let metrics: Vec<Metric> = args.metrics.iter().map(|name| Metric::parse(name)).collect::<Result<_, _>>()?;
    let samples = args.samples.open(&model, loss, Augment::default())?;
    let settings = Settings::new(&model, loss, Optimizer::sgd());
    let device = Device::select(&args.device.device)?;
    let mut trainer = Trainer::with_options(&model, device, settings, progress::options(true))?;
    let (loss, metrics) = trainer.evaluate(samples.as_ref(), args.batch_size, &metrics)?;
    let mut text = format!("{} samples on {}\nloss {loss:.6}\n", samples.len(), trainer.device().name());
    for (name, value) in &metrics {
        writeln!(text, "{name} {value:.6}")?;
    }
    let mut matrix = args.confusion.then(ConfusionMatrix::default);
    if let Some(matrix) = &mut matrix {
        trainer.evaluate_batches(samples.as_ref(), args.batch_size, &mut |batch, result| {
            let both = result.predictions.iter().find_map(|(name, p)| Some((batch.targets.get(name)?, p)));
            both.map_or(Ok(()), |(target, prediction)| matrix.update(target, prediction))
        })?;
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
