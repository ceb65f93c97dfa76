//! TFLite models give TFLite's own outputs (`tests/data/tflite/make.py`), and damaged ones are refused without a panic.

mod program;
mod shared_data;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wgconv::graph::Graph;
use wgconv::import::tflite::{TfliteModel, read_tflite};
use wgconv::ops::Op;
use wgconv::passes::{FoldCache, optimize};
use wgconv::session::{Device, Options, Session};
use wgconv::tensor::{Accuracy, Tensor, compare, read_npy};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tflite").join(name)
}

fn read(name: &str) -> TfliteModel {
    read_tflite(&file(&format!("{name}.tflite"))).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a graph with one input; outputs in the graph's order.
fn run(graph: Graph, device: &Device, x: &Tensor) -> Vec<Tensor> {
    let input = graph.value(graph.inputs()[0]).name.clone();
    let names: Vec<String> = graph.outputs().iter().map(|(name, _)| name.clone()).collect();
    let session = Session::new(graph, device.clone(), Options::default());
    let mut outputs = session.run(&BTreeMap::from([(input, x.clone())])).unwrap();
    names.iter().map(|name| outputs.remove(name).unwrap()).collect()
}

#[test]
fn models_give_the_outputs_of_tflite() {
    for (name, outputs) in [("mobile", 1), ("half", 1), ("shapes", 3)] {
        let model = read(name);
        let x = read_npy(&file(&format!("{name}.input.npy"))).unwrap();
        let shapes = BTreeMap::from([(model.inputs()[0].name.clone(), x.shape().to_vec())]);
        for device in [Device::Cpu, shared_data::device()] {
            let found = run(model.graph(&shapes).unwrap(), &device, &x);
            assert_eq!(found.len(), outputs);
            for (number, found) in found.iter().enumerate() {
                let expected = read_npy(&file(&format!("{name}.output_{number}.npy"))).unwrap();
                let comparison = compare(found, &expected, Accuracy::NormalizedReduction { length: 100 }, 1.0);
                assert!(comparison.pass, "{name}, output {number}, on {}: {comparison}", device.name());
            }
        }
    }
}

#[test]
fn an_open_batch_takes_any_number_of_samples() {
    let model = read("mobile");
    assert_eq!(model.inputs()[0].shape, [None, Some(12), Some(12), Some(3)]);
    let x = read_npy(&file("mobile.input.npy")).unwrap();
    let values = x.f32s().unwrap();
    let three = Tensor::from_fn([3, 12, 12, 3], |i| values[i % values.len()] * (1 + i / values.len()) as f32);
    let shapes = |batch| BTreeMap::from([(model.inputs()[0].name.clone(), vec![batch, 12, 12, 3])]);
    let one = run(model.graph(&shapes(1)).unwrap(), &Device::Cpu, &x).remove(0);
    let all = run(model.graph(&shapes(3)).unwrap(), &Device::Cpu, &three).remove(0);
    assert_eq!(all.shape().to_vec(), [3, 5]);
    assert_eq!(all.f32s().unwrap()[..5], *one.f32s().unwrap());
}

#[test]
fn weights_are_turned_once_and_no_transpose_stays() {
    let model = read("half");
    let shapes = BTreeMap::from([(model.inputs()[0].name.clone(), vec![1, 12, 12, 3])]);
    let (graph, _) = optimize(model.graph(&shapes).unwrap(), &FoldCache::default()).unwrap();
    let left = graph.nodes().iter().filter(|node| matches!(node.op, Op::Transpose(_))).count();
    assert_eq!(left, 0, "{graph}");
}

#[test]
fn what_is_not_supported_is_listed_at_once() {
    let said = read_tflite(&file("unsupported.tflite")).unwrap_err().to_string();
    assert!(said.contains("CUMSUM (operator 0)") && said.contains("SIN (operator 1, 3)"), "{said}");
    let model = read("mobile");
    let other = BTreeMap::from([("images".to_string(), vec![1, 12, 12, 3])]);
    assert!(model.graph(&other).unwrap_err().to_string().contains("no such input"));
    let open = model.graph(&BTreeMap::new()).unwrap_err().to_string();
    assert!(open.contains("is open"), "{open}");
    let wrong = BTreeMap::from([(model.inputs()[0].name.clone(), vec![1, 12, 12, 4])]);
    let wrong = model.graph(&wrong).unwrap_err().to_string();
    assert!(wrong.contains("CONV_2D") && wrong.contains("filters of 3 channels"), "{wrong}");
}

/// The position that an offset at `at` points to.
fn follow(bytes: &[u8], at: usize) -> usize {
    at + u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The position of a field of a table.
fn field(bytes: &[u8], table: usize, number: usize) -> usize {
    let back = i32::from_le_bytes(bytes[table..table + 4].try_into().unwrap());
    let entry = (table as i64 - i64::from(back)) as usize + 4 + 2 * number;
    table + usize::from(u16::from_le_bytes(bytes[entry..entry + 2].try_into().unwrap()))
}

#[test]
fn a_tensor_that_is_named_again_and_again_is_one() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("model.tflite");
    let bytes = std::fs::read(file("mobile.tflite")).unwrap();
    // The first of the graphs; its second field are inputs, its third one outputs.
    let graph = follow(&bytes, follow(&bytes, field(&bytes, follow(&bytes, 0), 2)) + 4);
    let repeated = |number: usize| {
        let mut bytes = bytes.clone();
        let at = field(&bytes, graph, number);
        let list = follow(&bytes, at);
        let index = bytes[list + 4..list + 8].to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let end = (bytes.len() - at) as u32;
        bytes[at..at + 4].copy_from_slice(&end.to_le_bytes());
        bytes.extend(1000u32.to_le_bytes());
        bytes.extend(index.repeat(1000));
        std::fs::write(&path, bytes).unwrap();
        read_tflite(&path)
    };
    let said = repeated(1).unwrap_err().to_string();
    assert!(said.contains("is an input twice"), "{said}");
    let model = repeated(2).unwrap();
    let shapes = BTreeMap::from([(model.inputs()[0].name.clone(), vec![1, 12, 12, 3])]);
    assert_eq!(model.graph(&shapes).unwrap().outputs().len(), 1);
}

#[test]
fn damaged_models_are_refused_or_read_but_never_panic() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("model.tflite");
    let mut read = 0;
    for name in ["mobile", "shapes"] {
        let bytes = std::fs::read(file(&format!("{name}.tflite"))).unwrap();
        let mut attempt = |damaged: &[u8]| {
            std::fs::write(&path, damaged).unwrap();
            if let Ok(model) = read_tflite(&path) {
                let shapes = model
                    .inputs()
                    .iter()
                    .map(|input| (input.name.clone(), input.shape.iter().map(|size| size.unwrap_or(1)).collect()));
                // Whether it still makes a graph is open; it must end.
                read += usize::from(model.graph(&shapes.collect()).is_ok());
            }
        };
        // Seven is prime to every alignment: all kinds of fields are met.
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= if at % 2 == 0 { 0xff } else { 1 << (at % 8) };
            attempt(&damaged);
        }
        for length in (0..bytes.len()).step_by(97) {
            attempt(&bytes[..length]);
        }
    }
    assert!(read > 500, "only {read} were read: most bytes are weights");
}

