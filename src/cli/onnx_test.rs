//! `wgconv onnx-test`: runs the folders of ONNX's backend tests.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Failure, OnDevice, Output};
use crate::import::onnx::{Given, HostTensor, OnnxError, read_onnx, read_tensor_file};
use crate::session::{Device, Options, Session};
use crate::tensor::{Accuracy, Data, Tensor, compare};

#[derive(Debug, Args)]
pub(super) struct OnnxTestArgs {
    /// Test folders (`model.onnx` with `test_data_set_*`), or folders of such folders.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    device: OnDevice,
    #[command(flatten)]
    output: Output,
}

/// How a test ended.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
enum Outcome {
    Pass,
    Fail { why: String },
    Unsupported { why: String },
}

#[derive(Debug, Serialize)]
struct Row {
    test: String,
    #[serde(flatten)]
    outcome: Outcome,
}

pub(super) fn run(args: &OnnxTestArgs) -> Result<ExitCode, Failure> {
    let device = Device::select(&args.device.device)?;
    let mut tests = Vec::new();
    for folder in &args.folders {
        find(folder, &mut tests).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    if tests.is_empty() {
        return Err("no folder with a model.onnx was found".into());
    }
    let mut rows = Vec::new();
    let mut text = String::new();
    let (mut passed, mut failed, mut refused) = (0, 0, 0);
    for folder in tests {
        let outcome = test(&folder, &device).unwrap_or_else(|failure| Outcome::Fail { why: failure.to_string() });
        let test = folder.display().to_string();
        match &outcome {
            Outcome::Pass => {
                passed += 1;
                writeln!(text, "pass         {test}")?;
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
    writeln!(text, "{passed} passed, {failed} failed, {refused} unsupported on {}", device.name())?;
    let totals = serde_json::json!({ "passed": passed, "failed": failed, "unsupported": refused });
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
        Err(OnnxError::File { what, .. }) if what.contains("element type") || what.contains("is not a tensor") => {
            return Ok(Outcome::Unsupported { why: what });
        }
        read => read?,
    };
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
            if let Some(why) = difference(&found, &expected, accuracy)? {
                return Ok(Outcome::Fail { why: format!("output `{name}`: {why}") });
            }
        }
    }
    Ok(Outcome::Pass)
}

fn refusal(nodes: &[crate::import::onnx::UnsupportedNodes]) -> Outcome {
    Outcome::Unsupported { why: nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ") }
}

/// What differs. Floats are compared in the accuracy class of the whole graph; the expected values were computed in single
/// precision by other means, which is granted elementwise accuracy.
fn difference(found: &HostTensor, expected: &HostTensor, accuracy: Accuracy) -> Result<Option<String>, Failure> {
    if found.elem != expected.elem {
        return Ok(Some(format!("{:?} where {:?} is expected", found.elem, expected.elem)));
    }
    let (compared, accuracy) = if found.elem.is_float() {
        ((found.to_tensor()?, expected.to_tensor()?), accuracy.and(Accuracy::Elementwise))
    } else {
        let ints = |tensor: &HostTensor| -> Result<Tensor, Failure> {
            Ok(Tensor::new(tensor.shape.clone(), Data::I64(tensor.to_i64()?.into()))?)
        };
        ((ints(found)?, ints(expected)?), Accuracy::Exact)
    };
    let comparison = compare(&compared.0, &compared.1, accuracy, 1.0);
    Ok((!comparison.pass).then(|| comparison.to_string()))
}
