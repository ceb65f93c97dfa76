//! Times forward pass and gradients of single layers: `cargo run --release --example 03_layer_gradients [FILTER]`.
//!
//! `WGCONV_DEVICE` names an adapter, `WGCONV_WITHOUT` kernels (`a,b`) that are not to be used. Times are those of the fastest
//! submission, with the copies into images that the plan has; behind the kernels stand their own, from timestamps.

use std::sync::Arc;
use std::time::Instant;

use wgconv::gpu::{Device, Executable, ShaderChecks, SharedWeights};
use wgconv::graph::{Graph, ValueId};
use wgconv::kernels::{Kernel, preferred};
use wgconv::ops::{Conv, Moments, Op, Pool, PoolKind, Reduce, ReduceFn};
use wgconv::passes::{FoldCache, optimize};
use wgconv::plan::plan;
use wgconv::tensor::{Padding, Tensor, TensorType, Window};
use wgconv::train::gradients;

type Failure = Box<dyn std::error::Error>;

/// A layer by name: its op, and the shapes of what it reads.
type Layer = (&'static str, Op, Vec<Vec<usize>>);

fn layers() -> Vec<Layer> {
    let same = |stride: usize| Window { stride: vec![stride; 2], padding: Padding::Same, ..Window::unit(2) };
    let conv = |name, stride, groups: usize, x: [usize; 4], w: [usize; 4]| -> Layer {
        (name, Conv::new(same(stride), groups).into(), vec![x.to_vec(), w.to_vec()])
    };
    let average = PoolKind::Average { count_include_pad: false };
    let pool = |kind, size: usize| -> Op { Pool { kind, size: vec![size; 2], window: same(2) }.into() };
    let sum = Reduce { function: ReduceFn::Sum, axes: vec![0, 1, 2], keepdims: false };
    vec![
        conv("conv 3x3 1-16 28x28 @64", 1, 1, [64, 28, 28, 1], [3, 3, 1, 16]),
        conv("depthwise 3x3 16 28x28 @64", 1, 16, [64, 28, 28, 16], [3, 3, 1, 16]),
        conv("pointwise 16-32 28x28 @64", 1, 1, [64, 28, 28, 16], [1, 1, 16, 32]),
        ("dense 32-10 @64", Conv::new(Window::unit(0), 1).into(), vec![vec![64, 32], vec![32, 10]]),
        conv("conv 3x3 64-64 28x28 @8", 1, 1, [8, 28, 28, 64], [3, 3, 64, 64]),
        conv("depthwise 3x3 64 56x56 @8", 1, 64, [8, 56, 56, 64], [3, 3, 1, 64]),
        conv("conv 3x3 s2 64-64 28x28 @8", 2, 1, [8, 28, 28, 64], [3, 3, 64, 64]),
        conv("depthwise 3x3 s2 64 56x56 @8", 2, 64, [8, 56, 56, 64], [3, 3, 1, 64]),
        conv("pointwise 128-128 28x28 @8", 1, 1, [8, 28, 28, 128], [1, 1, 128, 128]),
        ("max pool 2x2 32 28x28 @64", pool(PoolKind::Max, 2), vec![vec![64, 28, 28, 32]]),
        ("max pool 3x3 s2 64 56x56 @8", pool(PoolKind::Max, 3), vec![vec![8, 56, 56, 64]]),
        ("average pool 2x2 32 28x28 @64", pool(average, 2), vec![vec![64, 28, 28, 32]]),
        ("sum of 32 channels 28x28 @64", sum.into(), vec![vec![64, 28, 28, 32]]),
        ("moments of 32 channels 28x28 @64", Moments { axis: 3 }.into(), vec![vec![64, 28, 28, 32]]),
    ]
}

/// Milliseconds of one run, and the kernels in it.
fn time(device: &Device, graph: &Graph) -> Result<(f64, String), Failure> {
    let (graph, _) = optimize(graph.clone(), &FoldCache::default())?;
    let without = std::env::var("WGCONV_WITHOUT").unwrap_or_default();
    let wanted = |kernel: &&Kernel| !without.split(',').any(|stem| stem == kernel.stem);
    let choose = |op: &Op| preferred(op, device.traits()).into_iter().filter(wanted).collect();
    let planned = Arc::new(plan(&graph, device.traits(), |node, _| choose(&node.op))?);
    let executable = Executable::compile(device, planned.clone(), &SharedWeights::default(), &|_, _| {})?;
    let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5;
    let inputs: Vec<Tensor> = planned.inputs.iter().map(|port| Tensor::from_fn(port.ty.shape.clone(), value)).collect();
    executable.upload(&inputs)?;
    executable.execute()?;
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < 9 || (begin.elapsed().as_secs_f64() < 1.0 && times.len() < 200) {
        let start = Instant::now();
        executable.execute()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let mut kernels: Vec<String> = planned.steps.iter().map(|step| step.kernel.to_string()).collect();
    if device.can_profile() {
        let spent = executable.profile()?;
        kernels.iter_mut().zip(spent).for_each(|(kernel, ns)| *kernel += &format!(" {:.2}", ns / 1e6));
    }
    Ok((times[0], kernels.join(", ")))
}

/// The layer in a graph of its own, with `wanted` picking what is computed: its output, or the gradient of an input.
fn graph(layer: &Layer, wanted: Option<usize>) -> Result<Graph, Failure> {
    let mut graph = Graph::new();
    let input = |graph: &mut Graph, name: String, shape: &[usize]| graph.input(name, TensorType::f32(shape.to_vec()));
    let inputs: Vec<ValueId> =
        layer.2.iter().enumerate().map(|(i, shape)| input(&mut graph, format!("x{i}"), shape)).collect();
    let y = graph.node(layer.0, layer.1.clone(), &inputs)?;
    let Some(wanted) = wanted else {
        graph.output("y", y);
        return Ok(graph);
    };
    let shape = graph.ty(y).shape.clone();
    let dy = input(&mut graph, "dy".into(), &shape);
    let gradient = gradients(&mut graph, &[(y, dy)], &[inputs[wanted]])?.remove(0);
    graph.output("gradient", gradient.ok_or("there is no gradient")?);
    Ok(graph)
}

fn main() -> Result<(), Failure> {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let wanted = std::env::var("WGCONV_DEVICE").unwrap_or_default();
    let device = pollster::block_on(Device::request(&wanted, ShaderChecks::Off))?;
    println!("{}", device.summary().name);
    for layer in layers().iter().filter(|layer| layer.0.contains(&filter)) {
        let types: Vec<TensorType> = layer.2.iter().map(|shape| TensorType::f32(shape.clone())).collect();
        let outputs = layer.1.spec().infer(&types)?;
        let macs = layer.1.spec().cost(&types, &outputs).macs;
        let variants = [("forward", None), ("dX", Some(0)), ("dW", Some(1))];
        let count = 1 + types.len();
        for (what, wanted) in variants.into_iter().take(count) {
            let (ms, kernels) = time(&device, &graph(layer, wanted)?)?;
            println!("{:<34} {what:<8} {ms:>8.2} ms {:>7.2} GFLOP/s  {kernels}", layer.0, 2e-6 * macs as f64 / ms);
        }
    }
    Ok(())
}
