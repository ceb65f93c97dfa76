//! Every kernel that accepts a case computes it within its accuracy class, from outputs that start as NaN, with everything
//! stored as `f32` and as `f16`.
//!
//! `WGCONV_SHADER_CHECKS=on` runs the same with the shaders' own bounds checks, `WGCONV_DEVICE` names an adapter, and
//! `WGCONV_CASES` keeps the cases whose id contains it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wgconv::cases::{self, OpCase};
use wgconv::cpu;
use wgconv::gpu::{Device, Executable, ShaderChecks, SharedWeights};
use wgconv::graph::{Graph, Node};
use wgconv::kernels::{Case, DeviceClass, DeviceTraits, Kernel, Launch, candidates};
use wgconv::ops::{Op, Unary, UnaryFn};
use wgconv::plan::{plan, plan_stored};
use wgconv::tensor::{Precision, Tensor, TensorType, compare_within};

/// The devices to plan for: the one that is there and, where it is a processor, a card with the same limits. Kernels may have
/// another form there, which computes the same on any device.
fn families(device: &Device) -> Vec<DeviceTraits> {
    let own = device.traits().clone();
    match own.class {
        DeviceClass::Cpu => vec![own.clone(), DeviceTraits { class: DeviceClass::Discrete, ..own }],
        _ => vec![own],
    }
}

/// What a kernel launches on a device for the only node of a graph, if it takes it.
fn launch(graph: &Graph, kernel: &Kernel, traits: &DeviceTraits) -> Option<Launch> {
    let node = graph.nodes().first()?;
    let (inputs, outputs) = (graph.input_types(node), graph.output_types(node));
    (kernel.accepts)(&Case { op: &node.op, inputs: &inputs, outputs: &outputs }, traits).ok()
}

/// Runs a case by one kernel in every form that it has, with `run_form`. `Ok(false)` when the kernel does not take the case.
fn run(
    device: &Device,
    case: &OpCase,
    kernel: &'static Kernel,
    run_form: impl Fn(&Graph, &DeviceTraits) -> Result<(), String>,
) -> Result<bool, String> {
    let graph = case.graph().map_err(|e| e.to_string())?;
    let mut seen = Vec::new();
    for traits in families(device) {
        match launch(&graph, kernel, &traits) {
            // What a processor refuses may be more than this one can do.
            None => break,
            Some(launch) if seen.contains(&launch) => {}
            Some(launch) => {
                run_form(&graph, &traits).map_err(|why| format!("{why} (as for {:?})", traits.class))?;
                seen.push(launch);
            }
        }
    }
    Ok(!seen.is_empty())
}

fn run_form(
    device: &Device,
    graph: &Graph,
    case: &OpCase,
    kernel: &'static Kernel,
    traits: &DeviceTraits,
    expected: &[Tensor],
) -> Result<(), String> {
    let planned = plan(graph, traits, |_, _| vec![kernel]).map_err(|e| e.to_string())?;
    let accuracy = planned.steps[0].accuracy;
    let tensors = case.tensors();
    let inputs: Vec<Tensor> = planned.inputs.iter().filter_map(|port| tensors.get(&port.name).cloned()).collect();
    let executable = Executable::compile(device, Arc::new(planned), &SharedWeights::default(), &|_, _| {})
        .map_err(|e| e.to_string())?;
    executable.poison().map_err(|e| e.to_string())?;
    let first = executable.run(&inputs).map_err(|e| e.to_string())?;
    let second = executable.run(&inputs).map_err(|e| e.to_string())?;
    let slack = case.op.slack(&inputs.iter().collect::<Vec<_>>()).map_err(|e| e.to_string())?;
    let bits = |tensor: &Tensor| tensor.f32s().map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
    if [first.len(), second.len()] != [expected.len(); 2] {
        return Err(format!("{} outputs where {} are expected", first.len(), expected.len()));
    }
    for (i, expected) in expected.iter().enumerate() {
        let comparison = compare_within(&first[i], expected, accuracy, 1.0, slack.as_ref());
        if !comparison.pass {
            return Err(format!("output {i}: {comparison}"));
        }
        if bits(&first[i]) != bits(&second[i]) {
            return Err(format!("output {i}: a second run gives other bits"));
        }
    }
    Ok(())
}

