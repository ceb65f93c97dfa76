//! The command line: one file per verb, no logic that a library user would miss.
//!
//! Exit codes: 0 fine, 1 the work failed (one cause per line on stderr), 2 wrong usage.

mod answers;
mod bench;
mod check;
mod convert;
mod evaluate;
mod explain;
mod graph_inputs;
mod info;
mod inputs;
mod onnx_table;
mod onnx_test;
mod picture_folder;
mod pictures;
mod predict;
mod profile;
mod progress;
mod run;
mod samples;
mod source;
mod summary;
mod train;
mod tune;
mod tuning;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::session::Options;
use crate::tensor::Precision;

use crate::gpu::{self, cache_folder};
use crate::session::Device;

/// Convolutional networks on any GPU through wgpu, with Keras's numbers.
#[derive(Debug, Parser)]
#[command(name = "wgconv", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List adapters with their device class, features, limits and driver.
    Info(info::InfoArgs),
    /// Show what every layer of a model (or node of an ONNX file) does, in one table, with notes on what is probably not meant.
    Summary(summary::SummaryArgs),
    /// Run a model on .npy arrays or pictures and write its outputs as .npy.
    Run(run::RunArgs),
    /// Compare the GPU with the CPU reference step by step; exit 1 at the first step outside its accuracy class.
    Check(check::CheckArgs),
    /// Show passes applied and refused, the kernel of every step, buffers and peak memory.
    Explain(explain::ExplainArgs),
    /// Write a model for other programs: .keras or .weights.h5 for Keras 3, .onnx, .safetensors.
    Convert(convert::ConvertArgs),
    /// Train a model of layers (.keras, .h5 or zoo:NAME) on arrays or a folder of pictures.
    Train(Box<train::TrainArgs>),
    /// Loss and metrics of a model of layers on samples.
    Evaluate(evaluate::EvaluateArgs),
    /// The outputs of a model of layers for any number of samples, batch by batch.
    Predict(predict::PredictArgs),
    /// Run the folders of ONNX's backend tests: pass, fail or unsupported each; exit 1 on any fail.
    OnnxTest(onnx_test::OnnxTestArgs),
    /// Measure the kernels of a model's cases on this device and keep the fastest that are right, for --tuning.
    Tune(tune::TuneArgs),
    /// Time a model (cold start by phases, then repeated runs) or a suite of layers.
    Bench(bench::BenchArgs),
}

/// What every verb takes.
#[derive(Debug, Args)]
struct Output {
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Where a model runs.
#[derive(Debug, Args)]
struct OnDevice {
    /// `auto`, `gpu`, `cpu` (the reference), or part of an adapter's name, driver or backend.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: String,
}

/// How a model's numbers are stored and computed while it runs.
#[derive(Debug, Args)]
struct Stored {
    /// How weights and intermediate values are stored on the GPU: f16 halves their memory and keeps 11 bits of each, and what
    /// is beyond 65504 becomes infinite. Inputs, outputs and arithmetic are f32.
    #[arg(long, value_enum, default_value_t = Dtype::F32, value_name = "DTYPE")]
    dtype: Dtype,
    /// Compute 3x3 convolutions of many channels by Winograd's algorithm F(2x2, 3x3) where the device should gain from it, or with
    /// --tuning was measured to: 2.25 times fewer multiplications, other roundings, and NaN where an input is infinite. Filters that are trained stay as they are.
    #[arg(long)]
    winograd: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dtype {
    F32,
    F16,
}

impl Stored {
    fn precision(&self) -> Precision {
        match self.dtype {
            Dtype::F32 => Precision::F32,
            Dtype::F16 => Precision::F16,
        }
    }

    /// Session options with a progress bar.
    fn options(&self) -> Options {
        Options { precision: self.precision(), winograd: self.winograd, ..progress::options(true) }
    }
}

type Failure = Box<dyn Error>;

impl OnDevice {
    /// Opens the device, with the user's cache of what its driver makes of shaders.
    fn open(&self) -> Result<Device, Failure> {
        open(&self.device)
    }

    /// Opens the device for what only a GPU does: `auto` is an adapter or nothing then.
    fn open_gpu(&self, what: &str) -> Result<gpu::Device, Failure> {
        match open(if self.device == "auto" { "gpu" } else { &self.device })? {
            Device::Gpu(device) => Ok(device),
            Device::Cpu => Err(format!("{what} on a GPU device, and --device cpu is the CPU reference").into()),
        }
    }

    /// Opens the device while `work` goes on.
    fn open_beside<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<(Device, T), Failure> {
        std::thread::scope(|scope| {
            // Errors of this command line stay in one thread.
            let opening = scope.spawn(|| self.open().map_err(|e| e.to_string()));
            let done = work()?;
            let device = opening.join().map_err(|_| "the driver panicked")??;
            Ok((device, done))
        })
    }
}

fn open(device: &str) -> Result<Device, Failure> {
    let device = Device::select(device)?;
    Ok(match cache_folder() {
        Some(folder) => device.cached_in(&folder),
        None => device,
    })
}

impl Output {
    /// Prints a report as text or as JSON.
    fn print(&self, text: &str, json: &impl serde::Serialize) -> Result<(), Failure> {
        match self.json {
            true => print(&serde_json::to_string_pretty(json)?),
            false => print(text),
        }
    }
}

/// Prints text. A closed pipe ends the output, not the program.
fn print(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Makes the folders of files that will be written, so that what is in their way does not show itself after the work.
fn make_folders<'a>(files: impl IntoIterator<Item = &'a Path>) -> Result<(), Failure> {
    files.into_iter().try_for_each(|file| {
        if file.is_dir() {
            return Err(format!("{}: this is a folder, and a file is to be written", file.display()).into());
        }
        file.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(Ok(()), make_folder)
    })
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    Ok(std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?)
}

/// A number of at least 1.
fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("nothing would be done; it must be at least 1".into()),
        Ok(count) => Ok(count),
        Err(why) => Err(format!("{why}")),
    }
}

/// The file in a folder that an output is written to.
fn output_file(folder: &Path, output: &str) -> PathBuf {
    folder.join(format!("{}.npy", output.replace('/', "_")))
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            let code = if usage.use_stderr() { 2 } else { 0 };
            // Nothing is left to do when even the message cannot be written.
            let _ = usage.print();
            return ExitCode::from(code);
        }
    };
    progress::log_to_stderr();
    let done = match cli.verb {
        Verb::Info(args) => info::run(&args),
        Verb::Summary(args) => summary::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Convert(args) => convert::run(&args),
        Verb::Train(args) => train::run(&args),
        Verb::Evaluate(args) => evaluate::run(&args),
        Verb::Predict(args) => predict::run(&args),
        Verb::OnnxTest(args) => onnx_test::run(&args),
        Verb::Tune(args) => tune::run(&args),
        Verb::Bench(args) => bench::run(&args),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            let mut cause: Option<&dyn Error> = Some(failure.as_ref());
            let mut said = String::new();
            while let Some(error) = cause {
                let text = error.to_string();
                // Wrapping errors already carry the text of what they wrap.
                if !said.contains(&text) {
                    eprintln!("{}{text}", if said.is_empty() { "wgconv: " } else { "  because: " });
                    said = text;
                }
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}
