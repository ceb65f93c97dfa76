//! Models written as ONNX: read back they give the same numbers, and ONNX Runtime gives them, too.

mod layer_models;
mod shared_data;
mod written_models;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use wgconv::cpu;
use wgconv::export::onnx::{OPSET, OnnxOptions, rewrite_onnx, write_onnx};
use wgconv::import::onnx::{Given, OnnxModel, read_onnx};
use wgconv::layers::{ActivationLayer, Input, IntoLayer, Model, Reshaping, SharedDepthwiseConv2D};
use wgconv::ops::{Filters, Op, UnaryFn};
use wgconv::passes::{FoldCache, optimize};
use wgconv::tensor::{Accuracy, Tensor, compare};
use written_models::{fill, inputs, models, networks, outputs, saved_by_keras, write_arrays};

/// Models that only other formats cannot say.
fn more() -> Vec<(String, Model)> {
    let models = layer_models::without_keras().into_iter().map(|(name, model)| {
        let model = model.unwrap();
        fill(&model);
        (name.to_string(), model)
    });
    models.collect()
}

/// Why a model is not written, for those that ONNX has no op for.
fn refusal(name: &str) -> Option<&'static str> {
    ["sparsemax"].into_iter().find(|kind| name.contains(kind))
}

fn given(inputs: &BTreeMap<String, Tensor>) -> BTreeMap<String, Given> {
    inputs.iter().map(|(name, x)| (name.clone(), Given::Shape(x.shape().to_vec()))).collect()
}

fn run(model: &OnnxModel, inputs: &BTreeMap<String, Tensor>) -> Vec<Tensor> {
    let lowered = model.graph(&given(inputs)).unwrap_or_else(|error| panic!("{error}"));
    cpu::run(&lowered.graph, inputs).unwrap()
}

