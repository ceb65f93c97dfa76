//! `wgconv bench`: times a model.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use super::inputs::InputArgs;
use super::source::ModelArg;
use super::{Failure, OnDevice, Output, progress};
use crate::bench::bench_model;
use crate::session::{Device, Session};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: OnDevice,
    /// Runs to time, after two to warm up.
    #[arg(long, default_value_t = 20, value_name = "N")]
    runs: usize,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let model = args.model.source()?;
    let (graph, inputs) = args.inputs.read(&model)?;
    let parse = start.elapsed();
    let start = Instant::now();
    let device = Device::select(&args.device.device)?;
    let device_time = start.elapsed();
    let session = Session::new(graph, device, progress::options(true));
    let bar = progress::bar("timing runs");
    let report = bench_model(&args.model.model, &session, &inputs, args.runs, (parse, device_time), |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    args.output.print(&report.to_string(), &report)?;
    Ok(ExitCode::SUCCESS)
}
