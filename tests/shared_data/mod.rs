//! Folders of further test data and their arrays, the device of the tests, and graphs run with one kernel preferred.

// Each test file uses its own part of these.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use wgconv::gpu::{self, Executable, SharedWeights};
use wgconv::graph::Graph;
use wgconv::layers::{Input, LayerRef, Model, SymbolicTensor, layer_from_config};
use wgconv::plan::plan;
use wgconv::session::Device;
use wgconv::tensor::{Accuracy, Tensor};

pub type Archive = npyz::npz::NpzArchive<std::io::BufReader<std::fs::File>>;

/// The folder that a variable names, by default `../shared/<default>`; says so and gives none when it lacks `holds`.
pub fn folder(variable: &str, default: &str, holds: &str) -> Option<PathBuf> {
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

/// A single layer computed by Keras.
pub struct Golden {
    pub id: String,
    pub layer: LayerRef,
    pub model: Model,
    /// What goes in, in order; the model's inputs are called `x0`, `x1`, ..
    pub inputs: Vec<Tensor>,
    /// Weights as `w.NAME`, results as `y`, gradients as `dx0`, `g.NAME`, ..
    pub archive: Archive,
}

/// Reads an entry of the manifest of [`goldens`].
pub fn golden(folder: &Path, entry: &Value) -> Result<Golden, String> {
    let id = entry["id"].as_str().unwrap().to_string();
    let mut config: Map<String, Value> = entry["config"].as_object().cloned().unwrap_or_default();
    config.insert("name".into(), "layer".into());
    let layer = layer_from_config(entry["layer"].as_str().unwrap(), &config).map_err(|e| e.to_string())?;
    let mut archive = Archive::open(folder.join(format!("{id}.npz"))).map_err(|e| e.to_string())?;
    let count = entry["inputs"].as_array().unwrap().len();
    let inputs: Vec<Tensor> = (0..count).map(|i| array(&mut archive, &format!("x{i}")).unwrap()).collect();
    let open = |x: &Tensor| x.shape()[1..].iter().map(|&size| Some(size)).collect();
    let symbols: Vec<SymbolicTensor> =
        inputs.iter().enumerate().map(|(i, x)| Input::open(format!("x{i}"), open(x))).collect();
    let output = layer.call_many(&symbols.iter().collect::<Vec<_>>());
    let model = Model::new(&symbols, &[output]).map_err(|e| e.to_string())?;
    Ok(Golden { id, layer, model, inputs, archive })
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

/// The device that `WGCONV_DEVICE` names, as a rule the preferred adapter. Without one tests fail rather than pass for nothing.
pub fn device() -> Device {
    let wanted = std::env::var("WGCONV_DEVICE").unwrap_or_else(|_| "gpu".into());
    Device::select(&wanted).expect("the tests need a Vulkan driver")
}

/// As [`device`], for tests of what only an adapter does.
pub fn gpu() -> gpu::Device {
    match device() {
        Device::Gpu(device) => device,
        Device::Cpu => panic!("WGCONV_DEVICE names the CPU reference, and this test needs an adapter"),
    }
}

/// The outputs with one kernel preferred wherever it accepts; `None` where it is not used at all. Outputs start as NaN.
pub fn run_preferring(
    device: &gpu::Device,
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
