//! The gradients of all cases made with Keras, on the CPU reference and on the GPU by every accepting kernel.
//!
//! The folder is `KERAS_GOLDENS` (default `../shared/goldens/keras`): a `manifest.json` and one `.npz` per case, with the
//! gradients of `sum(y * dy)`.

mod shared_data;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use shared_data::{Golden, accuracy, array, golden, goldens, gpu, report, run_preferring};
use wgconv::cpu;
use wgconv::graph::{Graph, ValueId};
use wgconv::kernels::candidates;
use wgconv::passes::{FoldCache, optimize};
use wgconv::tensor::{Accuracy, Tensor, compare};
use wgconv::train::gradients;

struct Case {
    id: String,
    graph: Graph,
    inputs: BTreeMap<String, Tensor>,
    /// Keras's gradients, by the name of the graph's output.
    expected: BTreeMap<String, Tensor>,
}

fn load(folder: &Path, entry: &Value) -> Result<Case, String> {
    let Golden { id, layer, model, inputs: arrays, mut archive } = golden(folder, entry)?;
    // Without training a batch normalisation uses its moving statistics.
    layer.set_trainable(entry["training"].as_bool() == Some(true) || entry["layer"] != "BatchNormalization");
    let training = model.training_graph(arrays[0].shape()[0], &BTreeMap::new()).map_err(|e| e.to_string())?;
    let mut graph = training.graph;
    let mut inputs: BTreeMap<String, Tensor> = BTreeMap::new();
    let (mut wanted, mut names): (Vec<ValueId>, Vec<String>) = (Vec::new(), Vec::new());
    for weight in &training.weights {
        let name = weight.weight.spec().name;
        inputs.insert(weight.name.clone(), array(&mut archive, &format!("w.{name}")).unwrap());
        wanted.push(weight.value);
        names.push(format!("g.{name}"));
    }
    for (i, x) in arrays.into_iter().enumerate() {
        let name = format!("x{i}");
        wanted.push(*graph.inputs().iter().find(|&&id| graph.value(id).name == name).unwrap());
        names.push(format!("d{name}"));
        inputs.insert(name, x);
    }
    let y = training.outputs[0].1;
    let dy = graph.input("dy", graph.ty(y).clone());
    inputs.insert("dy".into(), array(&mut archive, "dy").ok_or("no dy")?);
    let found = gradients(&mut graph, &[(y, dy)], &wanted).map_err(|e| e.to_string())?;
    let mut expected = BTreeMap::new();
    for (name, gradient) in names.into_iter().zip(found) {
        match (gradient, array(&mut archive, &name)) {
            (Some(gradient), Some(values)) => {
                graph.output(name.clone(), gradient);
                expected.insert(name, values);
            }
            (None, Some(_)) => return Err(format!("{name}: Keras has a gradient")),
            // Keras has none for weights that it does not train.
            (_, None) => {}
        }
    }
    if expected.is_empty() { Err("no gradient to compare".into()) } else { Ok(Case { id, graph, inputs, expected }) }
}

fn cases() -> Option<Vec<Result<Case, String>>> {
    let (folder, entries) = goldens()?;
    let loaded: Vec<_> = entries
        .iter()
        // Keras has no result for a few cases.
        .filter(|entry| entry.get("output").is_some())
        .map(|entry| load(&folder, entry).map_err(|why| format!("{}: {why}", entry["id"])))
        .collect();
    println!("{} cases with gradients", loaded.len());
    assert!(!loaded.is_empty(), "no case with a result in {}", folder.display());
    Some(loaded)
}

fn check(case: &Case, graph: &Graph, outputs: &[Tensor], accuracy: Accuracy, scale: f64) -> Result<(), String> {
    assert_eq!(outputs.len(), graph.outputs().len(), "{}", case.id);
    for ((name, _), tensor) in graph.outputs().iter().zip(outputs) {
        let comparison = compare(tensor, &case.expected[name], accuracy, scale);
        if !comparison.pass {
            return Err(format!("{name}: {comparison}"));
        }
    }
    Ok(())
}

#[test]
fn the_reference_has_the_gradients_of_keras() {
    let Some(cases) = cases() else { return };
    let mut failures = Vec::new();
    for case in cases {
        let result = case.and_then(|case| {
            let outputs = cpu::run(&case.graph, &case.inputs).map_err(|e| format!("{}: {e}", case.id))?;
            // Every op rounds once.
            let ops = case.graph.nodes().len() as f64;
            check(&case, &case.graph, &outputs, Accuracy::Elementwise, ops).map_err(|e| format!("{}: {e}", case.id))
        });
        failures.extend(result.err());
    }
    report(failures);
}

#[test]
fn every_kernel_has_the_gradients_of_keras() {
    let Some(cases) = cases() else { return };
    let device = gpu();
    let (mut failures, mut runs) = (Vec::new(), 0);
    // Those that cannot be loaded fail in the other test.
    for case in cases.into_iter().flatten() {
        let (optimized, _) = optimize(case.graph.clone(), &FoldCache::default()).unwrap();
        for graph in [&case.graph, &optimized] {
            let stems: BTreeSet<&str> =
                graph.nodes().iter().flat_map(|node| candidates(&node.op)).map(|kernel| kernel.stem).collect();
            for stem in stems {
                let outputs = run_preferring(&device, graph, &case.inputs, stem);
                let checked = outputs.and_then(|outputs| match outputs {
                    Some(outputs) => check(&case, graph, &outputs, accuracy(graph), 1.0).map(|()| 1),
                    None => Ok(0),
                });
                match checked {
                    Ok(ran) => runs += ran,
                    Err(why) => failures.push(format!("{} by {stem}: {why}", case.id)),
                }
            }
        }
    }
    println!("{runs} runs");
    assert!(runs > 0 || !failures.is_empty(), "no kernel ran");
    report(failures);
}
