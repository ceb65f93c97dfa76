//! `wgconv bench`: times a model, or a suite of layers and networks.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::inputs::InputArgs;
use super::source::ModelArg;
use super::{Failure, OnDevice, make_folders, print, progress};
use crate::bench::{Budget, SuiteReport, bench_kernels, bench_model};
use crate::gpu;
use crate::session::{Device, Session};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// A .keras, .h5 or .onnx file, or `zoo:NAME` with options; not with --suite.
    #[arg(value_name = "MODEL", required_unless_present = "suite", conflicts_with = "suite")]
    model: Option<String>,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: OnDevice,
    /// Runs of MODEL to time, after two to warm up.
    #[arg(long, default_value_t = 20, value_name = "N")]
    runs: usize,
    /// Time a suite: every kernel on the layers L01 to L13, taking turns.
    #[arg(long, value_enum)]
    suite: Option<Suite>,
    /// Suites: only what has this in its name.
    #[arg(long, default_value = "", value_name = "PART")]
    filter: String,
    /// Suites: time for each row.
    #[arg(long, default_value_t = 0.5, value_name = "SECONDS", value_parser = seconds)]
    seconds: f64,
    /// Print the report as JSON, or write it to a file.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    json: Option<Option<PathBuf>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    Kernels,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("is not a number of seconds between 0 and 3600".into()),
    }
}

pub(super) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    if let Some(Some(file)) = &args.json {
        make_folders([file.as_path()])?;
    }
    match (args.suite, &args.model) {
        (Some(suite), _) => run_suite(args, suite),
        (None, Some(model)) => run_model(args, &ModelArg { model: model.clone() }),
        (None, None) => Err("either MODEL or --suite is needed".into()),
    }
}

fn run_model(args: &BenchArgs, model: &ModelArg) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let source = model.source()?;
    let (graph, inputs) = args.inputs.read(&source)?;
    let parse = start.elapsed();
    let start = Instant::now();
    let device = Device::select(&args.device.device)?;
    let device_time = start.elapsed();
    let session = Session::new(graph, device, progress::options(true));
    let bar = progress::bar("timing runs");
    let report = bench_model(&model.model, &session, &inputs, args.runs, (parse, device_time), |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    show(args, &report.to_string(), &report)?;
    Ok(ExitCode::SUCCESS)
}

fn run_suite(args: &BenchArgs, suite: Suite) -> Result<ExitCode, Failure> {
    let budget = Budget { each: Duration::from_secs_f64(args.seconds), ..Budget::default() };
    let bar = progress::bar("starting");
    let seen = |done: usize, total: usize, name: &str| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(name.to_string());
    };
    let report: SuiteReport = match suite {
        Suite::Kernels => bench_kernels(&gpu_device(args)?, &args.filter, budget, seen)?,
    };
    bar.finish_and_clear();
    show(args, &report.to_string(), &report)?;
    Ok(ExitCode::SUCCESS)
}

fn gpu_device(args: &BenchArgs) -> Result<gpu::Device, Failure> {
    match Device::select(&args.device.device)? {
        Device::Gpu(device) => Ok(device),
        Device::Cpu => Err("kernels run on a GPU device, and the CPU reference has none".into()),
    }
}

/// Prints the report, as JSON where that is asked for without a file; a file gets the JSON beside the text.
fn show(args: &BenchArgs, text: &str, report: &impl serde::Serialize) -> Result<(), Failure> {
    match &args.json {
        None => print(text),
        Some(None) => print(&serde_json::to_string_pretty(report)?),
        Some(Some(file)) => {
            write(file, &serde_json::to_string_pretty(report)?)?;
            print(text)
        }
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let written = crate::tensor::write_atomically(file, |out| std::io::Write::write_all(out, text.as_bytes()));
    written.map_err(|e| format!("{}: {e}", file.display()).into())
}
