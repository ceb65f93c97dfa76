//! Timing a whole model: cold start by phases, then repeated runs with upload and readback apart.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{ProcessUse, Statistics, process_use};
use crate::error::SessionError;
use crate::gpu::Executable;
use crate::session::Session;
use crate::tensor::{Precision, Tensor};

/// Milliseconds of every phase up to the first output.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ColdStart {
    /// Reading the file, or building the model and its seeded weights.
    pub parse_ms: f64,
    /// Opening the device.
    pub device_ms: f64,
    /// Rewriting the graph and planning.
    pub plan_ms: f64,
    /// Pipelines, buffers, uploads of weights, and what the driver does with each shader before it first runs.
    pub compile_ms: f64,
    /// Distinct pipelines.
    pub pipelines: usize,
    /// Threads' time for rendering shader templates; they work side by side within `compile_ms`.
    pub render_ms: f64,
    /// Threads' time for reading and validating WGSL.
    pub parse_wgsl_ms: f64,
    /// Threads' time for writing shaders for the driver, and in the driver's `create pipeline`.
    pub driver_ms: f64,
    /// The first run, during which some drivers translate shaders.
    pub first_run_ms: f64,
}

/// The report of a model on a device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelBench {
    /// The model, as it was asked for.
    pub model: String,
    /// The device.
    pub device: String,
    /// Input shapes by name.
    pub inputs: BTreeMap<String, String>,
    /// Multiply-accumulates of one run.
    pub macs: u64,
    /// Dispatches of one run; 0 on the CPU reference.
    pub dispatches: usize,
    /// How weights and intermediate values are stored.
    pub precision: Precision,
    /// Bytes of weights on the device; 0 on the CPU reference.
    pub weight_bytes: u64,
    /// Bytes on the device while it runs; 0 on the CPU reference.
    pub peak_device_bytes: u64,
    /// Phases up to the first output.
    pub cold: ColdStart,
    /// Milliseconds of whole runs: upload, compute and readback.
    pub run_ms: Statistics,
    /// Milliseconds of the upload alone, through a staging buffer, which whole runs on processors do without; `None` on the CPU
    /// reference.
    pub upload_ms: Option<Statistics>,
    /// Milliseconds of submit and wait, without upload and readback.
    pub compute_ms: Option<Statistics>,
    /// Milliseconds of the readback alone, as the upload.
    pub readback_ms: Option<Statistics>,
    /// Billions of floating point operations per second of the median run.
    pub gflops: f64,
    /// Processor milliseconds per whole run, all threads.
    pub cpu_ms_per_run: Option<f64>,
    /// What the process has used in all.
    pub process: ProcessUse,
}

