//! `wgconv onnx-test`: runs the folders of ONNX's backend tests.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Failure, OnDevice, Output, onnx_table};
use crate::graph::Graph;
use crate::import::onnx::{Given, HostTensor, OnnxError, read_onnx, read_tensor_file};
use crate::ops::{Distribution, Op};
use crate::session::{Device, Options, Session};
use crate::tensor::{Accuracy, Data, Tensor, compare};

/// The tolerances of ONNX's own runner: relative, and absolute in plain units.
const ONNX_TOLERANCE: (f64, f64) = (1e-3, 1e-7);

#[derive(Debug, Args)]
pub(super) struct OnnxTestArgs {
    /// Test folders (`model.onnx` with `test_data_set_*`), or folders of such folders.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Write a table of ops, opsets and results into a Markdown file, in place of the one that is there.
    #[arg(long, value_name = "FILE.md")]
    table: Option<PathBuf>,
    #[command(flatten)]
    device: OnDevice,
    #[command(flatten)]
    output: Output,
}

/// How a test ended.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub(super) enum Outcome {
    Pass {
        /// What the result was measured by, where that is not the accuracy class of the graph.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    Fail {
        why: String,
    },
    Unsupported {
        why: String,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub test: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

pub(super) fn run(args: &OnnxTestArgs) -> Result<ExitCode, Failure> {
    let device = args.device.open()?;
    let mut tests = Vec::new();
    for folder in &args.folders {
        find(folder, &mut tests).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    if tests.is_empty() {
        return Err("no folder with a model.onnx was found".into());
    }
    let mut rows = Vec::new();
    let mut text = String::new();
    let (mut passed, mut noted, mut failed, mut refused) = (0, 0, 0, 0);
    for folder in tests {
        let outcome = test(&folder, &device).unwrap_or_else(|failure| Outcome::Fail { why: failure.to_string() });
        let test = folder.display().to_string();
        match &outcome {
            Outcome::Pass { note } => {
                passed += 1;
                noted += usize::from(note.is_some());
                let note = note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
                writeln!(text, "pass         {test}{note}")?;
            }
            Outcome::Fail { why } => {
                failed += 1;
                writeln!(text, "fail         {test}: {why}")?;
            }
            Outcome::Unsupported { why } => {
                refused += 1;
                writeln!(text, "unsupported  {test}: {why}")?;
            }
        }
        rows.push(Row { test, outcome });
    }
    let apart = if noted == 0 { String::new() } else { format!(" ({noted} with a note)") };
    writeln!(text, "{passed} passed{apart}, {failed} failed, {refused} unsupported on {}", device.name())?;
    let totals = serde_json::json!({ "passed": passed, "noted": noted, "failed": failed, "unsupported": refused });
    if let Some(file) = &args.table {
        onnx_table::write(file, &args.folders, &rows, &device.name())?;
    }
    args.output.print(&text, &serde_json::json!({ "device": device.name(), "totals": totals, "tests": rows }))?;
    Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The test folders under a folder, in order.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if folder.join("model.onnx").is_file() {
        found.push(folder.to_path_buf());
        return Ok(());
    }
    let mut inner: Vec<PathBuf> = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    inner.sort();
    inner.iter().filter(|path| path.is_dir()).try_for_each(|path| find(path, found))
}

fn test(folder: &Path, device: &Device) -> Result<Outcome, Failure> {
    let model = match read_onnx(&folder.join("model.onnx")) {
        Err(OnnxError::Unsupported { nodes, .. }) => return Ok(refusal(&nodes)),
        read => read?,
    };
    let mut notes: Vec<String> = Vec::new();
    for set in 0.. {
        let data = folder.join(format!("test_data_set_{set}"));
        if !data.is_dir() {
            break;
        }
        let mut given = BTreeMap::new();
        for (i, input) in model.inputs().iter().enumerate() {
            let path = data.join(format!("input_{i}.pb"));
            // Trailing inputs that the op may go without have no file.
            if path.is_file() {
                given.insert(input.name.clone(), Given::Tensor(read_tensor_file(&path)?.1));
            }
        }
        let lowered = match model.graph(&given) {
            Err(OnnxError::Unsupported { nodes, .. }) => return Ok(refusal(&nodes)),
            lowered => lowered?,
        };
        let accuracy =
            lowered.graph.nodes().iter().fold(Accuracy::Exact, |worst, node| {
                worst.and(node.op.spec().accuracy(&lowered.graph.input_types(node)))
            });
        let inputs: BTreeMap<String, Tensor> = lowered
            .graph
            .inputs()
            .iter()
            .filter_map(|&id| match given.get(&lowered.graph.value(id).name) {
                Some(Given::Tensor(tensor)) => Some((lowered.graph.value(id).name.clone(), tensor.to_tensor().ok()?)),
                _ => None,
            })
            .collect();
        let computed = if lowered.graph.outputs().is_empty() {
            BTreeMap::new()
        } else {
            Session::new(lowered.graph.clone(), device.clone(), Options::default()).run(&inputs)?
        };
        for (i, (name, tensor)) in lowered.finish(&computed).into_iter().enumerate() {
            let path = data.join(format!("output_{i}.pb"));
            if !path.is_file() {
                continue;
            }
            let (expected, found) = (read_tensor_file(&path)?.1, tensor.ok_or("it was not computed")?);
            let verdict = match ratio_of(&lowered.graph) {
                Some(ratio) => drawn(&found, &expected, ratio)?,
                None => difference(&found, &expected, accuracy)?,
            };
            match verdict {
                Verdict::Same => {}
                Verdict::Noted(note) => notes.push(format!("output `{name}`: {note}")),
                Verdict::Differs(why) => return Ok(Outcome::Fail { why: format!("output `{name}`: {why}") }),
            }
        }
    }
    Ok(Outcome::Pass { note: (!notes.is_empty()).then(|| notes.join("; ")) })
}

fn refusal(nodes: &[crate::import::onnx::UnsupportedNodes]) -> Outcome {
    Outcome::Unsupported { why: nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ") }
}

/// What a comparison found.
enum Verdict {
    Same,
    /// The same by another measure than the usual one.
    Noted(String),
    Differs(String),
}

/// Floats are compared in the accuracy class of the whole graph; the expected values were computed in single precision by
/// other means, which is granted elementwise accuracy. Where they are less accurate than that, ONNX's own tolerance counts,
/// with a note.
fn difference(found: &HostTensor, expected: &HostTensor, accuracy: Accuracy) -> Result<Verdict, Failure> {
    if found.elem != expected.elem {
        return Ok(Verdict::Differs(format!("{:?} where {:?} is expected", found.elem, expected.elem)));
    }
    if !found.elem.is_float() {
        let ints = |tensor: &HostTensor| -> Result<Tensor, Failure> {
            Ok(Tensor::new(tensor.shape.clone(), Data::I64(tensor.to_i64()?.into()))?)
        };
        let comparison = compare(&ints(found)?, &ints(expected)?, Accuracy::Exact, 1.0);
        return Ok(if comparison.pass { Verdict::Same } else { Verdict::Differs(comparison.to_string()) });
    }
    let comparison = compare(&found.to_tensor()?, &expected.to_tensor()?, accuracy.and(Accuracy::Elementwise), 1.0);
    if comparison.pass {
        return Ok(Verdict::Same);
    }
    let (relative, absolute) = ONNX_TOLERANCE;
    let near =
        |(a, b): (f64, f64)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= absolute + relative * b.abs();
    let all = found.shape == expected.shape && found.to_f64().into_iter().zip(expected.to_f64()).all(near);
    Ok(match all {
        true => Verdict::Noted(format!("within ONNX's tolerance of {relative:e}, but {comparison}")),
        false => Verdict::Differs(comparison.to_string()),
    })
}

/// The share of zeros that a graph draws by chance, if it does.
fn ratio_of(graph: &Graph) -> Option<f64> {
    graph.nodes().iter().find_map(|node| match &node.op {
        Op::Random(random) => match random.distribution {
            Distribution::Keep { rate } => Some(f64::from(rate)),
            Distribution::Normal { .. } => None,
        },
        _ => None,
    })
}

/// Dropout: ONNX leaves the generator open, so that two masks agree by chance only. What both keep must be equal, and the
/// share of zeros must be one that the ratio makes likely (five standard deviations).
fn drawn(found: &HostTensor, expected: &HostTensor, ratio: f64) -> Result<Verdict, Failure> {
    if (found.elem, &found.shape) != (expected.elem, &expected.shape) {
        let what =
            format!("{:?} {:?} where {:?} {:?} is expected", found.elem, found.shape, expected.elem, expected.shape);
        return Ok(Verdict::Differs(what));
    }
    let (found, expected) = (found.to_f64(), expected.to_f64());
    let kept = found.iter().zip(&expected).filter(|&(&a, &b)| a != 0.0 && b != 0.0);
    if let Some((a, b)) = kept.clone().find(|&(a, b)| (a - b).abs() > 1e-6 * b.abs()) {
        return Ok(Verdict::Differs(format!("{a:e} where {b:e} is expected, and neither was dropped")));
    }
    let share = found.iter().filter(|&&x| x == 0.0).count() as f64 / found.len().max(1) as f64;
    if (share - ratio).abs() > 5.0 * (ratio * (1.0 - ratio) / found.len().max(1) as f64).sqrt() {
        return Ok(Verdict::Differs(format!("{share:.3} of the elements dropped for a ratio of {ratio}")));
    }
    Ok(Verdict::Noted(format!(
        "the mask is drawn by another generator; {} elements that both keep are equal, {share:.3} dropped for a ratio of \
         {ratio}",
        kept.count()
    )))
}