#[test]
fn the_command_line_takes_tflite_files() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().display().to_string();
    let path = |name: &str| file(name).display().to_string();
    let (model, x) = (path("mobile.tflite"), path("mobile.input.npy"));
    let wgconv = |arguments: &[&str]| {
        let output = program::wgconv().args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, text, why) = wgconv(&["run", &model, "--input", &x, "--output", &output, "--top", "2"]);
    assert_eq!(code, Some(0), "{why}");
    assert_eq!(text.lines().filter(|line| line.contains("class ")).count(), 2, "{text}");
    for arguments in [
        &["check", &model, "--batch", "2"][..],
        &["explain", &model, "--plan-for", "discrete"],
        &["bench", &model, "--runs", "1", "--device", "cpu"],
        &["run", &model, "--input", "tests/data/pictures/rgb.png", "--preprocess", "tf"],
    ] {
        let (code, _, why) = wgconv(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {why}");
    }
    let (code, text, _) = wgconv(&["summary", &model]);
    assert_eq!(code, Some(0));
    assert!(text.contains("(1, 6, 6, 8)") && text.contains("3x3"), "{text}");
    let (code, _, why) = wgconv(&["convert", &model, "m.keras"]);
    assert!(code == Some(1) && why.contains("has no layers"), "{why}");
}