/// The tiles of matrix products that a case of `cases` is computed with, by kernel.
fn tiles(device: &Device, case: &OpCase) -> Vec<String> {
    let graph = case.graph().unwrap_or_else(|e| panic!("{}: {e}", case.id));
    let mut found = Vec::new();
    for traits in families(device) {
        for launch in candidates(&case.op).iter().filter_map(|kernel| launch(&graph, kernel, &traits)) {
            for shader in launch.dispatches.iter().map(|dispatch| &dispatch.shader) {
                if let (Some(threads), Some(own)) = (shader.options.get("threads"), shader.options.get("own")) {
                    found.push(format!("{} {threads} {own} sliced {}", shader.stem, shader.options["sliced"]));
                }
            }
        }
    }
    found
}

/// The op of a case between two steps that change nothing: its inputs and outputs are intermediate values, which a plan may
/// store as `f16`.
fn between(case: &OpCase) -> Result<Graph, String> {
    let same = || Unary { function: UnaryFn::Affine { scale: 1.0, offset: 0.0 } };
    let mut graph = Graph::new();
    let mut inputs = Vec::new();
    for (i, shape) in case.inputs.iter().enumerate() {
        let x = graph.input(format!("x{i}"), TensorType::f32(shape.clone()));
        inputs.push(graph.node(format!("in{i}"), same(), &[x]).map_err(|e| e.to_string())?);
    }
    graph.node(&case.id, case.op.clone(), &inputs).map_err(|e| e.to_string())?;
    let outputs = graph.nodes().last().map(|node| node.outputs.clone()).unwrap_or_default();
    for (i, id) in outputs.into_iter().enumerate() {
        let y = graph.node(format!("out{i}"), same(), &[id]).map_err(|e| e.to_string())?;
        graph.output(format!("y{i}"), y);
    }
    Ok(graph)
}

/// Runs a case stored as `f16`, and compares every step with the reference on what it read.
fn run_half(
    device: &Device,
    graph: &Graph,
    case: &OpCase,
    kernel: &'static Kernel,
    traits: &DeviceTraits,
) -> Result<(), String> {
    let own =
        |node: &Node, all: &'static [Kernel]| if node.op == case.op { vec![kernel] } else { all.iter().collect() };
    let planned = Arc::new(plan_stored(graph, traits, Precision::F16, own).map_err(|e| e.to_string())?);
    let tensors = case.tensors();
    let inputs: Vec<Tensor> = planned.inputs.iter().filter_map(|port| tensors.get(&port.name).cloned()).collect();
    let executable = Executable::compile(device, planned.clone(), &SharedWeights::default(), &|_, _| {})
        .map_err(|e| e.to_string())?;
    executable.poison().and_then(|()| executable.upload(&inputs)).map_err(|e| e.to_string())?;
    let mut wrong = None;
    let mut seen = |step: usize, inputs: &[Tensor], outputs: &[Tensor]| {
        let step = &planned.steps[step];
        let node = &graph.nodes()[step.node.unwrap()];
        let operands: Vec<&Tensor> = inputs.iter().collect();
        let expected = node.op.spec().reference(&operands).unwrap();
        let slack = node.op.slack(&operands).unwrap();
        for ((actual, expected), placement) in outputs.iter().zip(&expected).zip(&step.outputs) {
            let beyond = |v: f32| if v.abs() > 65504.0 { f32::INFINITY.copysign(v) } else { v };
            let stored = |v: f32| if placement.precision == Precision::F16 { beyond(v) } else { v };
            let values: Vec<f32> = expected.f32s().unwrap().iter().map(|&v| stored(v)).collect();
            let expected = Tensor::from_f32(expected.shape().clone(), values).unwrap();
            let comparison = compare_within(actual, &expected, step.accuracy, 1.0, slack.as_ref());
            if !comparison.pass {
                wrong = Some(format!("`{}`: {comparison}", step.name));
            }
        }
        wrong.is_none()
    };
    executable.run_steps(&mut seen).map_err(|e| e.to_string())?;
    wrong.map_or(Ok(()), Err)
}

fn device() -> Device {
    let checks = match std::env::var("WGCONV_SHADER_CHECKS").as_deref() {
        Ok("on") => ShaderChecks::On,
        _ => ShaderChecks::Off,
    };
    let wanted = std::env::var("WGCONV_DEVICE").unwrap_or_default();
    pollster::block_on(Device::request(&wanted, checks)).expect("the tests need a Vulkan driver")
}

