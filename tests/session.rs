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
