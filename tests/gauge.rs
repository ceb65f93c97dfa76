//! What AMD's compiler says of the kernels for GPUs: no registers are spilled, and the table of `docs/kernels.md`.
//!
//! Needs the program `radv-gauge` (`RADV_GAUGE`, or what `scripts/gauge` built) and Mesa's driver for AMD, but no card.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use wgconv::bench::LAYERS;
use wgconv::graph::Graph;
use wgconv::kernels::{DeviceClass, DeviceTraits, Dispatch, preferred};
use wgconv::passes::{FoldCache, optimize, specialize, winograd};
use wgconv::plan::{Action, plan};
use wgconv::zoo;

const FAMILIES: [&str; 2] = ["navi21", "gfx1100"];
/// The share of the time that goes to multiply-adds at least, over all structures that are shipped.
const SHARES: &[(&str, f64)] =
    &[("pointwise", 0.85), ("conv_gemm", 0.8), ("conv_direct", 0.7), ("separable", 0.55), ("depthwise", 0.35)];

/// Options that do not change a kernel's structure.
const EPILOGUES: [&str; 12] = [
    "T",
    "bias",
    "residual",
    "activation",
    "inner_bias",
    "inner_activation",
    "expand_bias",
    "expand_activation",
    "biases",
    "form",
    "forms",
    "axes",
];

/// A shader of the GPU family: its text, and the dispatch it is for.
struct Shipped {
    text: String,
    dispatch: Dispatch,
}

/// Every distinct shader of the layers and of all networks, as planned for a discrete GPU, by Winograd's algorithm, too.
fn shipped() -> Vec<Shipped> {
    let traits = DeviceTraits::portable(DeviceClass::Discrete);
    let mut graphs: Vec<Graph> = LAYERS.iter().map(|layer| layer.graph().unwrap()).collect();
    graphs.extend(zoo::ENTRIES.iter().map(|entry| zoo::build(entry.name).unwrap().graph(1).unwrap()));
    let mut shaders: Vec<Shipped> = Vec::new();
    for graph in graphs {
        let (graph, _) = optimize(graph, &FoldCache::default()).unwrap();
        let (graph, _) = specialize(graph, &traits).unwrap();
        let (transformed, _) = winograd(graph.clone(), &traits, &FoldCache::default(), &|_, _| None).unwrap();
        let plans =
            [graph, transformed].map(|graph| plan(&graph, &traits, |node, _| preferred(&node.op, &traits)).unwrap());
        for action in plans.iter().flat_map(|plan| &plan.steps).flat_map(|step| &step.actions) {
            let Action::Dispatch { dispatch, .. } = action else { continue };
            let text = dispatch.source().unwrap();
            if !shaders.iter().any(|shader| shader.text == text) {
                shaders.push(Shipped { text, dispatch: dispatch.clone() });
            }
        }
    }
    shaders
}

/// What the gauge says of one shader on one family.
#[derive(Clone)]
struct Reading(Value);

impl Reading {
    fn number(&self, field: &str) -> f64 {
        self.0[field].as_f64().unwrap_or(f64::NAN)
    }

    fn spills(&self) -> f64 {
        self.number("spilled_vgprs") + self.number("spilled_sgprs") + self.number("scratch_bytes")
    }
}

fn gauge() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/radv-gauge/release/radv-gauge");
    let gauge = std::env::var_os("RADV_GAUGE").map_or(built, PathBuf::from);
    if !gauge.exists() {
        println!("skipped: no {} (scripts/gauge builds it; or set RADV_GAUGE)", gauge.display());
        return None;
    }
    Some(gauge)
}

