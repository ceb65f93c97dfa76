//! Small models that ask for absurd sizes, numbers or amounts of work are refused at once, and say what is too much.

#![cfg(test)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::proto::*;
use super::{Elem, Given, HostTensor, OnnxGraph, read_onnx};
use crate::graph::Graph;
use crate::ops::Op;
use crate::passes::{FoldCache, optimize};

fn attribute(name: &str) -> AttributeProto {
    AttributeProto { name: name.into(), ..Default::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { ints: ints.to_vec(), ..attribute(name) }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { i, ..attribute(name) }
}

fn text(name: &str, s: &str) -> AttributeProto {
    AttributeProto { s: s.into(), ..attribute(name) }
}

fn node(op: &str, inputs: &str, outputs: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    let names = |names: &str| names.split(' ').map(String::from).collect();
    NodeProto { op_type: op.into(), input: names(inputs), output: names(outputs), attribute, ..Default::default() }
}

/// A vector of `int64` that the model holds.
fn known(name: &str, values: &[i64]) -> TensorProto {
    let dims = vec![values.len() as i64];
    TensorProto { name: name.into(), data_type: 7, dims, int64_data: values.to_vec(), ..Default::default() }
}

fn model(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let input = |name: &str| {
        let tensor_type = Some(TensorTypeProto { elem_type: 1, shape: None });
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
    };
    let output = vec![ValueInfoProto { name: "y".into(), r#type: None }];
    let graph = GraphProto { node: nodes, input: vec![input("x")], output, initializer, ..Default::default() };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 18 }];
    ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..Default::default() }
}

/// What comes of a model for an input `x` of a shape.
fn lowered(model: &ModelProto, x: &[usize]) -> Result<OnnxGraph, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absurd.onnx");
    std::fs::write(&path, prost::Message::encode_to_vec(model)).unwrap();
    let start = Instant::now();
    let given = BTreeMap::from([("x".to_string(), Given::Shape(x.to_vec()))]);
    let found = read_onnx(&path).and_then(|model| model.graph(&given)).map_err(|error| error.to_string());
    assert!(start.elapsed() < Duration::from_secs(20), "it took {:?}", start.elapsed());
    found
}

/// One node, whose refusal says `part`.
fn refused(part: &str, node: NodeProto, initializers: Vec<TensorProto>, x: &[usize]) {
    let op = node.op_type.clone();
    let said = lowered(&model(vec![node], initializers), x).map(|_| ()).unwrap_err();
    assert!(said.contains(part) && said.contains(&op), "{op}: {said}");
}

#[test]
fn sizes_that_overflow_are_refused() {
    let most = 1 << 24;
    let window =
        |extra: Vec<AttributeProto>| [vec![ints("kernel_shape", &[most; 3]), ints("pads", &[most; 6])], extra].concat();
    refused("too large", node("LpPool", "x", "y", window(vec![])), vec![], &[1, 1, 4, 4, 4]);
    refused("group", node("Conv", "x x", "y", vec![int("group", i64::MAX)]), vec![], &[2, 2, 3]);
    refused("size", node("LRN", "x", "y", vec![int("size", i64::MAX)]), vec![], &[1, 2, 3]);
    let far = |name| ints(name, &[1 << 62, 1 << 62]);
    let unpool = vec![ints("kernel_shape", &[2, 2]), far("strides")];
    refused("strides", node("MaxUnpool", "x i", "y", unpool), vec![known("i", &[0])], &[1, 1, 2, 2]);
    let blocks = vec![known("image", &[4, 4]), known("block", &[2, 2])];
    refused("dilations", node("Col2Im", "x image block", "y", vec![far("dilations")]), blocks, &[1, 4, 9]);
    // One step after the other, each within its own bound.
    let grow = |from: &str, to: &str| {
        let pads = vec![known("p", &[0, 0, 1 << 24, 1 << 24])];
        (node("Pad", &format!("{from} p"), to, vec![]), pads)
    };
    let (first, pads) = grow("x", "a");
    let said = lowered(&model(vec![first, node("MatMul", "a a", "y", vec![])], pads), &[1 << 14, 1 << 14]);
    assert!(said.unwrap_err().contains("too large"));
}

#[test]
fn work_without_end_is_refused() {
    let sizes = vec![known("sizes", &[1, 1, 1 << 40, 1])];
    for mode in ["nearest", "linear"] {
        refused("at most", node("Resize", "x   sizes", "y", vec![text("mode", mode)]), sizes.clone(), &[1, 1, 1, 1]);
    }
    let matrix = vec![known("sizes", &[(1 << 20) + 1])];
    refused("memory", node("Resize", "x   sizes", "y", vec![text("mode", "linear")]), matrix, &[1 << 7]);
    let axes: Vec<i64> = (1..200_001).collect();
    refused("axes", node("Unsqueeze", "x axes", "y", vec![]), vec![known("axes", &axes)], &[1]);
    refused("twice", node("ReduceSum", "x axes", "y", vec![]), vec![known("axes", &[0, -1])], &[1]);
    let nodes = (0..200_000).map(|number| node(&format!("Unknown{number}"), "x", "y", vec![])).collect();
    assert!(lowered(&model(nodes, vec![]), &[1]).unwrap_err().contains("Unknown199999"));
}

