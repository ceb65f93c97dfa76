//! `wgconv bench`: times a model, or a suite of layers and networks.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::inputs::{InputArgs, Ready};
use super::source::ModelArg;
use super::tuning::TuningArgs;
use super::{Failure, OnDevice, Stored, count, make_folders, print, progress};
use crate::bench::{
    Budget, Comparison, SuiteReport, bench_cold, bench_kernels, bench_model, bench_models, first_output,
};
use crate::session::{Options, Session};
use crate::tensor::Precision;

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// A .keras, .h5, .onnx or .tflite file, or `zoo:NAME` with options; not with --suite.
    #[arg(value_name = "MODEL", required_unless_present_any = ["suite", "first_output"], conflicts_with = "suite")]
    model: Option<String>,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: OnDevice,
    #[command(flatten)]
    tuning: TuningArgs,
    #[command(flatten)]
    stored: Stored,
    /// Runs of MODEL to time, after two to warm up.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = count, conflicts_with = "suite")]
    runs: usize,
    /// Time a suite.
    #[arg(long, value_enum)]
    suite: Option<Suite>,
    /// Suites: only what has this in its name.
    #[arg(long, default_value = "", value_name = "PART", conflicts_with = "model")]
    filter: String,
    /// The suite `kernels`: only the kernels that a plan takes by itself.
    #[arg(long, conflicts_with = "model")]
    defaults: bool,
    /// The suites `kernels` and `models`: time for each row.
    #[arg(long, default_value_t = 0.5, value_name = "SECONDS", value_parser = seconds, conflicts_with = "model")]
    seconds: f64,
    /// The suite `cold`: processes for each state of the caches.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = count, conflicts_with = "model")]
    starts: usize,
    /// Print the report as JSON, or write it to a file.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    json: Option<Option<PathBuf>>,
    /// Suites: compare with a report that --json wrote earlier; exit 1 when a row is slower by more than noise.
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    compare: Option<PathBuf>,
    /// What --compare takes for noise in any case; the spread of the measurements may widen it.
    #[arg(long, default_value_t = 10.0, value_name = "PERCENT", value_parser = percent, requires = "compare")]
    noise: f64,
    /// Suites: write the report as one HTML file, with sortable tables and the device's roofline, or as a table in Markdown where
    /// the file ends in .md.
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    report: Option<PathBuf>,
    /// What the processes do that the suite `cold` starts: run a network of the suites once, and say so.
    #[arg(long, value_name = "NETWORK", hide = true, conflicts_with_all = ["suite", "model"])]
    first_output: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Every kernel that takes the layers L01 to L13, held against the reference and then timed in turns.
    Kernels,
    /// Networks, batch 1 and 8, and a step of training, from host to host.
    Models,
    /// Networks from the start of a process to its first output, with empty and with warm caches.
    Cold,
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Suite::Kernels => "kernels",
            Suite::Models => "models",
            Suite::Cold => "cold",
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("is not a number of seconds between 0 and 3600".into()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=1000.0).contains(&percent) => Ok(percent),
        _ => Err("is not a percentage between 0 and 1000".into()),
    }
}

pub(super) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    let json = args.json.iter().flatten();
    make_folders(json.chain(&args.report).map(PathBuf::as_path))?;
    if let Some(name) = &args.first_output {
        let first = first_output(name, args.device.open()?, args.tuning.apply(Options::default()))?;
        print(&serde_json::to_string(&first)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    match (args.suite, &args.model) {
        (Some(_), _) if args.stored.precision() != Precision::F32 => {
            Err("a suite times kernels stored as f32; --dtype is for models".into())
        }
        (Some(_), _) if args.inputs.given() => {
            Err("a suite has inputs of its own; --input, --input-shape and --batch are for models".into())
        }
        (Some(Suite::Kernels), _) if args.tuning.any() => {
            Err("the suite `kernels` times every kernel, whatever a table says; --tuning is for models and networks"
                .into())
        }
        (Some(Suite::Models | Suite::Cold), _) if args.defaults => {
            Err("--defaults is for the suite `kernels`; networks run by the kernels that plans take anyway".into())
        }
        (Some(suite), _) => run_suite(args, suite),
        (None, Some(model)) => run_model(args, &ModelArg { model: model.clone() }),
        (None, None) => Err("either MODEL or --suite is needed".into()),
    }
}

fn run_model(args: &BenchArgs, model: &ModelArg) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let source = model.source()?;
    let Ready { graph, inputs, .. } = args.inputs.read(model, &source, args.stored.precision())?.filled()?;
    let parse = start.elapsed();
    let start = Instant::now();
    let device = args.device.open()?;
    let device_time = start.elapsed();
    let session = Session::new(graph, device, args.tuning.apply(args.stored.options()));
    let bar = progress::bar("timing runs");
    let times = (parse, device_time);
    let report = bench_model(&model.model, &session, &inputs, args.runs, times, progress::moves(&bar))?;
    bar.finish_and_clear();
    show(args, &report.to_string(), &report)?;
    Ok(ExitCode::SUCCESS)
}

fn run_suite(args: &BenchArgs, suite: Suite) -> Result<ExitCode, Failure> {
    let budget = Budget { each: Duration::from_secs_f64(args.seconds), ..Budget::default() };
    let bar = progress::bar("starting");
    let seen = |done: usize, total: usize, name: &str| {
        progress::moves(&bar)(done, total);
        bar.set_message(name.to_string());
    };
    // A file that cannot be compared with should not show itself after the work.
    let earlier = args.compare.as_ref().map(|file| SuiteReport::read(file, suite.name())).transpose()?;
    let device = args.device.open_gpu("suites run")?;
    let filter = &args.filter;
    let report = match suite {
        Suite::Kernels => bench_kernels(&device, filter, args.defaults, budget, seen)?,
        Suite::Models => bench_models(&device, &args.tuning.apply(Options::default()), filter, budget, seen)?,
        Suite::Cold => {
            let (program, tuning) = (std::env::current_exe()?, args.tuning.again(&device)?);
            let child = |network: &str| {
                let mut command = Command::new(&program);
                command.args(["bench", "--first-output", network, "--device", &args.device.device]);
                command.args(&tuning);
                command
            };
            bench_cold(&device, filter, args.starts, child, seen)?
        }
    };
    bar.finish_and_clear();
    let compared = earlier.map(|earlier| Comparison::of(&earlier, &report, args.noise));
    if let Some(file) = &args.report {
        let text = match file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("md")) {
            true => report.markdown(),
            false => report.html(compared.as_ref())?,
        };
        write(file, &text)?;
    }
    let text = match &compared {
        Some(compared) => format!("{report}\n{compared}"),
        None => report.to_string(),
    };
    show(args, &text, &report)?;
    match compared {
        _ if !report.failures.is_empty() => {
            Err(format!("{} could not be timed; the report says why", report.failures.len()).into())
        }
        Some(compared) if compared.rows.is_empty() => Err("the earlier report has no row of this one".into()),
        Some(compared) if compared.regressions() > 0 => {
            Err(format!("{} rows are slower than noise explains", compared.regressions()).into())
        }
        _ => Ok(ExitCode::SUCCESS),
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
