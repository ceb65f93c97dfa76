//! Passes keep the numbers of a graph, and find what they are meant to find.

use std::collections::BTreeMap;

use wgconv::cpu;
use wgconv::graph::{Graph, ValueId};
use wgconv::kernels::{DeviceClass, DeviceTraits};
use wgconv::ops::*;
use wgconv::passes::{FoldCache, Report, optimize, specialize, winograd};
use wgconv::tensor::{Accuracy, Padding, Tensor, TensorType, Window, compare};

fn wave(shape: &[usize], seed: f32) -> Tensor {
    Tensor::from_fn(shape.to_vec(), |i| ((i as f32 + 1.0) * seed).sin())
}

/// Optimizes, checks that the outputs stay what they were, and returns the ops left with the report.
fn check(graph: Graph, accuracy: Accuracy) -> (Vec<String>, Report) {
    let inputs: BTreeMap<String, Tensor> =
        graph.inputs().iter().map(|&id| (graph.value(id).name.clone(), wave(&graph.ty(id).shape, 0.37))).collect();
    let before = cpu::run(&graph, &inputs).unwrap();
    let (graph, report) = optimize(graph, &FoldCache::default()).unwrap();
    for (a, e) in cpu::run(&graph, &inputs).unwrap().iter().zip(&before) {
        let comparison = compare(a, e, accuracy, 1.0);
        assert!(comparison.pass, "{comparison}\n{graph}");
    }
    (graph.nodes().iter().map(|node| node.op.to_string()).collect(), report)
}

fn conv2d(graph: &mut Graph, x: ValueId, kernel: [usize; 4], stride: usize) -> ValueId {
    let w = graph.constant("w", wave(&kernel, 0.91));
    let window = Window { stride: vec![stride; 2], ..Window::unit(2) };
    graph.node("conv", Conv::new(window, 1), &[x, w]).unwrap()
}

fn add_constant(graph: &mut Graph, x: ValueId, shape: &[usize]) -> ValueId {
    let b = graph.constant("b", wave(shape, 0.53));
    graph.node("bias", Binary { function: BinaryFn::Add }, &[x, b]).unwrap()
}

fn relu(graph: &mut Graph, x: ValueId) -> ValueId {
    graph.node("relu", Unary { function: UnaryFn::Relu }, &[x]).unwrap()
}

fn transpose(graph: &mut Graph, x: ValueId, perm: &[usize]) -> ValueId {
    graph.node("permute", Transpose { perm: perm.to_vec() }, &[x]).unwrap()
}

fn reshape(graph: &mut Graph, x: ValueId, sizes: &[usize]) -> ValueId {
    let dims = sizes.iter().map(|&size| Dim::Size(size)).collect();
    graph.node("reshape", Reshape { dims }, &[x]).unwrap()
}

#[test]
fn bias_norm_residual_and_activation_become_one_convolution() {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2, 7, 6, 5]));
    let y = conv2d(&mut graph, x, [1, 1, 5, 5], 1);
    let y = add_constant(&mut graph, y, &[5]);
    let mut statistics: Vec<ValueId> =
        [0.3, 0.7, 1.1].iter().map(|&seed| graph.constant("statistic", wave(&[5], seed))).collect();
    statistics.push(graph.constant("variance", Tensor::from_fn([5], |i| 0.5 + i as f32)));
    let norm = BatchNorm { axis: 3, epsilon: 1e-3 };
    let y = graph.node("norm", norm, &[&[y], statistics.as_slice()].concat()).unwrap();
    let y = graph.node("residual", Binary { function: BinaryFn::Add }, &[x, y]).unwrap();
    let y = relu(&mut graph, y);
    graph.output("y", y);
    let (ops, report) = check(graph, Accuracy::Reduction { length: 5 });
    assert_eq!(ops, ["Conv"], "{report:?}");
}

#[test]
fn a_convolution_read_twice_keeps_its_result() {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 4, 4, 3]));
    let y = conv2d(&mut graph, x, [3, 3, 3, 2], 1);
    let z = relu(&mut graph, y);
    graph.output("y", y);
    graph.output("z", z);
    let (ops, report) = check(graph, Accuracy::Exact);
    assert_eq!(ops, ["Conv", "Unary"]);
    assert!(report.refused.iter().any(|note| note.what.contains("read elsewhere")), "{report:?}");
}