#[test]
fn memory_that_no_tensor_of_the_file_accounts_for_is_refused() {
    let window = vec![ints("kernel_shape", &[8, 8])];
    refused("memory", node("MaxPool", "x", "y indices", window), vec![], &[1, 1, 4096, 4096]);
    let places = vec![known("i", &[7; 100])];
    let add = node("ScatterElements", "x i x", "y", vec![text("reduction", "add")]);
    refused("64 at most", add, places, &[100]);
    refused("memory", node("ConstantOfShape", "s", "y", vec![]), vec![known("s", &[1 << 27])], &[1]);
    refused("memory", node("Trilu", "x", "y", vec![]), vec![], &[1 << 14, 1 << 14]);
    // Integers are worked out at once, as they may be shapes.
    for (pads, part) in [([1 << 7, 1 << 10, 1 << 10], "memory"), ([1 << 12; 3], "too large")] {
        let known = vec![known("i", &[7]), known("s", &[1; 3]), known("p", &[&[0; 3][..], &pads].concat())];
        let nodes = vec![node("Reshape", "i s", "a", vec![]), node("Pad", "a p", "y", vec![])];
        assert!(lowered(&model(nodes, known), &[1]).unwrap_err().contains(part));
    }
    // A mask that nobody asks for takes none.
    let masked = |outputs| lowered(&model(vec![node("Dropout", "x", outputs, vec![])], vec![]), &[1 << 14, 1 << 14]);
    assert!(masked("y").is_ok());
    assert!(masked("y mask").unwrap_err().contains("memory"));
}

#[test]
fn constants_are_what_the_file_holds() {
    let numbers = |t| AttributeProto { t: Some(t), r#type: 4, ..attribute("value") };
    let constant = |name: &str, t| node("Constant", "", name, vec![numbers(t)]);
    let raw =
        TensorProto { dims: vec![1 << 18], data_type: 1, raw_data: vec![0; 1 << 20].into(), ..Default::default() };
    let nodes = vec![constant("c", raw), constant("d", known("", &[3; 1 << 17])), node("Add", "x c", "y", vec![])];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("held.onnx");
    std::fs::write(&path, prost::Message::encode_to_vec(&model(nodes, vec![]))).unwrap();
    let given = BTreeMap::from([("x".to_string(), Given::Shape(vec![1]))]);
    let room = super::walk::lower(&read_onnx(&path).unwrap(), &given).unwrap().room;
    // One of them has a MiB and the other one, too: 15 times as much is left for what follows from them.
    assert!(room.ask(&[(512 + 30) << 17]).is_ok());
    assert!(room.ask(&[((512 + 30) << 17) + 1]).is_err());
}

#[test]
fn work_on_known_numbers_is_left_to_the_device() {
    // A mean of 2^24 elements for each of 2^12, of what is known: the pass that folds constants does not.
    let kernel = vec![ints("kernel_shape", &[4096, 4096]), ints("pads", &[2048, 2048, 2047, 2047])];
    let nodes = vec![node("ConstantOfShape", "s", "a", vec![]), node("AveragePool", "a", "y", kernel)];
    let built = lowered(&model(nodes, vec![known("s", &[1, 1, 64, 64])]), &[1]).unwrap();
    let start = Instant::now();
    let (graph, report) = optimize(built.graph, &FoldCache::default()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(20), "{report:?}");
    assert!(graph.nodes().iter().any(|node| matches!(node.op, Op::Pool(_))));
}

#[test]
fn nodes_of_one_name_count_their_own_work() {
    let named = |names: [&str; 2]| {
        let nodes = [("x", "a"), ("a", "y")].iter().zip(names).map(|((from, to), name)| NodeProto {
            name: name.into(),
            ..node("MatMul", &format!("{from} {from}"), to, vec![])
        });
        let nodes = model(nodes.collect(), vec![]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("named.onnx");
        std::fs::write(&path, prost::Message::encode_to_vec(&nodes)).unwrap();
        let given = BTreeMap::from([("x".to_string(), Given::Shape(vec![8, 8]))]);
        let rows = read_onnx(&path).unwrap().summary(&given).unwrap().rows;
        rows.iter().map(|row| row.macs).collect::<Vec<u64>>()
    };
    assert_eq!(named(["one", "one"]), [0, 512, 512]);
    assert_eq!(named(["one", &"n".repeat(5000)]), [0, 512, 512]);
}

#[test]
fn known_elements_are_shared() {
    let tensor = HostTensor::vector(vec![1, 2, 3]);
    let copy = tensor.clone().cast(Elem::I64).unwrap().reshaped(vec![3, 1]).unwrap();
    assert!(std::ptr::eq(tensor.to_i64().unwrap().as_slice(), copy.to_i64().unwrap().as_slice()));
    let floats = crate::tensor::Tensor::full([4], 0.5);
    let shared = |elem| HostTensor::computed(&floats, elem).unwrap().to_tensor().unwrap().data_id();
    assert_eq!(shared(Elem::F32), floats.data_id());
    assert_eq!(shared(Elem::F16), floats.data_id());
    let mut graph = Graph::new();
    let id = graph.constant("c", floats.clone());
    assert_eq!(graph.as_constant(id).unwrap().data_id(), floats.data_id());
}