/// The readings of every shader, in the order of [`FAMILIES`]; `None` where the program or the driver is missing.
fn readings(shaders: &[Shipped]) -> Option<Vec<Vec<Reading>>> {
    let gauge = gauge()?;
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = (0..shaders.len()).map(|i| folder.path().join(format!("{i}.wgsl"))).collect();
    shaders.iter().zip(&files).for_each(|(shader, file)| std::fs::write(file, &shader.text).unwrap());
    let command = Command::new(gauge).arg("--family").arg(FAMILIES.join(",")).args(&files).output().unwrap();
    let complaint = String::from_utf8_lossy(&command.stderr);
    let lines = String::from_utf8(command.stdout).unwrap();
    if lines.is_empty() && complaint.contains("radeon_icd") {
        println!("skipped: {complaint}");
        return None;
    }
    assert!(command.status.success(), "{complaint}");
    let mut readings = vec![Vec::new(); shaders.len()];
    for line in lines.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let stem = Path::new(value["file"].as_str().unwrap()).file_stem().unwrap().to_string_lossy().to_string();
        readings[stem.parse::<usize>().unwrap()].push(Reading(value));
    }
    assert!(readings.iter().all(|found| found.len() == FAMILIES.len()), "{complaint}");
    Some(readings)
}

/// The options that give a kernel its structure, those of the epilogue left out.
fn structure(dispatch: &Dispatch) -> String {
    let told = |(name, value): &(&&str, &Value)| {
        let plain = value.is_null() || **value == Value::Bool(false);
        !plain && !EPILOGUES.contains(name)
    };
    let options = dispatch.shader.options.iter().filter(told);
    options.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ").replace('"', "")
}

/// A row for each kernel and structure, with the worst of what its shaders with different epilogues have.
fn table(shaders: &[Shipped], readings: &[Vec<Reading>]) -> String {
    let mut rows: BTreeMap<(&str, String), Vec<usize>> = BTreeMap::new();
    for (i, shader) in shaders.iter().enumerate() {
        rows.entry((shader.dispatch.shader.stem, structure(&shader.dispatch))).or_default().push(i);
    }
    let mut text = String::from(
        "| kernel | structure | shaders | registers | spills | waves | FMA |\n|---|---|---|---|---|---|---|\n",
    );
    for ((stem, structure), members) in rows {
        let each = |pick: &dyn Fn(&Reading) -> f64, worst: fn(f64, f64) -> f64| {
            let of = |family: usize| members.iter().map(|&i| pick(&readings[i][family])).reduce(worst).unwrap();
            [of(0), of(1)]
        };
        let [registers, more_registers] = each(&|r| r.number("vgprs"), f64::max);
        let [spills, more_spills] = each(&Reading::spills, f64::max);
        let [waves, more_waves] = each(&|r| r.number("waves_per_simd"), f64::min);
        let [share, more_share] = each(&|r| r.number("eff") * 100.0, f64::min);
        writeln!(
            text,
            "| {stem} | {structure} | {} | {registers} / {more_registers} | {} | {waves} / {more_waves} | {share:.0}% / {more_share:.0}% |",
            members.len(),
            spills + more_spills,
        )
        .unwrap();
    }
    text
}

#[test]
fn kernels_for_gpus_stay_in_registers() {
    let shaders = shipped();
    let Some(readings) = readings(&shaders) else { return };
    let mut wrong = Vec::new();
    for (shader, readings) in shaders.iter().zip(&readings) {
        let stem = shader.dispatch.shader.stem;
        for reading in readings {
            let (waves, share) = (reading.number("waves_per_simd"), reading.number("eff"));
            let told = format!("{stem} ({}) on {}", structure(&shader.dispatch), reading.0["family"]);
            if reading.spills() > 0.0 {
                wrong.push(format!("{told} spills"));
            }
            if waves < 4.0 {
                wrong.push(format!("{told} leaves room for {waves} waves"));
            }
            if SHARES.iter().any(|(kernel, least)| *kernel == stem && share < *least) {
                wrong.push(format!("{told} gives {:.0}% of its time to multiply-adds", share * 100.0));
            }
        }
    }
    let table = table(&shaders, &readings);
    println!("{table}");
    if let Some(file) = std::env::var_os("WGCONV_GAUGE_TABLE") {
        let text = std::fs::read_to_string(&file).unwrap();
        let (prose, _) = text.split_once("## Table\n").expect("a heading `## Table`");
        std::fs::write(&file, format!("{prose}## Table\n\n{table}")).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
