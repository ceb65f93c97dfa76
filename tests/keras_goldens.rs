//! All forward cases made with Keras, on the CPU reference and on the GPU by every accepting kernel.
//!
//! The folder is `KERAS_GOLDENS` (default `../shared/goldens/keras`): a `manifest.json` and one `.npz` per case.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use wgconv::cpu;
use wgconv::gpu::{Device, Executable, ShaderChecks, SharedWeights};
use wgconv::graph::Graph;
use wgconv::kernels::candidates;
use wgconv::layers::{Input, LayerRef, Model, SymbolicTensor, layer_from_config};
use wgconv::passes::{FoldCache, optimize};
use wgconv::plan::plan;
use wgconv::tensor::{Accuracy, Tensor, compare};

fn folder() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/goldens/keras");
    let folder = std::env::var_os("KERAS_GOLDENS").map_or(default, PathBuf::from);
    if !folder.join("manifest.json").is_file() {
        println!("skipped: no manifest.json in {} (set KERAS_GOLDENS)", folder.display());
        return None;
    }
    Some(folder)
}

struct Case {
    id: String,
    graph: Graph,
    inputs: BTreeMap<String, Tensor>,
    expected: Tensor,
}

fn array(archive: &mut npyz::npz::NpzArchive<std::io::BufReader<std::fs::File>>, name: &str) -> Tensor {
    let npy = archive.by_name(name).unwrap().unwrap_or_else(|| panic!("no array {name}"));
    let shape: Vec<usize> = npy.shape().iter().map(|&size| size as usize).collect();
    Tensor::from_f32(shape, npy.into_vec::<f32>().unwrap()).unwrap()
}

fn load(folder: &Path, entry: &Value) -> Result<Case, String> {
    let id = entry["id"].as_str().unwrap().to_string();
    let mut config: Map<String, Value> = entry["config"].as_object().cloned().unwrap_or_default();
    config.insert("name".into(), "layer".into());
    let layer: LayerRef = layer_from_config(entry["layer"].as_str().unwrap(), &config).map_err(|e| e.to_string())?;
    let mut archive = npyz::npz::NpzArchive::open(folder.join(format!("{id}.npz"))).map_err(|e| e.to_string())?;
    let count = entry["inputs"].as_array().unwrap().len();
    let arrays: Vec<Tensor> = (0..count).map(|i| array(&mut archive, &format!("x{i}"))).collect();
    let symbols: Vec<SymbolicTensor> = arrays
        .iter()
        .enumerate()
        .map(|(i, x)| Input::open(format!("x{i}"), x.shape()[1..].iter().map(|&size| Some(size)).collect()))
        .collect();
    let output = layer.call_many(&symbols.iter().collect::<Vec<_>>());
    let model = Model::new(&symbols, &[output]).map_err(|e| e.to_string())?;
    for weight in layer.weights() {
        let values = array(&mut archive, &format!("w.{}", weight.spec().name));
        weight.set(values).map_err(|e| e.to_string())?;
    }
    let batch = arrays[0].shape()[0];
    let mut inputs: BTreeMap<String, Tensor> =
        arrays.into_iter().enumerate().map(|(i, x)| (format!("x{i}"), x)).collect();
    let graph = match entry["training"].as_bool() {
        Some(true) => {
            let training = model.training_graph(batch, &BTreeMap::new()).map_err(|e| e.to_string())?;
            inputs.extend(training.weights.iter().map(|weight| (weight.name.clone(), weight.weight.get())));
            let mut graph = training.graph;
            training.outputs.into_iter().for_each(|(name, value)| graph.output(name, value));
            graph
        }
        _ => model.graph(batch).map_err(|e| e.to_string())?,
    };
    Ok(Case { id, graph, inputs, expected: array(&mut archive, "y") })
}

