//! A session compiles a graph, runs it on the GPU and on the CPU reference, and takes other input shapes.

use std::collections::BTreeMap;

use wgconv::graph::Graph;
use wgconv::ops::{Unary, UnaryFn};
use wgconv::session::{Device, Options, Session};
use wgconv::tensor::{Accuracy, Tensor, TensorType, compare};

fn graph() -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2, 7]));
    let y = graph.node("silu", Unary { function: UnaryFn::Silu }, &[x]).unwrap();
    graph.output("y", y);
    graph.output("copy of x", x);
    graph
}

fn input(rows: usize) -> BTreeMap<String, Tensor> {
    BTreeMap::from([("x".to_string(), Tensor::from_fn([rows, 7], |i| (i as f32 * 0.7).sin() * 9.0))])
}

#[test]
fn the_gpu_agrees_with_the_reference_for_any_batch() {
    let gpu = Session::new(graph(), Device::select("gpu").unwrap(), Options::default());
    let cpu = Session::new(graph(), Device::Cpu, Options::default());
    for rows in [2, 13, 2, 1] {
        let (actual, expected) = (gpu.run(&input(rows)).unwrap(), cpu.run(&input(rows)).unwrap());
        for name in ["y", "copy of x"] {
            let comparison = compare(&actual[name], &expected[name], Accuracy::Transcendental, 1.0);
            assert!(comparison.pass, "{name}: {comparison}");
        }
        assert_eq!(pollster::block_on(gpu.run_async(&input(rows))).unwrap(), actual);
    }
    let compiled = gpu.compile(&BTreeMap::new()).unwrap();
    let checked = compiled.check(&input(2), 1.0, |_, _| {}).unwrap();
    assert_eq!((checked.steps, checked.first_failure), (1, None));
}

#[test]
fn wrong_inputs_are_named() {
    let session = Session::new(graph(), Device::Cpu, Options::default());
    let message = session.run(&BTreeMap::new()).unwrap_err().to_string();
    assert!(message.contains("`x`") && message.contains("missing"), "{message}");
    let mut inputs = input(2);
    inputs.insert("z".into(), Tensor::full([1], 0.0));
    assert!(session.run(&inputs).unwrap_err().to_string().contains("`z`"));
}

#[test]
fn another_batch_uploads_no_weights_again() {
    let model = wgconv::zoo::build("mobilenet_v1?alpha=0.25&size=32&classes=3").unwrap();
    let session = Session::new(model.graph(1).unwrap(), Device::select("gpu").unwrap(), Options::default());
    let batch = |n: usize| BTreeMap::from([("input_layer".to_string(), TensorType::f32([n, 32, 32, 3]))]);
    session.compile(&batch(1)).unwrap();
    let bytes = session.weight_bytes();
    assert!(bytes > 100_000);
    let compiled = session.compile(&batch(3)).unwrap();
    assert_eq!(session.weight_bytes(), bytes);
    assert_eq!(compiled.plan().unwrap().outputs[0].ty.shape.to_vec(), [3, 3]);
}

#[test]
fn the_callers_own_device_and_buffers_are_used() {
    use wgconv::gpu::{self, ShaderChecks, wgpu};
    let owner = pollster::block_on(gpu::Device::request("", ShaderChecks::Off)).unwrap();
    let (device, queue) = (owner.wgpu_device().clone(), owner.wgpu_queue().clone());
    let shared = gpu::Device::from_wgpu(device.clone(), queue.clone(), ShaderChecks::Off);
    let session = Session::new(graph(), Device::from_gpu(shared), Options::default());
    let compiled = session.compile(&BTreeMap::new()).unwrap();
    let executable = compiled.executable().unwrap();
    let buffer = |usage| {
        let usage = wgpu::BufferUsages::STORAGE | usage;
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false })
    };
    let (from, to) = (wgpu::BufferUsages::COPY_SRC, wgpu::BufferUsages::COPY_DST);
    let x = buffer(from | to);
    let outputs = [buffer(from | to), buffer(from | to)];
    let bound = executable.bind(vec![x.clone()], outputs.to_vec()).unwrap();
    let values: Vec<f32> = (0..14).map(|i| i as f32 - 7.0).collect();
    queue.write_buffer(&x, 0, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    executable.run_bound(&bound).unwrap();
    let staging = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 64,
        usage: wgpu::BufferUsages::MAP_READ | to,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(&outputs[0], 0, &staging, 0, 64);
    queue.submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let view = staging.get_mapped_range(..).unwrap();
    for (bytes, x) in view.chunks_exact(4).zip(&values) {
        let y = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let expected = UnaryFn::Silu.evaluate(f64::from(*x)) as f32;
        assert!((y - expected).abs() <= 1e-5, "{x}: {y} where {expected} was expected");
    }
    let message = |inputs: Vec<wgpu::Buffer>| executable.bind(inputs, outputs.to_vec()).err().unwrap().to_string();
    assert!(message(vec![]).contains("`x`"));
    assert!(message(vec![buffer(to)]).contains("COPY_SRC"));
}

#[test]
fn tensors_beyond_one_binding_are_refused_with_the_limit() {
    let mut graph = Graph::new();
    let x = graph.input("picture", TensorType::f32([1, 6000, 6000, 1]));
    let y = graph.node("relu", Unary { function: UnaryFn::Relu }, &[x]).unwrap();
    graph.output("y", y);
    let session = Session::new(graph, Device::select("gpu").unwrap(), Options::default());
    let message = session.compile(&BTreeMap::new()).unwrap_err().to_string();
    assert!(message.contains("picture") && message.contains("144000000") && message.contains("134217728"), "{message}");
}