/// Times `runs` runs of a model after its cold start. `parse` and `device` are what was spent before the session existed;
/// `seen(done, total)` is called after every run.
///
/// # Errors
/// [`SessionError`] when the model cannot be compiled or run.
pub fn bench_model(
    model: &str,
    session: &Session,
    inputs: &BTreeMap<String, Tensor>,
    runs: usize,
    (parse, device): (Duration, Duration),
    mut seen: impl FnMut(usize, usize),
) -> Result<ModelBench, SessionError> {
    let types = inputs.iter().map(|(name, tensor)| (name.clone(), tensor.tensor_type())).collect();
    let compiled = session.compile(&types)?;
    let (plan_time, compile_time) = compiled.compile_times();
    let times = compiled.executable().map(Executable::pipeline_times).unwrap_or_default();
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let timed = |work: &mut dyn FnMut() -> Result<(), SessionError>| -> Result<f64, SessionError> {
        let start = Instant::now();
        work()?;
        Ok(ms(start.elapsed()))
    };
    let mut whole = || compiled.run(inputs).map(|_| ());
    let first_run_ms = timed(&mut whole)?;
    // The second run is still warming caches and clocks.
    timed(&mut whole)?;
    let runs = runs.max(1);
    let before = process_use();
    let mut run_ms = Vec::with_capacity(runs);
    for done in 1..=runs {
        run_ms.push(timed(&mut whole)?);
        seen(done, runs);
    }
    let after = process_use();
    let cpu_ms_per_run = match (before.cpu_seconds, after.cpu_seconds) {
        (Some(before), Some(after)) => Some((after - before) * 1e3 / runs as f64),
        _ => None,
    };
    let mut phases: [Vec<f64>; 3] = Default::default();
    if let Ok(executable) = compiled.executable() {
        let ordered = compiled.ordered(inputs)?;
        for _ in 0..runs {
            phases[0].push(timed(&mut || Ok(executable.upload(&ordered)?))?);
            phases[1].push(timed(&mut || Ok(executable.execute()?))?);
            phases[2].push(timed(&mut || Ok(executable.download().map(|_| ())?))?);
        }
    }
    let [upload, compute, readback] = phases.map(|phase| Statistics::of(&phase));
    let cost: crate::ops::Cost = compiled
        .graph()
        .nodes()
        .iter()
        .map(|node| node.op.spec().cost(&compiled.graph().input_types(node), &compiled.graph().output_types(node)))
        .sum();
    let run_ms = Statistics::of(&run_ms).unwrap_or_default();
    Ok(ModelBench {
        model: model.into(),
        device: session.device().name(),
        inputs: inputs.iter().map(|(name, tensor)| (name.clone(), tensor.tensor_type().to_string())).collect(),
        macs: cost.macs,
        dispatches: compiled.plan().map_or(0, |plan| plan.dispatches()),
        precision: session.options().precision,
        weight_bytes: compiled.plan().map_or(0, |plan| plan.constant_bytes()),
        peak_device_bytes: compiled.plan().map_or(0, |plan| plan.peak_bytes()),
        cold: ColdStart {
            parse_ms: ms(parse),
            device_ms: ms(device),
            plan_ms: ms(plan_time),
            compile_ms: ms(compile_time),
            pipelines: times.compiled,
            render_ms: ms(times.render),
            parse_wgsl_ms: ms(times.parse),
            driver_ms: ms(times.driver),
            first_run_ms,
        },
        run_ms,
        upload_ms: upload,
        compute_ms: compute,
        readback_ms: readback,
        gflops: 2.0 * cost.macs as f64 / (run_ms.median * 1e6).max(f64::MIN_POSITIVE),
        cpu_ms_per_run,
        process: process_use(),
    })
}

impl fmt::Display for ModelBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs: Vec<String> = self.inputs.iter().map(|(name, ty)| format!("{name} {ty}")).collect();
        writeln!(f, "{} on {} with {}", self.model, self.device, inputs.join(", "))?;
        writeln!(
            f,
            "  work        {:.1} MMAC, {} dispatches; stored as {}: {:.1} MB on the device, {:.1} of them weights",
            self.macs as f64 / 1e6,
            self.dispatches,
            self.precision,
            self.peak_device_bytes as f64 / 1e6,
            self.weight_bytes as f64 / 1e6
        )?;
        let cold = &self.cold;
        let total = cold.parse_ms + cold.device_ms + cold.plan_ms + cold.compile_ms + cold.first_run_ms;
        writeln!(
            f,
            "  cold start  {total:.0} ms: parse {:.1}, device {:.1}, plan {:.1}, pipelines and weights {:.1}, first run {:.1}",
            cold.parse_ms, cold.device_ms, cold.plan_ms, cold.compile_ms, cold.first_run_ms
        )?;
        writeln!(
            f,
            "  pipelines   {}: threads spent {:.1} ms on templates, {:.1} on WGSL, {:.1} in the driver",
            cold.pipelines, cold.render_ms, cold.parse_wgsl_ms, cold.driver_ms
        )?;
        let line = |f: &mut fmt::Formatter<'_>, name: &str, s: &Statistics| {
            writeln!(f, "  {name:<11} median {:.3} ms, min {:.3}, p90 {:.3} ({} runs)", s.median, s.min, s.p90, s.runs)
        };
        line(f, "run", &self.run_ms)?;
        for (name, phase) in
            [("  upload", &self.upload_ms), ("  compute", &self.compute_ms), ("  readback", &self.readback_ms)]
        {
            if let Some(phase) = phase {
                line(f, name, phase)?;
            }
        }
        writeln!(f, "  rate        {:.2} GFLOP/s at the median", self.gflops)?;
        if let (Some(cpu), Some(rss)) = (self.cpu_ms_per_run, self.process.peak_rss_bytes) {
            writeln!(f, "  processor   {cpu:.1} ms of CPU per run, peak RSS {:.1} MB", rss as f64 / 1e6)?;
        }
        Ok(())
    }
}
