//! What the host does before a device has anything to do: building graphs, passes, planning, shader text.
//!
//! `cargo bench --bench host`. A graph of 1,000 nodes is planned in well under 50 ms.

use divan::{Bencher, black_box};
use wgconv::graph::Graph;
use wgconv::kernels::{DeviceClass, DeviceTraits, preferred};
use wgconv::ops::{Binary, BinaryFn, Concat, Conv, Unary, UnaryFn};
use wgconv::passes::{FoldCache, optimize};
use wgconv::plan::{Action, Plan, plan};
use wgconv::tensor::{Tensor, TensorType, Window};
use wgconv::zoo;

fn main() {
    divan::main();
}

/// Residual blocks of three nodes each, until there are 1,000: convolution, function, sum. With `keep`, every block's result is
/// read once more at the end, so that all of them live at once.
fn thousand_nodes(keep: bool) -> Graph {
    let mut graph = Graph::new();
    let mut x = graph.input("x", TensorType::f32([1, 14, 14, 32]));
    let weights = Tensor::from_fn([1, 1, 32, 32], |i| (i as f32 * 0.37).sin());
    let mut kept = Vec::new();
    let built = (|| {
        for block in 0..333 {
            let w = graph.constant(format!("w{block}"), weights.clone());
            let y = graph.node(format!("conv{block}"), Conv::new(Window::unit(2), 1), &[x, w])?;
            let y = graph.node(format!("silu{block}"), Unary { function: UnaryFn::Silu }, &[y])?;
            x = graph.node(format!("add{block}"), Binary { function: BinaryFn::Add }, &[x, y])?;
            kept.push(x);
        }
        match keep {
            true => graph.node("last", Concat { axis: 3 }, &kept),
            false => graph.node("last", Unary { function: UnaryFn::Relu }, &[x]),
        }
    })();
    graph.output("y", built.unwrap());
    assert_eq!(graph.nodes().len(), 1000);
    graph
}

fn mobilenet() -> Graph {
    zoo::build("mobilenet_v1").unwrap().graph(1).unwrap()
}

fn traits(class: DeviceClass) -> DeviceTraits {
    match class {
        DeviceClass::Cpu => DeviceTraits::lavapipe(),
        class => DeviceTraits::portable(class),
    }
}

fn planned(graph: &Graph, traits: &DeviceTraits) -> Plan {
    plan(graph, traits, |node, _| preferred(&node.op, traits)).unwrap()
}

#[divan::bench]
fn build_thousand_nodes() -> Graph {
    thousand_nodes(false)
}

#[divan::bench(args = [DeviceClass::Cpu, DeviceClass::Discrete])]
fn plan_thousand_nodes(bencher: Bencher<'_, '_>, class: DeviceClass) {
    let (graph, traits) = (thousand_nodes(false), traits(class));
    bencher.bench(|| planned(black_box(&graph), &traits));
}

#[divan::bench]
fn plan_thousand_nodes_that_all_live(bencher: Bencher<'_, '_>) {
    let (graph, traits) = (thousand_nodes(true), traits(DeviceClass::Discrete));
    bencher.bench(|| planned(black_box(&graph), &traits));
}

#[divan::bench]
fn passes_over_thousand_nodes(bencher: Bencher<'_, '_>) {
    let graph = thousand_nodes(false);
    bencher.with_inputs(|| graph.clone()).bench_values(|graph| optimize(graph, &FoldCache::default()).unwrap());
}

#[divan::bench]
fn build_mobilenet_v1(bencher: Bencher<'_, '_>) {
    let model = zoo::build("mobilenet_v1").unwrap();
    bencher.bench(|| model.graph(black_box(1)).unwrap());
}

#[divan::bench]
fn passes_over_mobilenet_v1(bencher: Bencher<'_, '_>) {
    let graph = mobilenet();
    bencher.with_inputs(|| graph.clone()).bench_values(|graph| optimize(graph, &FoldCache::default()).unwrap());
}

/// With the weights folded already, as for a second input size.
#[divan::bench]
fn passes_over_mobilenet_v1_again(bencher: Bencher<'_, '_>) {
    let (graph, cache) = (mobilenet(), FoldCache::default());
    optimize(graph.clone(), &cache).unwrap();
    bencher.with_inputs(|| graph.clone()).bench_values(|graph| optimize(graph, &cache).unwrap());
}

#[divan::bench(args = [DeviceClass::Cpu, DeviceClass::Discrete])]
fn plan_mobilenet_v1(bencher: Bencher<'_, '_>, class: DeviceClass) {
    let (graph, _) = optimize(mobilenet(), &FoldCache::default()).unwrap();
    let traits = traits(class);
    bencher.bench(|| planned(black_box(&graph), &traits));
}

#[divan::bench]
fn shader_text_of_mobilenet_v1(bencher: Bencher<'_, '_>) {
    let (graph, _) = optimize(mobilenet(), &FoldCache::default()).unwrap();
    let plan = planned(&graph, &DeviceTraits::lavapipe());
    let dispatches: Vec<_> = plan
        .steps
        .iter()
        .flat_map(|step| &step.actions)
        .filter_map(|action| match action {
            Action::Dispatch { dispatch, .. } => Some(dispatch),
            _ => None,
        })
        .collect();
    bencher.bench(|| dispatches.iter().map(|dispatch| dispatch.source().unwrap().len()).sum::<usize>());
}
