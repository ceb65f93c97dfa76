//! Networks as exporters write them: their numbers, and what the passes must find in them.
//!
//! `tests/data/onnx/make.py` made them; the expected outputs are ONNX Runtime's.

mod shared_data;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shared_data::device;
use wgconv::graph::Graph;
use wgconv::import::onnx::{Given, OnnxError, OnnxGraph, read_onnx, read_tensor_file};
use wgconv::ops::{BinaryFn, Op};
use wgconv::passes::{FoldCache, optimize};
use wgconv::session::{Device, Options, Session};
use wgconv::tensor::{Accuracy, Tensor, compare};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx").join(name)
}

/// The optimized graph of a network, whose outputs are checked on every device first.
fn network(name: &str) -> Graph {
    let lowered = checked(name, |found, expected, _| {
        let comparison = compare(found, expected, Accuracy::NormalizedReduction { length: 1000 }, 1.0);
        assert!(comparison.pass, "{comparison}");
    });
    optimize(lowered.graph, &FoldCache::default()).unwrap().0
}

/// A network after `check` has seen every output, and the expected one, of each device.
fn checked(name: &str, check: impl Fn(&Tensor, &Tensor, &Device)) -> OnnxGraph {
    let data = |file: &str| read_tensor_file(&folder(name).join("test_data_set_0").join(file)).unwrap().1;
    let input = data("input_0.pb");
    let model = read_onnx(&folder(name).join("model.onnx")).unwrap_or_else(|error| panic!("{error}"));
    let given = BTreeMap::from([("x".to_string(), Given::Shape(input.shape.clone()))]);
    let lowered = model.graph(&given).unwrap_or_else(|error| panic!("{error}"));
    for device in [Device::Cpu, device()] {
        let session = Session::new(lowered.graph.clone(), device.clone(), Options::default());
        let outputs = session.run(&BTreeMap::from([("x".to_string(), input.to_tensor().unwrap())])).unwrap();
        for (number, (_, found)) in lowered.finish(&outputs).into_iter().enumerate() {
            let expected = data(&format!("output_{number}.pb")).to_tensor().unwrap();
            check(&found.unwrap().to_tensor().unwrap(), &expected, &device);
        }
    }
    lowered
}

fn count(graph: &Graph, wanted: impl Fn(&Op) -> bool) -> usize {
    graph.nodes().iter().filter(|node| wanted(&node.op)).count()
}

fn is_transpose(op: &Op) -> bool {
    matches!(op, Op::Transpose(_))
}

/// Everything that activations, residuals and normalisations leave behind when one of them is not recognised.
fn is_loose(op: &Op) -> bool {
    matches!(op, Op::Unary(_) | Op::BatchNorm(_)) || matches!(op, Op::Binary(op) if op.function != BinaryFn::Mul)
}

#[test]
fn efficientnet_is_convolutions_pools_and_three_gates() {
    let graph = network("efficientnet");
    assert_eq!(count(&graph, is_transpose), 1, "{graph}");
    assert_eq!(count(&graph, is_loose), 0, "{graph}");
    assert_eq!(count(&graph, |op| matches!(op, Op::Binary(_))), 3, "{graph}");
}

#[test]
fn resnet_is_convolutions_and_two_pools() {
    let graph = network("resnet");
    assert_eq!(count(&graph, is_transpose), 1, "{graph}");
    assert_eq!(count(&graph, |op| !matches!(op, Op::Conv(_) | Op::Transpose(_) | Op::Reshape(_))), 2, "{graph}");
}

#[test]
fn mobilenet_v3_is_convolutions_pools_and_a_gate() {
    let graph = network("mobilenet_v3");
    assert_eq!(count(&graph, is_transpose), 1, "{graph}");
    assert_eq!(count(&graph, is_loose), 0, "{graph}");
    assert_eq!(count(&graph, |op| matches!(op, Op::Binary(_))), 1, "{graph}");
}

#[test]
fn convnext_keeps_its_channels_last() {
    let graph = network("convnext");
    assert_eq!(count(&graph, is_transpose), 1, "{graph}");
    assert_eq!(count(&graph, is_loose), 0, "{graph}");
}

#[test]
fn shufflenet_turns_its_channels_in_place() {
    let graph = network("shufflenet");
    // One at the border, and one for each shuffle.
    assert_eq!(count(&graph, is_transpose), 1 + 2, "{graph}");
}