#[test]
fn every_layer_read_back_gives_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (name, model) in models().into_iter().chain(more()) {
        let path = folder.path().join(format!("{}.onnx", name.replace('/', "_")));
        let inputs = inputs(&model);
        let written = model.save(&path);
        if refusal(&name).is_some() {
            assert!(written.unwrap_err().to_string().contains("ONNX"), "{name}");
            continue;
        }
        if let Err(error) = written {
            wrong.push(format!("{name}: {error}"));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        model.save(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name}: the same model gives other bytes");
        let read = read_onnx(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let names: Vec<&str> = read.inputs().iter().map(|input| input.name.as_str()).collect();
        assert_eq!(names, model.inputs().iter().map(|input| input.name.as_str()).collect::<Vec<_>>(), "{name}");
        for input in read.inputs() {
            assert_eq!(input.shape[0], None, "{name}: the batch of `{}`", input.name);
        }
        let lowered = match read.graph(&given(&inputs)) {
            Ok(lowered) => lowered,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let found = cpu::run(&lowered.graph, &inputs).unwrap();
        let expected = outputs(&model);
        assert_eq!(found.len(), expected.len(), "{name}");
        for ((found, expected), (wanted, _)) in found.iter().zip(&expected).zip(model.outputs()) {
            assert!(lowered.outputs.iter().any(|(output, _)| output == wanted), "{name}: no output `{wanted}`");
            let comparison = compare(found, expected, Accuracy::NormalizedReduction { length: 100 }, 1.0);
            if !comparison.pass {
                wrong.push(format!("{name}: {comparison}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every function of one element, each an output.
fn functions() -> Model {
    use UnaryFn::*;
    let relu = |max_value, negative_slope, threshold| ReluGeneral { max_value, negative_slope, threshold };
    let functions = [
        Relu,
        Relu6,
        relu(f32::INFINITY, 0.0, 0.0),
        relu(2.5, 0.0, 0.0),
        relu(f32::INFINITY, 0.3, 0.0),
        relu(1.5, 0.3, 0.0),
        relu(3.0, 0.2, 0.5),
        relu(f32::INFINITY, 0.0, -0.75),
        LeakyRelu { negative_slope: 0.1 },
        Elu { alpha: 1.3 },
        Selu,
        Celu { alpha: 0.7 },
        Gelu,
        GeluTanh,
        Silu,
        HardSilu,
        Sigmoid,
        HardSigmoid { alpha: 0.25, beta: 0.4 },
        LogSigmoid,
        SparseSigmoid,
        Tanh,
        HardTanh,
        TanhShrink,
        Softplus,
        Softsign,
        SparsePlus,
        Squareplus { b: 4.0 },
        HardShrink { threshold: 0.6 },
        SoftShrink { threshold: 0.6 },
        Threshold { threshold: 0.5, value: 0.0 },
        Threshold { threshold: 0.5, value: -1.25 },
        Mish,
        Exp,
        Affine { scale: 2.0, offset: 0.0 },
        Affine { scale: 1.0, offset: -0.5 },
        Affine { scale: -0.5, offset: 3.0 },
        Clip { low: -1.5, high: 2.0 },
        Clip { low: f32::NEG_INFINITY, high: 1.0 },
        Neg,
        Abs,
        Square,
    ];
    let x = Input::new([61]);
    let outputs: Vec<_> =
        functions.into_iter().map(|function| ActivationLayer::new(function.into()).layer().call(&x)).collect();
    // Logarithm, root and reciprocal want what is above 0.
    let positive = ActivationLayer::new(Softplus.into()).layer().call(&x);
    let more = [Log, Sqrt, Reciprocal].map(|function| ActivationLayer::new(function.into()).layer().call(&positive));
    Model::named("functions", &[x], &[outputs, more.to_vec()].concat()).unwrap()
}

#[test]
fn every_function_read_back_gives_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("functions.onnx");
    let model = functions();
    model.save(&path).unwrap();
    // Thresholds themselves are among the elements.
    let x = Tensor::from_fn([2, 61], |i| (i % 61) as f32 * 0.25 - 7.5 + if i < 61 { 0.0 } else { 0.1 });
    let inputs = BTreeMap::from([(model.inputs()[0].name.clone(), x)]);
    let found = run(&read_onnx(&path).unwrap(), &inputs);
    let expected = cpu::run(&model.graph(2).unwrap(), &inputs).unwrap();
    for ((found, expected), layer) in found.iter().zip(&expected).zip(model.layers()) {
        let comparison = compare(found, expected, Accuracy::Transcendental, 1.0);
        assert!(comparison.pass, "{} {}: {comparison}", layer.name(), layer.layer().config());
    }
    assert_eq!(found.len(), 44);
}

#[test]
fn networks_read_back_give_the_same_numbers_and_hold_no_transpose() {
    let folder = tempfile::tempdir().unwrap();
    // The reference takes its time for the large ones, which ONNX Runtime's test has.
    let small = networks(32).into_iter().filter(|(name, _)| name != "xception" && name != "efficientnet_b0");
    for (name, model) in small.chain(saved_by_keras()) {
        let path = folder.path().join(format!("{name}.onnx"));
        model.save(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let inputs = inputs(&model);
        let read = read_onnx(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = run(&read, &inputs);
        let expected = outputs(&model);
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            let comparison = compare(found, expected, Accuracy::NormalizedReduction { length: 1000 }, 1.0);
            assert!(comparison.pass, "{name}: {comparison}");
        }
        let (graph, _) = optimize(read.graph(&given(&inputs)).unwrap().graph, &FoldCache::default()).unwrap();
        let transposes = graph.nodes().iter().filter(|node| matches!(node.op, Op::Transpose(_))).count();
        let zoo = wgconv::zoo::ENTRIES.iter().any(|entry| entry.name == name);
        assert!(!zoo || transposes == 0, "{name}:\n{graph}");
        // What was read and written anew is the same model still.
        let again = folder.path().join("again.onnx");
        rewrite_onnx(&again, &read, &OnnxOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = run(&read_onnx(&again).unwrap(), &inputs);
        assert_eq!(again.len(), found.len(), "{name} written anew");
        for (again, found) in again.iter().zip(&found) {
            let comparison = compare(again, found, Accuracy::NormalizedReduction { length: 1000 }, 1.0);
            assert!(comparison.pass, "{name} written anew: {comparison}");
        }
    }
}

#[test]
fn a_shared_kernel_stays_one_filter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.onnx");
    let x = Input::new([9, 8, 16]);
    let shared = SharedDepthwiseConv2D::new(3).named("one");
    let model = Model::new(std::slice::from_ref(&x), &[shared.call(&x)]).unwrap();
    fill(&model);
    model.save(&path).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 2000, "nine weights and names take more than that");
    let read = read_onnx(&path).unwrap();
    let (graph, _) = optimize(read.graph(&given(&inputs(&model))).unwrap().graph, &FoldCache::default()).unwrap();
    let filters = graph.nodes().iter().filter_map(|node| match &node.op {
        Op::Conv(conv) => Some(conv.filters),
        _ => None,
    });
    assert_eq!(filters.collect::<Vec<_>>(), [Filters::Shared], "{graph}");
}

#[test]
fn open_axes_stay_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open.onnx");
    let x = Input::open("x", vec![None, None, Some(3)]);
    let strided = wgconv::layers::Conv2D::new(4, 3).strides(2).padding(wgconv::layers::Padding::Same).layer();
    let shared = SharedDepthwiseConv2D::new(3).layer();
    let flat = Reshaping::Reshape(vec![None, Some(4)]).layer();
    let y = flat.call(&shared.call(&strided.call(&x)));
    let model = Model::new(&[x], &[y]).unwrap();
    fill(&model);
    model.save(&path).unwrap();
    let read = read_onnx(&path).unwrap();
    assert_eq!(read.inputs()[0].shape, [None, None, None, Some(3)]);
    for (batch, height, width) in [(1, 12, 9), (3, 11, 10)] {
        let x = Tensor::from_fn([batch, height, width, 3], |i| (i as f32 * 0.7).sin());
        let inputs = BTreeMap::from([("x".to_string(), x)]);
        let shapes = BTreeMap::from([("x".to_string(), vec![height, width, 3])]);
        let expected = cpu::run(&model.graph_for(batch, &shapes).unwrap(), &inputs).unwrap();
        let comparison = compare(&run(&read, &inputs)[0], &expected[0], Accuracy::Reduction { length: 50 }, 1.0);
        assert!(comparison.pass, "{comparison}");
    }
}

#[test]
fn weights_may_lie_beside_the_model_and_the_batch_may_be_fixed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let (_, model) = models().into_iter().find(|(name, _)| name == "question_separable").unwrap();
    let options = OnnxOptions { batch: Some(2), external_data: true };
    write_onnx(&path, &model, &options).unwrap();
    let data = folder.path().join("m.onnx.data");
    assert!(std::fs::metadata(&data).unwrap().len() >= 1024);
    let read = read_onnx(&path).unwrap();
    assert_eq!((read.inputs()[0].shape[0], read.opset()), (Some(2), OPSET));
    let (found, expected) = (run(&read, &inputs(&model)), outputs(&model));
    let comparison = compare(&found[0], &expected[0], Accuracy::NormalizedReduction { length: 100 }, 1.0);
    assert!(comparison.pass, "{comparison}");
    model.load_weights(&path).unwrap();
    std::fs::remove_file(&data).unwrap();
    assert!(read_onnx(&path).unwrap_err().to_string().contains("m.onnx.data"));
    assert!(model.load_weights(&path).unwrap_err().to_string().contains("m.onnx.data"));
}

/// ONNX Runtime itself: `WGCONV_ONNX_PYTHON` is a Python that has it and `onnx`, `WGCONV_ONNX_FOLDER` keeps what is written.
#[test]
fn onnx_runtime_loads_what_is_written_and_gives_the_same_numbers() {
    let Some(python) = std::env::var_os("WGCONV_ONNX_PYTHON") else {
        println!("skipped: WGCONV_ONNX_PYTHON names no Python that has onnx and onnxruntime");
        return;
    };
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("WGCONV_ONNX_FOLDER").map_or(temporary.path().to_path_buf(), PathBuf::from);
    let all = models().into_iter().chain(more()).chain([("functions".to_string(), functions())]);
    for (name, model) in all.chain(networks(96)).chain(saved_by_keras()) {
        if refusal(&name).is_some() {
            continue;
        }
        let stem = name.replace('/', "_");
        let options = OnnxOptions { external_data: name == "mobilenet_v1", ..OnnxOptions::default() };
        write_onnx(&folder.join(format!("{stem}.onnx")), &model, &options).unwrap();
        write_arrays(&folder, &stem, &inputs(&model), &model, &outputs(&model));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check_onnx_export.py");
    let output = Command::new(python).arg(script).arg(&folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
