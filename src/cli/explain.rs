//! `wgconv explain`: what the passes did, and the plan.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::inputs::InputArgs;
use super::source::ModelArg;
use super::tuning::TuningArgs;
use super::{Failure, OnDevice, Output, Stored, make_folder};
use crate::kernels::{DeviceClass, DeviceTraits};
use crate::passes::{FoldCache, Note};
use crate::plan::{Action, Plan, Step};
use crate::session::{Device, Options, TunedCase, choose_forms, plan_with, run_passes, tuned_for};
use crate::tensor::Precision;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: OnDevice,
    #[command(flatten)]
    tuning: TuningArgs,
    #[command(flatten)]
    stored: Stored,
    /// Show every rewrite rather than how often each pass applied, and every dispatch with its bindings.
    #[arg(long)]
    verbose: bool,
    /// Plan for a kind of device that need not be here, with the limits that WebGPU guarantees.
    #[arg(long, value_enum, value_name = "CLASS")]
    plan_for: Option<PlanFor>,
    /// Write the WGSL text of every distinct shader into this folder.
    #[arg(long, value_name = "DIR")]
    shaders: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PlanFor {
    Discrete,
    Integrated,
    Processor,
}

pub(super) fn run(args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let precision = args.stored.precision();
    let model = args.model.source()?;
    let graph = args.inputs.read(&args.model, &model, precision)?.graph;
    // A plan needs no device: without one it is made for a processor that runs shaders, as in continuous integration.
    let mut device = None;
    let (name, traits) = match args.plan_for {
        Some(PlanFor::Discrete) => ("a discrete GPU".into(), DeviceTraits::portable(DeviceClass::Discrete)),
        Some(PlanFor::Integrated) => ("an integrated GPU".into(), DeviceTraits::portable(DeviceClass::Integrated)),
        Some(PlanFor::Processor) => ("a processor that runs shaders".into(), DeviceTraits::lavapipe()),
        None => match args.device.open()? {
            Device::Gpu(gpu) => (gpu.summary().name, device.insert(gpu).traits().clone()),
            Device::Cpu => ("no device; planned for a processor that runs shaders".into(), DeviceTraits::lavapipe()),
        },
    };
    // A class of devices has f16 where it is asked for: most of them do.
    let half = traits.half || (args.plan_for.is_some() && precision == Precision::F16);
    let traits = DeviceTraits { half, ..traits };
    let options = args.tuning.apply(Options { precision, winograd: args.stored.winograd, ..Options::default() });
    let cache = FoldCache::default();
    let (graph, mut report) = run_passes(graph, Some(&traits), &options, &cache)?;
    let table = match &device {
        Some(device) => tuned_for(&graph, device, &options)?,
        None => None,
    };
    let graph = choose_forms(graph, &traits, &options, table.as_deref(), &cache, &mut report)?;
    let plan = plan_with(&graph, &traits, &options, table.as_deref())?;
    let choice = |step: &Step| {
        let node = step.node.and_then(|node| graph.nodes().get(node))?;
        table.as_ref()?.case(&graph, node).filter(|tuned| tuned.kernel == step.kernel)
    };
    let tuned: Vec<Option<&TunedCase>> = plan.steps.iter().map(choice).collect();
    let mut text = format!("{} on {name}\n", args.model.model);
    write_notes(&mut text, "passes applied", &report.applied, args.verbose)?;
    write_notes(&mut text, "passes refused", &report.refused, true)?;
    write_steps(&mut text, &plan, &tuned)?;
    if args.verbose {
        write!(text, "\n{plan}")?;
    }
    if let Some(folder) = &args.shaders {
        let count = write_shaders(&plan, folder)?;
        writeln!(text, "{count} shaders written to {}", folder.display())?;
    }
    args.output
        .print(&text, &json!({ "device": name, "traits": traits, "passes": report, "plan": plan, "tuned": tuned }))?;
    Ok(ExitCode::SUCCESS)
}

fn write_notes(text: &mut String, title: &str, notes: &[Note], each: bool) -> Result<(), std::fmt::Error> {
    writeln!(text, "\n{title}: {}", notes.len())?;
    if each {
        for note in notes {
            writeln!(text, "  {} at `{}`: {}", note.pass, note.node, note.what)?;
        }
        return Ok(());
    }
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for note in notes {
        match counted.iter_mut().find(|(pass, _)| *pass == note.pass) {
            Some((_, count)) => *count += 1,
            None => counted.push((note.pass, 1)),
        }
    }
    for (pass, count) in counted {
        writeln!(text, "  {pass} x{count}")?;
    }
    // What a shared kernel was hidden as is worth a line of its own, and why a convolution is computed in another way.
    for note in notes.iter().filter(|note| matches!(note.pass, "recognize_shared_kernels" | "transform_filters")) {
        writeln!(text, "  {} at `{}`: {}", note.pass, note.node, note.what)?;
    }
    Ok(())
}

fn write_steps(text: &mut String, plan: &Plan, tuned: &[Option<&TunedCase>]) -> Result<(), std::fmt::Error> {
    let rows: Vec<[String; 5]> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(position, step)| {
            let output = step.outputs.first();
            [
                position.to_string(),
                step.name.clone(),
                step.kernel.to_string(),
                output.map_or(String::new(), |placement| placement.ty.shape.to_string()),
                output.map_or(String::new(), |placement| placement.to_string()),
            ]
        })
        .collect();
    let titles = ["step", "node", "kernel", "output", "buffer"];
    let mut widths = titles.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    writeln!(text)?;
    let titles = titles.map(String::from);
    for row in std::iter::once(&titles).chain(&rows) {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(text, "{}", cells.join("  ").trim_end())?;
    }
    for (step, tuned) in plan.steps.iter().zip(tuned) {
        if let Some(tuned) = tuned {
            writeln!(text, "  `{}` by {} as tuned; the default is {}", step.name, tuned.kernel, tuned.default)?;
        }
        for (stem, why) in &step.refusals {
            writeln!(text, "  `{}` not by {stem}: {why}", step.name)?;
        }
    }
    let mb = |bytes: u64| bytes as f64 / 1e6;
    writeln!(
        text,
        "\n{} dispatches of {} pipelines, {:.1} MMAC; {} buffers of {:.3} MB (at least {:.3} live at once), weights {:.3} MB, images {:.3} MB, peak {:.3} MB",
        plan.dispatches(),
        plan.pipelines(),
        plan.cost().macs as f64 / 1e6,
        plan.buffers.len(),
        mb(plan.buffer_bytes()),
        mb(plan.live_bytes),
        mb(plan.constant_bytes()),
        mb(plan.image_bytes()),
        mb(plan.peak_bytes())
    )
}

/// Writes every distinct shader of a plan as `<stem>_<number>.wgsl`.
fn write_shaders(plan: &Plan, folder: &Path) -> Result<usize, Failure> {
    make_folder(folder)?;
    let mut written: Vec<String> = Vec::new();
    for action in plan.steps.iter().flat_map(|step| &step.actions) {
        let Action::Dispatch { dispatch, .. } = action else { continue };
        let text = dispatch.source()?;
        if !written.contains(&text) {
            let file = folder.join(format!("{}_{}.wgsl", dispatch.shader.stem, written.len()));
            std::fs::write(&file, &text).map_err(|e| format!("{}: {e}", file.display()))?;
            written.push(text);
        }
    }
    Ok(written.len())
}