#[test]
fn positions_may_be_computed_when_the_graph_runs() {
    let graph = network("positions");
    assert!(count(&graph, |op| matches!(op, Op::Gather(_))) >= 3, "{graph}");
}

#[test]
fn grids_are_sampled_in_every_mode() {
    let graph = network("sampling");
    // One look-up for the nearest pixel, four for lines, sixteen for cubics; six kinds of surroundings each.
    assert_eq!(count(&graph, |op| matches!(op, Op::Gather(_))), 6 * (1 + 4 + 16), "{graph}");
}

#[test]
fn functions_and_branches_are_replaced_by_their_nodes() {
    let graph = network("functions_and_branches");
    assert_eq!(count(&graph, |op| matches!(op, Op::Unary(_))), 4, "{graph}");
}

/// Where a device rounds a quotient to the other side of a half, an integer is another by one, and so may be those that follow.
const STEPS: f32 = 0.03;

#[test]
fn quantised_networks_run_dequantised_and_say_so() {
    for name in ["quantised_qdq", "quantised_qlinear", "quantised_dynamic"] {
        let lowered = checked(name, |found, expected, device| {
            let (found, expected) = (found.f32s().unwrap(), expected.f32s().unwrap());
            let largest = expected.iter().fold(0f32, |most, v| most.max(v.abs()));
            let errors = found.iter().zip(expected).map(|(a, b)| (a - b).abs() / largest);
            let off = errors.clone().filter(|&error| error > 1e-5).count();
            assert_eq!(found.len(), expected.len());
            assert!(errors.fold(0f32, f32::max) <= STEPS, "{name} on {}", device.name());
            assert!(off * 20 <= found.len(), "{name} on {}: {off} of {}", device.name(), found.len());
        });
        assert!(lowered.notes[0].contains("dequantised"), "{:?}", lowered.notes);
    }
}

#[test]
fn an_input_of_another_shape_is_refused_by_name() {
    let model = read_onnx(&folder("resnet").join("model.onnx")).unwrap();
    for shape in [vec![2, 3, 41, 36], vec![2, 3, 41], vec![1, 3, 41, 37]] {
        let given = BTreeMap::from([("x".to_string(), Given::Shape(shape.clone()))]);
        let error = model.graph(&given).unwrap_err();
        assert!(matches!(error, OnnxError::Input { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("`x`") && text.contains(&format!("{shape:?}")) && text.contains("[2, 3, 41, 37]"),
            "{text}"
        );
    }
}

#[test]
fn a_summary_has_a_row_for_each_node_with_its_work() {
    let model = read_onnx(&folder("efficientnet").join("model.onnx")).unwrap();
    let summary = model.summary(&BTreeMap::new()).unwrap();
    let row = |name: &str| summary.rows.iter().find(|row| row.name == name).unwrap();
    let first = row("/Conv_0");
    assert_eq!(first.output_shape, [1, 8, 17, 17].map(Some).to_vec());
    assert_eq!((first.params, first.macs), (8 * 3 * 9 + 8, 17 * 17 * 8 * 27));
    assert_eq!(first.connected_to, ["x"]);
    assert_eq!(first.kernels, ["3x3 3->8, stride 2"]);
    let rows: usize = summary.rows.iter().map(|row| row.params).sum();
    assert_eq!(rows, summary.params);
    assert!(summary.text(false).contains("/Sigmoid_1"));
}

#[test]
fn everything_that_is_not_supported_is_listed_at_once() {
    let error = read_onnx(&folder("unsupported").join("model.onnx")).unwrap_err();
    let OnnxError::Unsupported { nodes, .. } = &error else { panic!("{error}") };
    let listed: Vec<(&str, i64, Vec<String>)> =
        nodes.iter().map(|group| (group.op.as_str(), group.opset, group.nodes.clone())).collect();
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    assert_eq!(
        listed,
        [
            ("an initializer", 19, names(&["odd"])),
            ("an input", 19, names(&["words"])),
            ("Det", 19, names(&["first", "second"])),
            ("elsewhere.Fancy", 19, names(&["third"])),
            ("Pad", 19, names(&["fourth"])),
            ("Cast", 19, names(&["fifth"])),
        ]
    );
    let text = error.to_string();
    assert!(
        text.contains("mode swirl") && text.contains("element type 17") && text.contains("`first`, `second`"),
        "{text}"
    );
}
