//! All forward cases made with Keras, on the CPU reference and on the GPU by every accepting kernel.
//!
//! The folder is `KERAS_GOLDENS` (default `../shared/goldens/keras`): a `manifest.json` and one `.npz` per case.

mod shared_data;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use shared_data::{Golden, accuracy, array, golden, goldens, gpu, report, run_preferring};
use wgconv::cpu;
use wgconv::graph::Graph;
use wgconv::kernels::candidates;
use wgconv::passes::{FoldCache, optimize};
use wgconv::tensor::{Accuracy, Tensor, compare};

struct Case {
    id: String,
    graph: Graph,
    inputs: BTreeMap<String, Tensor>,
    expected: Tensor,
}

fn load(folder: &Path, entry: &Value) -> Result<Case, String> {
    let Golden { id, layer, model, inputs: arrays, mut archive } = golden(folder, entry)?;
    for weight in layer.weights() {
        let values = array(&mut archive, &format!("w.{}", weight.spec().name)).unwrap();
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
    Ok(Case { id, graph, inputs, expected: array(&mut archive, "y").unwrap() })
}

fn cases() -> Option<Vec<Result<Case, String>>> {
    let (folder, entries) = goldens()?;
    let mut refused = 0;
    let loaded: Vec<_> = entries
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
    assert!(!loaded.is_empty(), "no case with a result in {}", folder.display());
    Some(loaded)
}

#[test]
fn the_reference_computes_what_keras_computes() {
    let Some(cases) = cases() else { return };
    let mut failures = Vec::new();
    for case in cases {
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
    report(failures);
}

#[test]
fn every_accepting_kernel_computes_what_keras_computes() {
    let Some(cases) = cases() else { return };
    let device = gpu();
    let mut failures = Vec::new();
    let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
    // Those that cannot be loaded fail in the other test.
    for case in cases.into_iter().flatten() {
        let (graph, _) = optimize(case.graph.clone(), &FoldCache::default()).unwrap();
        let mut stems: Vec<&'static str> =
            graph.nodes().iter().flat_map(|node| candidates(&node.op)).map(|kernel| kernel.stem).collect();
        stems.sort_unstable();
        stems.dedup();
        if stems.is_empty() {
            stems.push("");
        }
        for stem in stems {
            match run_preferring(&device, &graph, &case.inputs, stem) {
                Ok(None) => {}
                Ok(Some(outputs)) => {
                    let comparison = compare(&outputs[0], &case.expected, accuracy(&graph), 1.0);
                    match comparison.pass {
                        true => *runs.entry(stem).or_default() += 1,
                        false => failures.push(format!("{} by {stem}: {comparison}", case.id)),
                    }
                }
                Err(why) => failures.push(format!("{} by {stem}: {why}", case.id)),
            }
        }
    }
    println!("cases passed per kernel on {}: {runs:?}", device.summary().name);
    assert!(!runs.is_empty() || !failures.is_empty(), "no kernel ran");
    report(failures);
}