#[test]
fn zero_padding_becomes_the_convolutions_own() {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 7, 5, 3]));
    let pads = vec![(0, 0), (0, 1), (2, 1), (0, 0)];
    let padded = graph.node("pad", Pad { pads: pads.clone(), mode: PadMode::Constant(0.0) }, &[x]).unwrap();
    let y = conv2d(&mut graph, padded, [3, 3, 3, 4], 2);
    let edge = graph.node("edge", Pad { pads, mode: PadMode::Edge }, &[x]).unwrap();
    let z = conv2d(&mut graph, edge, [3, 3, 3, 4], 2);
    graph.output("y", y);
    graph.output("z", z);
    let (ops, report) = check(graph, Accuracy::Exact);
    assert_eq!(ops, ["Conv", "Pad", "Conv"], "{report:?}");
}

#[test]
fn padding_that_never_is_the_largest_becomes_the_pools_own() {
    let pool = |size: [usize; 2]| Pool {
        kind: PoolKind::Max,
        size: size.to_vec(),
        window: Window { stride: vec![2, 2], ..Window::unit(2) },
    };
    // As Keras writes ResNet: rectified, padded with zeros, the largest of 3 by 3.
    let graph = |rectified: bool, value: f32, before: usize| {
        let mut graph = Graph::new();
        let mut x = graph.input("x", TensorType::f32([1, 8, 5, 3]));
        if rectified {
            x = relu(&mut graph, x);
        }
        let pads = vec![(0, 0), (before, 1), (1, 1), (0, 0)];
        let padded = graph.node("pad", Pad { pads, mode: PadMode::Constant(value) }, &[x]).unwrap();
        let y = graph.node("pool", pool([3, 3]), &[padded]).unwrap();
        graph.output("y", y);
        graph
    };
    for (rectified, value, before, folded) in [
        (true, 0.0, 1, true),
        (true, -3.0, 1, true),
        (false, f32::NEG_INFINITY, 1, true),
        (false, 0.0, 1, false),
        (true, 0.5, 1, false),
        (true, 0.0, 4, false),
    ] {
        let (ops, report) = check(graph(rectified, value, before), Accuracy::Exact);
        assert_eq!(!ops.contains(&"Pad".to_string()), folded, "{ops:?} {report:?}");
        assert_eq!(report.refused.is_empty(), folded, "{report:?}");
    }
}

#[test]
fn transposes_around_channels_first_convolutions_cancel() {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2, 3, 8, 7]));
    let mut y = x;
    for channels in [3, 4] {
        y = transpose(&mut graph, y, &[0, 2, 3, 1]);
        y = conv2d(&mut graph, y, [3, 3, channels, 4], 1);
        y = transpose(&mut graph, y, &[0, 3, 1, 2]);
        y = add_constant(&mut graph, y, &[4, 1, 1]);
        y = relu(&mut graph, y);
    }
    graph.output("y", y);
    let (ops, report) = check(graph, Accuracy::Reduction { length: 36 });
    assert_eq!(ops, ["Transpose", "Conv", "Conv", "Transpose"], "{report:?}");
}

