//! `wgconv check`: the first step that leaves its accuracy class.

use std::process::ExitCode;

use clap::Args;

use super::inputs::{InputArgs, Ready};
use super::source::ModelArg;
use super::tuning::TuningArgs;
use super::{Failure, OnDevice, Output, Stored, progress};
use crate::session::{Device, Session};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: OnDevice,
    #[command(flatten)]
    stored: Stored,
    #[command(flatten)]
    tuning: TuningArgs,
    /// Multiply every tolerance by this.
    #[arg(long, default_value_t = 1.0, value_name = "X", value_parser = factor)]
    tolerance_scale: f64,
    #[command(flatten)]
    output: Output,
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(factor) if factor > 0.0 && f64::is_finite(factor) => Ok(factor),
        _ => Err("is not a number above 0".into()),
    }
}

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let model = args.model.source()?;
    let Ready { graph, inputs, .. } = args.inputs.read(&args.model, &model, args.stored.precision())?.filled()?;
    // Comparing the reference with itself shows nothing.
    let device = args.device.open_gpu("steps are checked")?;
    let session = Session::new(graph, Device::Gpu(device), args.tuning.apply(args.stored.options()));
    let types = inputs.iter().map(|(name, tensor)| (name.clone(), tensor.tensor_type())).collect();
    let compiled = session.compile(&types)?;
    let bar = progress::bar("checking steps");
    let checked = compiled.check(&inputs, args.tolerance_scale, progress::moves(&bar))?;
    bar.finish_and_clear();
    let text = match (&checked.first_failure, &checked.closest) {
        (Some(failure), _) => format!(
            "step {} `{}` by {} leaves its accuracy class\n  reads {}\n  writes {}\n  {}",
            failure.step,
            failure.name,
            failure.kernel,
            failure.inputs.join(", "),
            failure.output,
            failure.comparison
        ),
        (None, closest) => {
            let closest = closest.as_ref().map_or(String::new(), |step| {
                let used = 100.0 * step.comparison.used();
                format!("; closest to its limit is `{}` by {} with {used:.0} %", step.name, step.kernel)
            });
            format!("{} steps within their accuracy classes{closest}", checked.steps)
        }
    };
    args.output.print(&text, &checked)?;
    Ok(if checked.first_failure.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
