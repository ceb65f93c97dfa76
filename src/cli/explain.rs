//! `wgconv explain`: what the passes did, and the plan.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::inputs::InputArgs;
use super::source::ModelArg;
use super::{Failure, OnDevice, Output};
use crate::kernels::DeviceTraits;
use crate::passes::{FoldCache, Note, optimize};
use crate::plan::{Plan, plan};
use crate::session::Device;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: OnDevice,
    /// Show every rewrite rather than how often each pass applied, and every dispatch with its bindings.
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let model = args.model.load()?;
    let (graph, _) = args.inputs.read(&model)?;
    // A plan needs no device: without one it is made for a processor that runs shaders, as in continuous integration.
    let (name, traits) = match Device::select(&args.device.device)? {
        Device::Gpu(device) => (device.summary().name, device.traits().clone()),
        Device::Cpu => ("no device; planned for lavapipe".into(), DeviceTraits::lavapipe()),
    };
    let (graph, report) = optimize(graph, &FoldCache::default())?;
    let plan = plan(&graph, &traits, |_, candidates| candidates.iter().collect())?;
    let mut text = format!("{} on {name}\n", args.model.model);
    write_notes(&mut text, "passes applied", &report.applied, args.verbose)?;
    write_notes(&mut text, "passes refused", &report.refused, true)?;
    write_steps(&mut text, &plan)?;
    if args.verbose {
        write!(text, "\n{plan}")?;
    }
    args.output.print(&text, &json!({ "device": name, "traits": traits, "passes": report, "plan": plan }))?;
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
    // What a shared kernel was hidden as is worth a line of its own.
    for note in notes.iter().filter(|note| note.pass == "recognize_shared_kernels") {
        writeln!(text, "  {} at `{}`: {}", note.pass, note.node, note.what)?;
    }
    Ok(())
}

fn write_steps(text: &mut String, plan: &Plan) -> Result<(), std::fmt::Error> {
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
                output.map_or(String::new(), |placement| placement.buffer.to_string()),
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
    for step in &plan.steps {
        for (stem, why) in &step.refusals {
            writeln!(text, "  `{}` not by {stem}: {why}", step.name)?;
        }
    }
    let mb = |bytes: u64| bytes as f64 / 1e6;
    writeln!(
        text,
        "\n{} dispatches, {:.1} MMAC; {} slots of {:.3} MB (at least {:.3} live at once), weights {:.3} MB, images {:.3} MB, peak {:.3} MB",
        plan.dispatches(),
        plan.cost().macs as f64 / 1e6,
        plan.slots.len(),
        mb(plan.slot_bytes()),
        mb(plan.live_bytes),
        mb(plan.constant_bytes()),
        mb(plan.image_bytes()),
        mb(plan.peak_bytes())
    )
}