/// The five ways to write one 3x3 filter for all 16 channels, each ending in `[N, rows, columns, 16]`.
fn disguises(graph: &mut Graph, x: ValueId) -> Vec<ValueId> {
    let kernel = wave(&[3, 3, 1, 1], 0.77);
    let w = graph.constant("kernel", kernel.clone());
    let b = graph.constant("bias", Tensor::full([1], 0.25));
    let finish = |graph: &mut Graph, y: ValueId| {
        let y = graph.node("bias", Binary { function: BinaryFn::Add }, &[y, b]).unwrap();
        graph.node("tanh", Unary { function: UnaryFn::Tanh }, &[y]).unwrap()
    };
    let strided = Window { stride: vec![3, 3], ..Window::unit(2) };

    let shared = graph.node("shared", Conv::shared(strided.clone()), &[x, w]).unwrap();
    let shared = finish(graph, shared);

    let planes = transpose(graph, x, &[0, 3, 1, 2]);
    let planes = reshape(graph, planes, &[2, 16, 6, 9, 1]);
    let w3 = graph.constant("kernel", kernel.reshaped([1, 3, 3, 1, 1]).unwrap());
    let window = Window { stride: vec![1, 3, 3], ..Window::unit(3) };
    let planes = graph.node("conv3d", Conv::new(window, 1), &[planes, w3]).unwrap();
    let planes = finish(graph, planes);
    let planes = reshape(graph, planes, &[2, 16, 2, 3]);
    let planes = transpose(graph, planes, &[0, 2, 3, 1]);

    let columns = transpose(graph, x, &[0, 1, 3, 2]);
    let columns = reshape(graph, columns, &[2, 6, 144, 1]);
    let columns = graph.node("conv2d", Conv::new(strided.clone(), 1), &[columns, w]).unwrap();
    let columns = finish(graph, columns);
    let columns = reshape(graph, columns, &[2, 2, 16, 3]);
    let columns = transpose(graph, columns, &[0, 1, 3, 2]);

    let slices: Vec<ValueId> = (0..16)
        .map(|channel| {
            let one = graph.node("slice", Slice::range(3, channel, Some(channel + 1)), &[x]).unwrap();
            let y = graph.node("conv2d", Conv::new(strided.clone(), 1), &[one, w]).unwrap();
            finish(graph, y)
        })
        .collect();
    let slices = graph.node("concat", Concat { axis: 3 }, &slices).unwrap();

    let axis = reshape(graph, x, &[2, 6, 9, 16, 1]);
    let w3 = graph.constant("kernel", kernel.reshaped([3, 3, 1, 1, 1]).unwrap());
    let window = Window { stride: vec![3, 3, 1], ..Window::unit(3) };
    let axis = graph.node("conv3d", Conv::new(window, 1), &[axis, w3]).unwrap();
    let axis = finish(graph, axis);
    let axis = reshape(graph, axis, &[2, 2, 3, 16]);
    vec![shared, planes, columns, slices, axis]
}

#[test]
fn one_shared_kernel_is_found_wherever_it_hides() {
    for form in 0..5 {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([2, 6, 9, 16]));
        let y = disguises(&mut graph, x)[form];
        graph.output("y", y);
        let (ops, report) = check(graph, Accuracy::Reduction { length: 9 });
        assert_eq!(ops, ["Conv"], "form {form}: {report:?}");
        let found = report.applied.iter().any(|note| note.pass == "recognize_shared_kernels");
        assert_eq!(found, form > 0, "form {form}: {report:?}");
    }
}

#[test]
fn the_stride_trick_without_its_permute_is_not_a_shared_kernel() {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 3, 3, 16]));
    let flat = reshape(&mut graph, x, &[1, 3, 48, 1]);
    let y = conv2d(&mut graph, flat, [3, 3, 1, 1], 3);
    graph.output("y", y);
    let (ops, report) = check(graph, Accuracy::Exact);
    assert_eq!(ops, ["Reshape", "Conv"]);
    assert!(report.refused.iter().any(|note| note.what.contains("Permute((1, 3, 2))")), "{report:?}");
}

#[test]
fn a_same_padded_convolution_of_columns_is_left_alone() {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 3, 3, 16]));
    let turned = transpose(&mut graph, x, &[0, 1, 3, 2]);
    let flat = reshape(&mut graph, turned, &[1, 3, 48, 1]);
    let w = graph.constant("w", wave(&[3, 3, 1, 1], 0.91));
    let window = Window { stride: vec![3, 3], padding: Padding::Explicit(vec![(1, 1), (1, 1)]), ..Window::unit(2) };
    let y = graph.node("conv", Conv::new(window, 1), &[flat, w]).unwrap();
    graph.output("y", y);
    let (ops, _) = check(graph, Accuracy::Exact);
    assert_eq!(ops, ["Transpose", "Reshape", "Conv"]);
}

#[test]
fn folded_constants_are_the_same_tensor_for_another_batch() {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 4, 4, 3]));
    let w = graph.constant("w", wave(&[9, 3, 2], 0.5));
    let w = reshape(&mut graph, w, &[3, 3, 3, 2]);
    let y = graph.node("conv", Conv::new(Window::unit(2), 1), &[x, w]).unwrap();
    graph.output("y", y);
    let cache = FoldCache::default();
    let ids = [1, 5].map(|batch| {
        let types = BTreeMap::from([("x".to_string(), TensorType::f32([batch, 4, 4, 3]))]);
        let (graph, _) = optimize(graph.with_input_types(&types).unwrap(), &cache).unwrap();
        let weights = graph.nodes()[0].inputs[1];
        graph.as_constant(weights).unwrap().data_id()
    });
    assert_eq!(ids[0], ids[1]);
}

