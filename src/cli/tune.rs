//! `wgconv tune`: measures the kernels of a model's cases, and writes the table that plans choose by.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::inputs::InputArgs;
use super::source::ModelArg;
use super::{Failure, OnDevice, Output, progress};
use crate::passes::FoldCache;
use crate::session::{CheckedAgainst, Options, TunedCase, TunedForm, TuningTable, plan_with, run_passes, tune};
use crate::tensor::Precision;

#[derive(Debug, Args)]
pub(super) struct TuneArgs {
    #[command(flatten)]
    model: ModelArg,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: OnDevice,
    /// The table: read if it is there, completed, written. As a rule it lies in the user's folder for caches.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Measure everything anew, also what the table has, and forget its quarantine.
    #[arg(long)]
    again: bool,
    /// Measure 3x3 convolutions by Winograd's algorithm, too, for --winograd with --tuning.
    #[arg(long)]
    winograd: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &TuneArgs) -> Result<ExitCode, Failure> {
    let model = args.model.source()?;
    let graph = args.inputs.read(&args.model, &model, Precision::F32)?.graph;
    let device = args.device.open_gpu("kernels are tuned")?;
    let path = args.out.clone().map_or_else(|| TuningTable::default_path(&device), Ok)?;
    // What somebody else wrote, or meant for another device, is not ours to replace.
    let mut table = TuningTable::open(&path, &device, args.out.is_none())?;
    if args.again {
        table = TuningTable::new(&device);
    }
    let options = Options { winograd: args.winograd, ..progress::options(true) };
    let (graph, _) = run_passes(graph, Some(device.traits()), &options, &FoldCache::default())?;
    // What has no plan has nothing to be tuned, and where nothing can be written nothing should be measured.
    plan_with(&graph, device.traits(), &options, None)?;
    if !path.exists() {
        table.write(&path)?;
    }
    let measured = tune(&graph, &device, &mut table, &options);
    table.write(&path)?;
    let measured = measured?;
    let (mut cases, mut forms): (Vec<&TunedCase>, Vec<&TunedForm>) = Default::default();
    for node in graph.nodes() {
        cases.extend(table.case(&graph, node).filter(|tuned| !cases.contains(tuned)));
        forms.extend(table.form(&graph, node).filter(|form| args.winograd && !forms.contains(form)));
    }
    let mut text = format!("{} on {}\n", args.model.model, device.summary().name);
    for tuned in &cases {
        write_case(&mut text, tuned)?;
    }
    for form in &forms {
        let TunedForm { node, winograd, kernel, milliseconds, winograd_milliseconds: other, .. } = form;
        let verdict = if *winograd { "by Winograd's algorithm" } else { "as it is" };
        writeln!(text, "{node:<28} {verdict} (transformed {other:.3} ms, {kernel} {milliseconds:.3} ms)")?;
    }
    for entry in table.quarantine() {
        writeln!(text, "in quarantine: {} for {}: {}", entry.kernel, entry.case, entry.reason)?;
    }
    writeln!(text, "{measured} cases measured, {} known in all; written to {}", cases.len(), path.display())?;
    args.output.print(
        &text,
        &json!({ "measured": measured, "cases": cases, "forms": forms, "quarantine": table.quarantine(), "file": path }),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn write_case(text: &mut String, tuned: &TunedCase) -> std::fmt::Result {
    let mut times: Vec<(&String, &f64)> = tuned.milliseconds.iter().collect();
    times.sort_by(|a, b| a.1.total_cmp(b.1));
    let times: Vec<String> = times.iter().map(|(kernel, ms)| format!("{kernel} {ms:.3} ms")).collect();
    let by = match tuned.checked_against {
        CheckedAgainst::Reference => "",
        CheckedAgainst::DefaultKernel => "; held against the default kernel",
    };
    let instead = if tuned.kernel == tuned.default { "" } else { " instead of the default" };
    writeln!(text, "{:<28} {}{instead} ({}{by})", tuned.node, tuned.kernel, times.join(", "))
}