fn cases() -> Vec<Result<Case, String>> {
    let Some(folder) = folder() else { return Vec::new() };
    let text = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    let entries = manifest["cases"].as_array().unwrap();
    let mut refused = 0;
    let loaded = entries
        .iter()
        .filter(|entry| {
            // Keras has no result for a few cases; here they must work without one.
            let has_result = entry.get("output").is_some();
            refused += usize::from(!has_result);
            has_result
        })
        .map(|entry| load(&folder, entry).map_err(|why| format!("{}: {why}", entry["id"])))
        .collect();
    println!("{} cases, {refused} of them without a result because Keras refuses them", entries.len());
    loaded
}

/// The loosest class among the ops of a graph, and the result as one rounding of a double precision computation.
fn accuracy(graph: &Graph) -> Accuracy {
    let classes = graph.nodes().iter().map(|node| node.op.spec().accuracy(&graph.input_types(node)));
    classes.fold(Accuracy::Elementwise, Accuracy::and)
}

#[test]
fn the_reference_computes_what_keras_computes() {
    let mut failures = Vec::new();
    for case in cases() {
        let case = match case {
            Ok(case) => case,
            Err(why) => {
                failures.push(why);
                continue;
            }
        };
        match cpu::run(&case.graph, &case.inputs) {
            Ok(outputs) => {
                // Layers of one op are rounded once, as Keras's double precision result is; some have a few ops.
                let ops = case.graph.nodes().len() as f64;
                let comparison = compare(&outputs[0], &case.expected, Accuracy::Elementwise, ops.max(1.0));
                if !comparison.pass {
                    failures.push(format!("{}: {comparison}", case.id));
                }
            }
            Err(why) => failures.push(format!("{}: {why}", case.id)),
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// Plans with one kernel preferred wherever it accepts, and compares.
fn run_on_gpu(device: &Device, case: &Case, graph: &Graph, preferred: &str) -> Result<bool, String> {
    let planned = plan(graph, device.traits(), |_, kernels| {
        let mut order: Vec<_> = kernels.iter().collect();
        order.sort_by_key(|kernel| kernel.stem != preferred);
        order
    })
    .map_err(|e| e.to_string())?;
    if !preferred.is_empty() && !planned.steps.iter().any(|step| step.kernel == preferred) {
        return Ok(false);
    }
    let executable = Executable::compile(device, Arc::new(planned), &SharedWeights::default(), &|_, _| {})
        .map_err(|e| e.to_string())?;
    executable.poison().map_err(|e| e.to_string())?;
    let inputs: Vec<Tensor> = graph.inputs().iter().map(|&id| case.inputs[&graph.value(id).name].clone()).collect();
    let outputs = executable.run(&inputs).map_err(|e| e.to_string())?;
    let comparison = compare(&outputs[0], &case.expected, accuracy(graph), 1.0);
    if comparison.pass { Ok(true) } else { Err(comparison.to_string()) }
}

#[test]
fn every_accepting_kernel_computes_what_keras_computes() {
    let wanted = std::env::var("WGCONV_DEVICE").unwrap_or_default();
    let device =
        pollster::block_on(Device::request(&wanted, ShaderChecks::Off)).expect("the tests need a Vulkan driver");
    let mut failures = Vec::new();
    let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
    for case in cases().into_iter().flatten() {
        let (graph, _) = optimize(case.graph.clone(), &FoldCache::default()).unwrap();
        let mut stems: Vec<&'static str> =
            graph.nodes().iter().flat_map(|node| candidates(&node.op)).map(|kernel| kernel.stem).collect();
        stems.sort_unstable();
        stems.dedup();
        if stems.is_empty() {
            stems.push("");
        }
        for stem in stems {
            match run_on_gpu(&device, &case, &graph, stem) {
                Ok(ran) => *runs.entry(stem).or_default() += usize::from(ran),
                Err(why) => failures.push(format!("{} by {stem}: {why}", case.id)),
            }
        }
    }
    println!("cases passed per kernel on {}: {runs:?}", device.summary().name);
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