/// As [`check`], and then made for a device with the limits that WebGPU guarantees.
fn check_on(class: DeviceClass, graph: Graph, accuracy: Accuracy) -> (Vec<String>, Report) {
    let inputs: BTreeMap<String, Tensor> =
        graph.inputs().iter().map(|&id| (graph.value(id).name.clone(), wave(&graph.ty(id).shape, 0.37))).collect();
    let before = cpu::run(&graph, &inputs).unwrap();
    let (graph, _) = optimize(graph, &FoldCache::default()).unwrap();
    let (graph, report) = specialize(graph, &DeviceTraits::portable(class)).unwrap();
    for (a, e) in cpu::run(&graph, &inputs).unwrap().iter().zip(&before) {
        let comparison = compare(a, e, accuracy, 1.0);
        assert!(comparison.pass, "{comparison}\n{graph}");
    }
    (graph.nodes().iter().map(|node| node.op.to_string()).collect(), report)
}

#[test]
fn a_depthwise_convolution_joins_the_pointwise_one_that_reads_it_where_that_pays() {
    let pair = |side: usize, read_twice: bool| {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([1, side, side, 8]));
        let w = graph.constant("w", wave(&[3, 3, 1, 8], 0.61));
        let same = Window { padding: Padding::Same, ..Window::unit(2) };
        let between = graph.node("depthwise", Conv::new(same, 8), &[x, w]).unwrap();
        let between = add_constant(&mut graph, between, &[8]);
        let between = relu(&mut graph, between);
        let y = conv2d(&mut graph, between, [1, 1, 8, 12], 1);
        let y = add_constant(&mut graph, y, &[12]);
        graph.output("y", y);
        if read_twice {
            graph.output("between", between);
        }
        graph
    };
    let accuracy = Accuracy::Reduction { length: 9 };
    for (class, side, read_twice, why) in [
        (DeviceClass::Discrete, 50, false, ""),
        (DeviceClass::Discrete, 50, true, "read elsewhere"),
        (DeviceClass::Discrete, 9, false, "would not keep a device busy"),
        (DeviceClass::Cpu, 50, false, "in its cache"),
    ] {
        let (ops, report) = check_on(class, pair(side, read_twice), accuracy);
        let expected: &[&str] = if why.is_empty() { &["Separable"] } else { &["Conv", "Conv"] };
        assert_eq!(ops, expected, "{report:?}");
        let told = |notes: &[wgconv::passes::Note], what: &str| notes.iter().any(|note| note.what.contains(what));
        let found = if why.is_empty() { told(&report.applied, "joined with") } else { told(&report.refused, why) };
        assert!(found, "{report:?}");
    }
}

#[test]
fn an_inverted_residual_block_becomes_one_where_that_pays() {
    let block = |side: usize, read_twice: bool| {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([1, side, side, 4]));
        let expanded = conv2d(&mut graph, x, [1, 1, 4, 24], 1);
        let expanded = relu(&mut graph, expanded);
        let w = graph.constant("w", wave(&[3, 3, 1, 24], 0.61));
        let same = Window { padding: Padding::Same, ..Window::unit(2) };
        let filtered = graph.node("depthwise", Conv::new(same, 24), &[expanded, w]).unwrap();
        let filtered = relu(&mut graph, filtered);
        let y = conv2d(&mut graph, filtered, [1, 1, 24, 4], 1);
        let y = graph.node("residual", Binary { function: BinaryFn::Add }, &[y, x]).unwrap();
        graph.output("y", y);
        if read_twice {
            graph.output("expanded", expanded);
        }
        graph
    };
    for (class, side, read_twice, why) in [
        (DeviceClass::Discrete, 70, false, ""),
        (DeviceClass::Discrete, 70, true, "read elsewhere"),
        (DeviceClass::Discrete, 9, false, "its 6 tiles"),
        (DeviceClass::Cpu, 70, false, "in its cache"),
    ] {
        let (ops, report) = check_on(class, block(side, read_twice), Accuracy::NormalizedReduction { length: 24 });
        assert_eq!(ops.iter().any(|op| op == "InvertedResidual"), why.is_empty(), "{ops:?} {report:?}");
        let notes = if why.is_empty() { &report.applied } else { &report.refused };
        let told = |note: &wgconv::passes::Note| note.pass == "fuse_inverted_residual" && note.what.contains(why);
        assert!(notes.iter().any(told), "{report:?}");
    }
}