/// Runs every case, once prepared, by every kernel that takes it.
fn run_all<T>(
    device: &Device,
    prepare: impl Fn(&OpCase) -> Result<T, String>,
    run: impl Fn(&OpCase, &'static Kernel, &T) -> Result<bool, String>,
) {
    let filter = std::env::var("WGCONV_CASES").unwrap_or_default();
    let mut ran: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    for case in cases::all().iter().filter(|case| case.id.contains(&filter)) {
        let prepared = prepare(case).unwrap_or_else(|e| panic!("{}: {e}", case.id));
        let mut accepted = 0;
        for kernel in candidates(&case.op) {
            match run(case, kernel, &prepared) {
                Ok(true) => {
                    accepted += 1;
                    *ran.entry(kernel.stem).or_default() += 1;
                }
                Ok(false) => {}
                Err(why) => {
                    accepted += 1;
                    failures.push(format!("{} by {}: {why}", case.id, kernel.stem));
                }
            }
        }
        if accepted == 0 && !candidates(&case.op).is_empty() {
            failures.push(format!("{}: no kernel accepts it", case.id));
        }
    }
    println!("cases passed per kernel on {}: {ran:?}", device.summary().name);
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn cases_go_through_every_tile_of_matrix_products() {
    let device = device();
    let found: BTreeSet<String> = cases::all().iter().flat_map(|case| tiles(&device, case)).collect();
    for tile in ["[16,16] [2,2]", "[16,16] [2,1]", "[8,8] [2,1]", "[16,16] [1,1]", "[8,8] [1,1]", "[16,4] [1,1]"] {
        assert!(found.contains(&format!("pointwise {tile} sliced false")), "{tile} of {found:#?}");
    }
    assert!(found.iter().any(|tile| tile.starts_with("conv_gemm") && tile.ends_with("sliced true")), "{found:#?}");
}

#[test]
fn every_accepting_kernel_computes_every_case() {
    let device = device();
    let expected = |case: &OpCase| {
        let graph = case.graph().map_err(|e| e.to_string())?;
        cpu::run(&graph, &case.tensors()).map_err(|e| e.to_string())
    };
    run_all(&device, expected, |case, kernel, expected| {
        run(&device, case, kernel, |graph, traits| run_form(&device, graph, case, kernel, traits, expected))
    });
}

/// Grids that are too long for one axis are folded over two, and may then have more workgroups than there is work.
#[test]
fn surplus_workgroups_write_nothing() {
    let device = device();
    let mut folded = BTreeSet::new();
    for case in cases::all().iter().filter(|case| case.id.starts_with("conv")) {
        let graph = case.graph().unwrap_or_else(|e| panic!("{}: {e}", case.id));
        let expected = cpu::run(&graph, &case.tensors()).unwrap();
        for kernel in candidates(&case.op) {
            for traits in families(&device) {
                let Some(whole) = launch(&graph, kernel, &traits) else { continue };
                let most = whole.dispatches.iter().map(|dispatch| dispatch.workgroups[0]).max().unwrap_or(1);
                let narrow = DeviceTraits { max_workgroups: most.isqrt() + 1, ..traits };
                if launch(&graph, kernel, &narrow).is_some_and(|launch| launch != whole) {
                    run_form(&device, &graph, case, kernel, &narrow, &expected)
                        .unwrap_or_else(|why| panic!("{} by {}: {why}", case.id, kernel.stem));
                    folded.insert(kernel.stem);
                }
            }
        }
    }
    for stem in ["conv_gemm", "conv_generic", "pointwise", "conv_lane"] {
        assert!(folded.contains(stem), "{stem} of {folded:?}");
    }
}

#[test]
fn every_accepting_kernel_computes_what_is_stored_as_f16() {
    let device = device();
    if !device.traits().half {
        println!("skipped: {} has no f16", device.summary().name);
        return;
    }
    run_all(&device, between, |case, kernel, graph| {
        // Training keeps f32.
        if matches!(case.op, Op::Update(_)) {
            return Ok(true);
        }
        run(&device, case, kernel, |_, traits| run_half(&device, graph, case, kernel, traits))
    });
}
