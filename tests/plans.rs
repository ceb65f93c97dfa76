//! Plans are plain data: they are built without a device, and print the same text every time.

use std::collections::BTreeSet;

use wgconv::cases;
use wgconv::graph::Graph;
use wgconv::kernels::{Case, DeviceClass, DeviceTraits, candidates, preferred};
use wgconv::ops::{Binary, BinaryFn, Conv, Unary, UnaryFn};
use wgconv::passes::{FoldCache, optimize};
use wgconv::plan::{Action, BufferRef, Plan, Resource, plan};
use wgconv::tensor::{Tensor, TensorType, Window};
use wgconv::zoo;

fn planned(model: &str, traits: &DeviceTraits) -> Plan {
    let graph = zoo::build(model).unwrap().graph(2).unwrap();
    let (graph, _) = optimize(graph, &FoldCache::default()).unwrap();
    plan(&graph, traits, |node, _| preferred(&node.op, traits)).unwrap()
}

#[test]
fn the_questions_plan() {
    let traits = DeviceTraits::portable(DeviceClass::Discrete);
    insta::assert_snapshot!("question_shared", planned("separable_question?variant=slices", &traits).to_string());
    insta::assert_snapshot!("question_lanes", planned("separable_question", &DeviceTraits::lavapipe()).to_string());
}

#[test]
fn no_dispatch_reads_what_it_writes_and_memory_is_near_its_lower_bound() {
    for entry in zoo::ENTRIES {
        for traits in [DeviceTraits::portable(DeviceClass::Discrete), DeviceTraits::lavapipe()] {
            let plan = planned(entry.name, &traits);
            for action in plan.steps.iter().flat_map(|step| &step.actions) {
                let Action::Dispatch { dispatch, resources } = action else { continue };
                // What wgpu tracks usage by.
                let buffer = |resource: &Resource| match resource {
                    Resource::Buffer(BufferRef::Slot(slot)) => format!("{}", plan.slots[*slot].buffer),
                    other => format!("{other:?}"),
                };
                let written: Vec<String> = dispatch
                    .bindings
                    .iter()
                    .zip(resources)
                    .filter(|(b, _)| b.form.is_write())
                    .map(|(_, r)| buffer(r))
                    .collect();
                for (binding, resource) in dispatch.bindings.iter().zip(resources) {
                    let writable = binding.form.is_write() || binding.shared;
                    assert_eq!(writable, written.contains(&buffer(resource)), "{}: {dispatch:?}", entry.name);
                    let constant = matches!(resource, Resource::Buffer(BufferRef::Constant(_) | BufferRef::Input(_)));
                    assert!(!(binding.form.is_write() && constant), "{}: {dispatch:?}", entry.name);
                }
            }
            let (bytes, live) = (plan.buffer_bytes(), plan.live_bytes);
            assert!(bytes >= live && bytes * 10 <= live * 11, "{}: {bytes} for {live}", entry.name);
        }
    }
}

#[test]
fn what_several_neighbours_read_through_an_image_is_copied_once() {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 8, 8, 8]));
    let mut last = x;
    // Two readers beside each other, and one that is far away.
    for name in ["a", "b"] {
        let w = graph.constant(name, Tensor::full([1, 1, 8, 8], 0.5));
        let y = graph.node(name, Conv::new(Window::unit(2), 1), &[x, w]).unwrap();
        last = graph.node("sum", Binary { function: BinaryFn::Add }, &[last, y]).unwrap();
    }
    for _ in 0..20 {
        let w = graph.constant("w", Tensor::full([1, 1, 8, 8], 0.25));
        last = graph.node("chain", Conv::new(Window::unit(2), 1), &[last, w]).unwrap();
    }
    let w = graph.constant("w", Tensor::full([1, 1, 8, 8], 0.5));
    let far = graph.node("far", Conv::new(Window::unit(2), 1), &[x, w]).unwrap();
    let y = graph.node("y", Binary { function: BinaryFn::Add }, &[last, far]).unwrap();
    graph.output("y", y);
    let traits = DeviceTraits::lavapipe();
    let plan = plan(&graph, &traits, |node, _| preferred(&node.op, &traits)).unwrap();
    let copies = |wanted: BufferRef| {
        let actions = plan.steps.iter().flat_map(|step| &step.actions);
        actions.filter(|action| matches!(action, Action::CopyToImage { source, .. } if *source == wanted)).count()
    };
    assert_eq!(copies(BufferRef::Input(0)), 2);
    // The chain needs no more images than what one step reads and what is kept for the next ones.
    assert!(plan.images.iter().filter(|image| image.constant.is_none()).count() <= 3);
}

#[test]
fn every_tile_of_the_lane_family_is_run_by_a_case() {
    let tiles = |stem: &str| -> BTreeSet<(u64, u64)> {
        let mut tiles = BTreeSet::new();
        for case in cases::all() {
            let graph = case.graph().unwrap();
            let node = &graph.nodes()[0];
            let (inputs, outputs) = (graph.input_types(node), graph.output_types(node));
            let case = Case { op: &node.op, inputs: &inputs, outputs: &outputs };
            let kernel = candidates(&node.op).iter().find(|kernel| kernel.stem == stem);
            let launch = kernel.and_then(|kernel| (kernel.accepts)(&case, &DeviceTraits::lavapipe()).ok());
            for dispatch in launch.into_iter().flat_map(|launch| launch.dispatches) {
                let option = |name| dispatch.shader.options.get(name).and_then(|option| option.as_u64()).unwrap();
                tiles.insert((option("pixels"), option("out_quads")));
            }
        }
        tiles
    };
    let all = BTreeSet::from([(2, 8), (4, 2), (4, 4), (4, 6), (4, 8), (5, 8), (7, 4)]);
    assert_eq!(tiles("pointwise_lane"), all);
    assert_eq!(tiles("conv_lane"), all);
}

#[test]
fn what_no_buffer_can_hold_is_refused_with_the_limit() {
    let mut graph = Graph::new();
    let x = graph.input("picture", TensorType::f32([1, 600, 600, 1]));
    let y = graph.node("sigmoid", Unary { function: UnaryFn::Sigmoid }, &[x]).unwrap();
    graph.output("y", y);
    let planned = |traits: &DeviceTraits| plan(&graph, traits, |node, _| preferred(&node.op, traits));
    let divided = DeviceTraits { max_binding_bytes: 400_000, ..DeviceTraits::portable(DeviceClass::Discrete) };
    assert_eq!(planned(&divided).unwrap().dispatches(), 4);
    let message = planned(&DeviceTraits { max_buffer_bytes: 1_000_000, ..divided }).unwrap_err().to_string();
    assert!(message.contains("picture") && message.contains("1440000") && message.contains("1000000"), "{message}");
}