/// A squeeze-and-excite block over `[pictures, side, side, 16]`, and the pointwise convolution that reads what it scales.
fn squeeze_and_excite(pictures: usize, side: usize) -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([pictures, side, side, 16]));
    let mean = Reduce { function: ReduceFn::Mean, axes: vec![1, 2], keepdims: false };
    let mean = graph.node("mean", mean, &[x]).unwrap();
    let mean = reshape(&mut graph, mean, &[pictures, 1, 1, 16]);
    let y = conv2d(&mut graph, mean, [1, 1, 16, 6], 1);
    let y = add_constant(&mut graph, y, &[6]);
    let y = relu(&mut graph, y);
    let y = conv2d(&mut graph, y, [1, 1, 6, 16], 1);
    let gate = graph.node("gate", Unary { function: UnaryFn::Sigmoid }, &[y]).unwrap();
    let y = graph.node("scale", Binary { function: BinaryFn::Mul }, &[x, gate]).unwrap();
    let y = conv2d(&mut graph, y, [1, 1, 16, 8], 1);
    graph.output("y", y);
    graph
}

#[test]
fn squeeze_and_excite_takes_two_dispatches_and_says_why_not() {
    let accuracy = Accuracy::NormalizedReduction { length: 16 };
    for (class, pictures, side, expected, why) in [
        (DeviceClass::Discrete, 1, 9, &["SqueezeExcite", "Reshape", "Binary", "Conv"][..], ""),
        (DeviceClass::Discrete, 1, 80, &["Reduce", "Reshape", "SqueezeExcite", "Reshape", "Binary", "Conv"], ""),
        (DeviceClass::Discrete, 1, 2, &["SqueezeExcite", "Binary", "Conv"], "there are 128 weights"),
        (DeviceClass::Discrete, 3, 9, &["SqueezeExcite", "Binary", "Conv"], "pictures of the batch have factors"),
        (DeviceClass::Cpu, 1, 9, &["Reduce", "Reshape", "Conv", "Conv", "Reshape", "Binary", "Conv"], "subgroup"),
    ] {
        let (ops, report) = check_on(class, squeeze_and_excite(pictures, side), accuracy);
        assert_eq!(ops, expected, "{report:?}");
        assert!(why.is_empty() || report.refused.iter().any(|note| note.what.contains(why)), "{report:?}");
    }
}

#[test]
fn functions_that_follow_each_other_become_one() {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2, 5, 7]));
    let other = graph.input("other", TensorType::f32([2, 5, 7]));
    let scale = graph.constant("scale", wave(&[7], 0.71));
    let binary = |function| Binary { function };
    let a = graph.node("multiply", binary(BinaryFn::Mul), &[scale, x]).unwrap();
    let b = graph.node("silu", Unary { function: UnaryFn::Silu }, &[a]).unwrap();
    let c = graph.node("subtract", binary(BinaryFn::Sub), &[other, b]).unwrap();
    let d = relu(&mut graph, c);
    graph.output("d", d);
    // A comparison jumps where small errors meet it, and what is read twice is needed as it is.
    let e = graph.node("less", binary(BinaryFn::Less), &[d, other]).unwrap();
    graph.output("e", e);
    let f = graph.node("negative", Unary { function: UnaryFn::Neg }, &[d]).unwrap();
    graph.output("f", f);
    // What is stored has no error to jump by.
    let g = graph.node("floor", Unary { function: UnaryFn::Floor }, &[x]).unwrap();
    let g = graph.node("add", binary(BinaryFn::Add), &[g, scale]).unwrap();
    graph.output("g", g);
    let (ops, report) = check_on(DeviceClass::Discrete, graph, Accuracy::Transcendental);
    assert_eq!(ops, ["Chain", "Binary", "Unary", "Chain"], "{report:?}");
    assert!(report.refused.iter().any(|note| note.node == "negative" && note.what.contains("read elsewhere")));
}

