//! Folders of further test data, their arrays, and graphs run with one kernel preferred.

// Each test file uses its own part of these.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use wgconv::gpu::{Device, Executable, ShaderChecks, SharedWeights};
use wgconv::graph::Graph;
use wgconv::plan::plan;
use wgconv::tensor::{Accuracy, Tensor};

pub type Archive = npyz::npz::NpzArchive<std::io::BufReader<std::fs::File>>;

/// The folder that a variable names, by default `../shared/<default>`; says so and gives none when it lacks `holds`.
fn folder(variable: &str, default: &str, holds: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(default);
    let folder = std::env::var_os(variable).map_or(default, PathBuf::from);
    if !folder.join(holds).exists() {
        println!("skipped: no {} (set {variable})", folder.join(holds).display());
        return None;
    }
    Some(folder)
}

/// The folder of whole models, if it holds a file or folder of this name.
pub fn models(holds: &str) -> Option<PathBuf> {
    folder("WGCONV_MODELS", "models", holds)
}

/// The folder of single layers computed by Keras, and the entries of its manifest.
pub fn goldens() -> Option<(PathBuf, Vec<Value>)> {
    let folder = folder("KERAS_GOLDENS", "goldens/keras", "manifest.json")?;
    let text = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(entries) = manifest["cases"].take() else { panic!("the manifest has no list of cases") };
    Some((folder, entries))
}

/// An array of an archive, if it has one of this name.
pub fn array(archive: &mut Archive, name: &str) -> Option<Tensor> {
    let npy = archive.by_name(name).unwrap()?;
    let shape: Vec<usize> = npy.shape().iter().map(|&size| size as usize).collect();
    Some(Tensor::from_f32(shape, npy.into_vec::<f32>().unwrap()).unwrap())
}

/// The loosest class among the ops of a graph, and the result as one rounding of a double precision computation.
pub fn accuracy(graph: &Graph) -> Accuracy {
    let classes = graph.nodes().iter().map(|node| node.op.spec().accuracy(&graph.input_types(node)));
    classes.fold(Accuracy::Elementwise, Accuracy::and)
}

/// The adapter that `WGCONV_DEVICE` names.
pub fn gpu() -> Device {
    let wanted = std::env::var("WGCONV_DEVICE").unwrap_or_default();
    pollster::block_on(Device::request(&wanted, ShaderChecks::Off)).expect("the tests need a Vulkan driver")
}

/// The outputs with one kernel preferred wherever it accepts; `None` where it is not used at all. Outputs start as NaN.
pub fn run_preferring(
    device: &Device,
    graph: &Graph,
    inputs: &BTreeMap<String, Tensor>,
    preferred: &str,
) -> Result<Option<Vec<Tensor>>, String> {
    let planned = plan(graph, device.traits(), |_, kernels| {
        let mut order: Vec<_> = kernels.iter().collect();
        order.sort_by_key(|kernel| kernel.stem != preferred);
        order
    })
    .map_err(|e| e.to_string())?;
    if !preferred.is_empty() && !planned.steps.iter().any(|step| step.kernel == preferred) {
        return Ok(None);
    }
    let executable = Executable::compile(device, Arc::new(planned), &SharedWeights::default(), &|_, _| {})
        .map_err(|e| e.to_string())?;
    executable.poison().map_err(|e| e.to_string())?;
    let inputs: Vec<Tensor> = graph.inputs().iter().map(|&id| inputs[&graph.value(id).name].clone()).collect();
    executable.run(&inputs).map(Some).map_err(|e| e.to_string())
}

/// Fails with all failures at once.
pub fn report(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
