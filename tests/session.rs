//! A session compiles a graph, runs it on the GPU and on the CPU reference, and takes other input shapes.

mod shared_data;

use std::collections::BTreeMap;

use shared_data::{device, gpu};
use wgconv::graph::Graph;
use wgconv::ops::{Binary, BinaryFn, Conv, Epilogue, Filters, Pool, PoolKind, Softmax, SoftmaxKind, Unary, UnaryFn};
use wgconv::session::{Device, Options, Session};
use wgconv::tensor::{Accuracy, Padding, Tensor, TensorType, Window, compare};

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
    let gpu = Session::new(graph(), device(), Options::default());
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
    let session = Session::new(model.graph(1).unwrap(), device(), Options::default());
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

/// A network with everything that is divided by batch or rows.
fn large_graph() -> Graph {
    let window = |stride| Window { stride: vec![stride; 2], padding: Padding::Same, ..Window::unit(2) };
    let weights = |shape: &[usize]| Tensor::from_fn(shape.to_vec(), |i| (i as f32 * 1.3).sin() * 0.3);
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([2, 61, 33, 8]));
    let mut constants = [&[3, 3, 8, 16][..], &[16], &[3, 3, 1, 16], &[1, 1, 16, 12]].into_iter();
    let mut constant = |graph: &mut Graph| graph.constant("w", weights(constants.next().unwrap()));
    let (w, bias) = (constant(&mut graph), constant(&mut graph));
    let epilogue = Epilogue { bias: true, activation: Some(UnaryFn::Relu), ..Epilogue::default() };
    let conv = Conv { window: window(1), epilogue, filters: Filters::PerGroup { groups: 1 } };
    let first = graph.node("conv", conv, &[x, w, bias]).unwrap();
    let w = constant(&mut graph);
    let conv = Conv { window: window(1), ..Conv::new(Window::unit(2), 16) };
    let depthwise = graph.node("depthwise", conv, &[first, w]).unwrap();
    let w = constant(&mut graph);
    let pointwise = graph.node("pointwise", Conv::new(Window::unit(2), 1), &[depthwise, w]).unwrap();
    let pool = Pool { kind: PoolKind::Max, size: vec![3, 3], window: window(1) };
    let pooled = graph.node("pool", pool, &[pointwise]).unwrap();
    let sum = graph.node("sum", Binary { function: BinaryFn::Add }, &[pooled, pointwise]).unwrap();
    let soft = graph.node("softmax", Softmax { kind: SoftmaxKind::Softmax, axis: 3 }, &[sum]).unwrap();
    graph.output("y", soft);
    graph.output("sum", sum);
    graph
}

/// A device that binds little at once.
fn small_device(binding: u64) -> Device {
    use wgconv::gpu::{self, ShaderChecks, wgpu};
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    let limits = wgpu::Limits { max_storage_buffer_binding_size: binding, ..adapter.limits() };
    let descriptor = wgpu::DeviceDescriptor {
        required_limits: limits,
        required_features: adapter.features() & wgpu::Features::SUBGROUP,
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    Device::from_gpu(gpu::Device::from_wgpu(device, queue, ShaderChecks::Off))
}

#[test]
fn tensors_beyond_one_binding_are_worked_on_in_pieces() {
    let inputs =
        BTreeMap::from([("x".to_string(), Tensor::from_fn([2, 61, 33, 8], |i| (i as f32 * 0.21).sin() * 2.0))]);
    let whole = Session::new(large_graph(), device(), Options::default());
    let expected = whole.run(&inputs).unwrap();
    // The largest values have 128,832 bytes a batch element: by batch, then by rows.
    for binding in [130_000, 40_000] {
        let divided = Session::new(large_graph(), small_device(binding), Options::default());
        let compiled = divided.compile(&BTreeMap::new()).unwrap();
        assert!(
            compiled.plan().unwrap().dispatches()
                >= 2 * whole.compile(&BTreeMap::new()).unwrap().plan().unwrap().dispatches()
        );
        let checked = compiled.check(&inputs, 1.0, |_, _| {}).unwrap();
        assert_eq!(checked.first_failure, None);
        let outputs = divided.run(&inputs).unwrap();
        for name in ["y", "sum"] {
            let comparison = compare(&outputs[name], &expected[name], Accuracy::Reduction { length: 144 }, 1.0);
            assert!(comparison.pass, "{binding}, {name}: {comparison}");
        }
    }
    let message =
        Session::new(large_graph(), small_device(2048), Options::default()).run(&inputs).unwrap_err().to_string();
    assert!(message.contains("2048") && message.contains("window"), "{message}");
}

#[test]
fn threads_share_a_session() {
    fn shared<T: Send + Sync>(_: &T) {}
    let session = Session::new(graph(), device(), Options::default());
    shared(&session);
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let session = &session;
            scope.spawn(move || {
                for round in 0..20 {
                    // Shapes that others use and shapes of its own, blocking and not.
                    let rows = [5, 5, 1 + thread][round % 3];
                    let value = (thread * 20 + round) as f32 * 0.01;
                    let x = Tensor::full([rows, 7], value);
                    let inputs = BTreeMap::from([("x".to_string(), x.clone())]);
                    let outputs = match round % 2 {
                        0 => session.run(&inputs).unwrap(),
                        _ => pollster::block_on(session.run_async(&inputs)).unwrap(),
                    };
                    assert_eq!(outputs["copy of x"], x);
                    let y = outputs["y"].f32s().unwrap();
                    let expected = UnaryFn::Silu.evaluate(f64::from(value)) as f32;
                    assert!(y.len() == rows * 7 && y.iter().all(|y| (y - expected).abs() < 1e-5), "{y:?} {expected}");
                }
            });
        }
    });
}

#[test]
fn what_drivers_make_of_shaders_is_kept_and_damage_to_it_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("not/there/yet");
    let run = || {
        let device = device().cached_in(&cache);
        Session::new(graph(), device, Options::default()).run(&input(3)).unwrap()
    };
    let expected = run();
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(&cache).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    if !gpu().summary().features.contains(&("PIPELINE_CACHE".into(), true)) {
        assert_eq!(files().len(), 0);
        return;
    }
    let file = files().pop().unwrap();
    let kept = std::fs::read(&file).unwrap();
    for damaged in [&b""[..], b"something else", &kept[..kept.len() / 2]] {
        std::fs::write(&file, damaged).unwrap();
        assert_eq!(run(), expected);
        assert_eq!((files().len(), std::fs::read(&file).unwrap().len() >= kept.len()), (1, true));
    }
}