#[test]
fn quantising_and_dequantising_take_one_step_and_read_their_scale_once() {
    let mut graph = Graph::new();
    let mut x = graph.input("x", TensorType::f32([2, 5, 7]));
    for [scale, zero] in [[0.02, 3.0], [0.03, 128.0], [0.005, 0.0], [0.04, 1.0], [0.06, 7.0]] {
        let number = |graph: &mut Graph, value: f32| graph.constant("number", Tensor::full([1], value));
        let one = Unary { function: UnaryFn::Round };
        let range = Unary { function: UnaryFn::Clip { low: 0.0, high: 255.0 } };
        // Readers and writers of integers have constants of their own.
        let [up, down] = [0; 2].map(|_| (number(&mut graph, scale), number(&mut graph, zero)));
        x = graph.node("scaled", Binary { function: BinaryFn::Div }, &[x, up.0]).unwrap();
        x = graph.node("rounded", one, &[x]).unwrap();
        x = graph.node("placed", Binary { function: BinaryFn::Add }, &[x, up.1]).unwrap();
        x = graph.node("kept", range, &[x]).unwrap();
        x = graph.node("centred", Binary { function: BinaryFn::Sub }, &[x, down.1]).unwrap();
        x = graph.node("numbers", Binary { function: BinaryFn::Mul }, &[x, down.0]).unwrap();
    }
    graph.output("y", x);
    // Ten further inputs, and a device that binds eight buffers takes six.
    let (ops, report) = check_on(DeviceClass::Discrete, graph, Accuracy::Exact);
    assert_eq!(ops, ["Chain", "Chain"], "{report:?}");
}

#[test]
fn constants_too_large_to_be_kept_are_left_to_the_device() {
    for sizes in [vec![1 << 15, 1 << 15], vec![1 << 20, 1 << 16]] {
        let mut graph = Graph::new();
        let one = graph.constant("one", wave(&[1], 0.5));
        let dims = sizes.iter().map(|&size| Dim::Size(size)).collect();
        let large = graph.node("expand", Expand { dims }, &[one]).unwrap();
        graph.output("y", large);
        let (graph, report) = optimize(graph, &FoldCache::default()).unwrap();
        assert_eq!(graph.nodes().len(), 1);
        assert!(report.refused.iter().any(|note| note.what.contains("left to the device")), "{report:?}");
    }
}

#[test]
fn filters_are_transformed_where_a_card_gains_from_it() {
    let graph = |side: usize, channels: usize, known: bool| {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([1, side, side, channels]));
        let shape = [3, 3, channels, channels];
        let w = match known {
            true => graph.constant("w", wave(&shape, 0.61)),
            false => graph.input("w", TensorType::f32(shape)),
        };
        let same = Window { padding: Padding::Same, ..Window::unit(2) };
        let y = graph.node("conv", Conv::new(same, 1), &[x, w]).unwrap();
        graph.output("y", y);
        graph
    };
    let cache = FoldCache::default();
    let pass = |class, graph: Graph| winograd(graph, &DeviceTraits::portable(class), &cache, &|_, _| None).unwrap();
    for (class, graph, why) in [
        (DeviceClass::Cpu, graph(14, 256, true), "subgroup"),
        (DeviceClass::Discrete, graph(14, 256, false), "its filters are computed"),
        (DeviceClass::Discrete, graph(112, 32, true), "million multiply-adds"),
    ] {
        let (graph, report) = pass(class, graph);
        assert_eq!(graph.nodes()[0].op.to_string(), "Conv");
        assert!(report.refused[0].what.contains(why), "{report:?}");
    }
    let before = graph(14, 256, true);
    let inputs = BTreeMap::from([("x".to_string(), wave(&[1, 14, 14, 256], 0.37))]);
    let expected = cpu::run(&before, &inputs).unwrap();
    let (after, _) = pass(DeviceClass::Discrete, before.clone());
    assert_eq!(after.nodes()[0].op.to_string(), "Winograd");
    let found = cpu::run(&after, &inputs).unwrap();
    let comparison = compare(&found[0], &expected[0], Accuracy::Reduction { length: 9 * 256 }, 1.0);
    assert!(comparison.pass, "{comparison}");
    // The same filters for another plan are the same tensor.
    let (again, _) = pass(DeviceClass::Discrete, before);
    let filters = |graph: &Graph| graph.as_constant(graph.nodes()[0].inputs[1]).unwrap().data_id();
    assert_eq!(filters(&after), filters(&again));
}
