//! Measuring candidates: each is held against the reference on the real shapes, and the fastest of those that pass is taken.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use super::tuning::{CheckedAgainst, Quarantined, TRANSFORMED, TunedCase, TunedForm, TuningTable, case_name, name_of};
use super::{Options, Progress};
use crate::error::{GpuError, GraphError, SessionError};
use crate::gpu::{Device, Executable, Stopwatch};
use crate::graph::{Graph, Node};
use crate::kernels::{Case, Kernel, preferred};
use crate::ops::Op;
use crate::passes::{FoldCache, winograd};
use crate::plan::plan;
use crate::tensor::{Accuracy, Tensor, TensorType, compare};

/// Multiply-accumulates of a node up to which the reference computes what candidates are held against: seconds.
const REFERENCE_MACS: u64 = 1_000_000_000;
/// Batches that each candidate is timed in, in turns.
const BATCHES: usize = 5;
/// Shortest batch: long beside what it takes to submit one.
const BATCH: Duration = Duration::from_millis(2);
/// Candidates slower than the leader by this factor are dropped after two batches.
const HOPELESS: f64 = 1.5;
/// What another kernel must gain on the default one to take its place: less is noise.
const WORTH_IT: f64 = 0.97;

/// Measures every case of a graph that has several candidates and is not in the table yet, and with [`Options::winograd`]
/// convolutions in both of their forms. [`Options::progress`] hears of each. Returns how many were measured.
///
/// The graph should be one that the passes have been through, as plans are made of those, with its convolutions as they are. A candidate
/// that fails to compile, runs out of memory or gives wrong numbers is put in quarantine, and the others are measured all the same.
///
/// # Errors
/// [`SessionError::Gpu`] when the device is lost (the candidate that lost it is in quarantine then), [`SessionError::Graph`]
/// when the reference does not take a node's inputs.
pub fn tune(graph: &Graph, device: &Device, table: &mut TuningTable, options: &Options) -> Result<usize, SessionError> {
    let transformable = if options.winograd { transformable(graph, device)? } else { BTreeSet::new() };
    let mut missing: Vec<(&Node, Work)> = Vec::new();
    for node in graph.nodes() {
        let case = case_name(graph, node);
        let usable = accepting(graph, node, device);
        let usable = usable.into_iter().filter(|kernel| !table.is_quarantined(&case, kernel.stem)).collect();
        let mut usable = table.order(graph, node, usable);
        // Another node of the case may have filters that are computed, which are never transformed.
        let known = node.inputs.get(1).is_some_and(|&filters| graph.as_constant(filters).is_some());
        let transformed = known && transformable.contains(&case) && !table.knows_form(&case) && !usable.is_empty();
        if usable.len() > 1 && table.knows(&case) {
            // Its choice is all that the other form has to be held against.
            usable.truncate(1);
        }
        if usable.len() < 2 && !transformed {
            continue;
        }
        let work = Work { case, kernels: usable, transformed };
        match missing.iter_mut().find(|(_, other)| other.case == work.case) {
            Some((_, other)) if other.transformed >= transformed => {}
            Some(other) => *other = (node, work),
            None => missing.push((node, work)),
        }
    }
    let total = missing.len();
    for (done, (node, work)) in missing.into_iter().enumerate() {
        measure(graph, node, work, device, table)?;
        if let Some(progress) = &options.progress {
            progress(Progress::Tuning { done: done + 1, total });
        }
    }
    Ok(total)
}

/// What is to be measured of a case.
struct Work {
    case: String,
    /// Kernels of the node as it is, the default first.
    kernels: Vec<&'static Kernel>,
    /// And the node on transformed filters.
    transformed: bool,
}

/// The cases of a graph that could be computed on transformed filters.
fn transformable(graph: &Graph, device: &Device) -> Result<BTreeSet<String>, GraphError> {
    let asked = RefCell::new(BTreeSet::new());
    let refuse = |op: &Op, inputs: &[TensorType]| {
        asked.borrow_mut().insert(name_of(op, inputs));
        Some(Err(String::new()))
    };
    winograd(graph.clone(), device.traits(), &FoldCache::default(), &refuse)?;
    Ok(asked.into_inner())
}

/// The kernels that take a node, in the fixed order.
fn accepting(graph: &Graph, node: &Node, device: &Device) -> Vec<&'static Kernel> {
    let (inputs, outputs) = (graph.input_types(node), graph.output_types(node));
    let case = Case { op: &node.op, inputs: &inputs, outputs: &outputs };
    let takes = |kernel: &&Kernel| (kernel.accepts)(&case, device.traits()).is_ok();
    preferred(&node.op, device.traits()).into_iter().filter(takes).collect()
}

/// A node alone: its constants stay constants, everything else becomes an input with made-up values.
fn alone(graph: &Graph, node: &Node) -> Result<(Graph, Vec<Tensor>, Vec<Tensor>), GraphError> {
    let mut single = Graph::new();
    let (mut operands, mut given) = (Vec::new(), Vec::new());
    let mut ids = Vec::new();
    for (position, &id) in node.inputs.iter().enumerate() {
        // A value that is read twice is one input.
        if let Some(before) = node.inputs[..position].iter().position(|&other| other == id) {
            ids.push(ids[before]);
            operands.push(Tensor::clone(&operands[before]));
            continue;
        }
        let name = format!("x{position}");
        ids.push(match graph.as_constant(id) {
            Some(tensor) => {
                operands.push(tensor.clone());
                single.constant(name, tensor.clone())
            }
            None => {
                let ty = graph.ty(id);
                let tensor = made_up(ty.shape.clone(), position as u32);
                operands.push(tensor.clone());
                given.push(tensor);
                single.input(name, ty.clone())
            }
        });
    }
    single.node(&node.name, node.op.clone(), &ids)?;
    let outputs: Vec<_> = single.nodes().iter().flat_map(|node| node.outputs.clone()).collect();
    outputs.into_iter().enumerate().for_each(|(i, id)| single.output(format!("y{i}"), id));
    Ok((single, operands, given))
}

/// Values between -1 and 1 that differ from position to position.
fn made_up(shape: crate::tensor::Shape, seed: u32) -> Tensor {
    Tensor::from_fn(shape, |position| {
        let mixed = (position as u32 ^ seed.rotate_right(8)).wrapping_mul(2_654_435_761);
        (mixed >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// A way to compute a case.
struct Way<'a> {
    stem: &'static str,
    graph: &'a Graph,
    kernels: Vec<&'static Kernel>,
    accuracy: Accuracy,
}

/// A candidate that computes what it should.
struct Candidate {
    stem: &'static str,
    executable: Executable,
    milliseconds: f64,
}

/// Measures the candidates of one case.
fn measure(
    graph: &Graph,
    node: &Node,
    work: Work,
    device: &Device,
    table: &mut TuningTable,
) -> Result<(), SessionError> {
    let Work { case, kernels, transformed } = work;
    let (single, operands, given) = alone(graph, node)?;
    let spec = node.op.spec();
    let (inputs, outputs) = (graph.input_types(node), graph.output_types(node));
    let wrong = |source| GraphError::Node { node: node.name.clone(), source };
    let (mut expected, checked_against) = match spec.cost(&inputs, &outputs).macs <= REFERENCE_MACS {
        true => (Some(spec.reference(&operands.iter().collect::<Vec<_>>()).map_err(wrong)?), CheckedAgainst::Reference),
        false => (None, CheckedAgainst::DefaultKernel),
    };
    let other = match transformed {
        true => winograd(single.clone(), device.traits(), &FoldCache::default(), &|_, _| Some(Ok(String::new())))?.0,
        false => Graph::new(),
    };
    let accuracy = spec.accuracy(&inputs);
    let plain = |&kernel: &&'static Kernel| Way { stem: kernel.stem, graph: &single, kernels: vec![kernel], accuracy };
    let ways = kernels.iter().map(plain).chain(other.nodes().iter().map(|node| Way {
        stem: TRANSFORMED,
        graph: &other,
        kernels: preferred(&node.op, device.traits()),
        accuracy: node.op.spec().accuracy(&other.input_types(node)),
    }));
    let mut right: Vec<Candidate> = Vec::new();
    for way in ways {
        if way.stem == TRANSFORMED && expected.is_none() {
            // Nothing is right that it could be held against.
            break;
        }
        let failed = match run(&way, device, &given) {
            Ok((executable, computed)) => {
                let wrong = expected.as_ref().and_then(|expected| {
                    let found = computed.iter().zip(expected).map(|(a, b)| compare(a, b, way.accuracy, 1.0));
                    found.into_iter().find(|found| !found.pass)
                });
                if wrong.is_none() {
                    expected.get_or_insert(computed);
                    right.push(Candidate { stem: way.stem, executable, milliseconds: f64::INFINITY });
                    continue;
                }
                wrong.map(|found| format!("wrong numbers: {found}"))
            }
            Err(why) => {
                let (reason, lost) = (why.to_string(), matches!(why, SessionError::Gpu(GpuError::Lost { .. })));
                if lost {
                    table.put_in_quarantine(Quarantined { case, kernel: way.stem.into(), reason });
                    return Err(why);
                }
                Some(reason)
            }
        };
        if let Some(reason) = failed {
            log::warn!("`{}` is in quarantine for `{}`: {reason}", way.stem, node.name);
            table.put_in_quarantine(Quarantined { case: case.clone(), kernel: way.stem.into(), reason });
        }
    }
    time(&mut right)?;
    let (other, right): (Vec<_>, Vec<_>) = right.into_iter().partition(|candidate| candidate.stem == TRANSFORMED);
    let default = kernels.first().map_or("", |kernel| kernel.stem);
    let of_default = right.iter().find(|candidate| candidate.stem == default);
    let bar = of_default.map_or(f64::INFINITY, |candidate| candidate.milliseconds * WORTH_IT);
    let fastest = right.iter().min_by(|a, b| a.milliseconds.total_cmp(&b.milliseconds));
    let Some(chosen) = fastest.filter(|fastest| fastest.milliseconds < bar).or(of_default) else { return Ok(()) };
    if let Some(other) = other.first() {
        let form = TunedForm {
            node: node.name.clone(),
            winograd: other.milliseconds < chosen.milliseconds * WORTH_IT,
            kernel: chosen.stem.into(),
            milliseconds: chosen.milliseconds,
            winograd_milliseconds: other.milliseconds,
            checked_against,
        };
        table.choose_form(case.clone(), form);
    }
    if kernels.len() > 1 {
        let milliseconds = right.iter().map(|candidate| (candidate.stem.to_string(), candidate.milliseconds));
        let tuned = TunedCase {
            node: node.name.clone(),
            kernel: chosen.stem.into(),
            default: default.into(),
            checked_against,
            milliseconds: milliseconds.collect(),
        };
        table.choose(case, tuned);
    }
    Ok(())
}

/// A way to compute a node, and what it computes.
fn run(way: &Way<'_>, device: &Device, given: &[Tensor]) -> Result<(Executable, Vec<Tensor>), SessionError> {
    let planned = plan(way.graph, device.traits(), |_, _| way.kernels.clone())?;
    Ok(Executable::tried(device, planned, given)?)
}

/// Times candidates in turns; those that cannot win any more drop out.
fn time(candidates: &mut [Candidate]) -> Result<(), GpuError> {
    for batch in 0..BATCHES {
        let leader = candidates.iter().map(|candidate| candidate.milliseconds).fold(f64::INFINITY, f64::min);
        for candidate in candidates.iter_mut() {
            if batch >= 2 && candidate.milliseconds > HOPELESS * leader {
                continue;
            }
            let stopwatch = Stopwatch::new(&candidate.executable)?;
            let (mut spent, mut runs) = (Duration::ZERO, 0);
            while runs == 0 || spent < BATCH {
                let elapsed = stopwatch.run()?;
                spent += elapsed.device.unwrap_or(elapsed.wall) * elapsed.runs;
                runs += elapsed.runs;
            }
            candidate.milliseconds = candidate.milliseconds.min(spent.as_secs_f64() * 1e3 / f64::from(runs));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::ShaderChecks;
    use crate::kernels::{DeviceTraits, Launch, Refusal, candidates};
    use crate::ops::{Unary, UnaryFn};

    /// The launch of the kernel that computes a function, whatever the case asks for.
    fn launch(function: UnaryFn, case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
        let op = Op::from(Unary { function });
        (candidates(&op)[0].accepts)(&Case { op: &op, ..*case }, traits)
    }

    /// Another function, which agrees on what is positive.
    static LIAR: Kernel = Kernel { stem: "liar", accepts: |case, traits| launch(UnaryFn::HardTanh, case, traits) };
    static BROKEN: Kernel = Kernel {
        stem: "broken",
        accepts: |case, traits| {
            let mut launch = launch(UnaryFn::Relu6, case, traits)?;
            launch.dispatches.iter_mut().for_each(|dispatch| dispatch.bindings.clear());
            Ok(launch)
        },
    };
    static HUNGRY: Kernel = Kernel {
        stem: "hungry",
        accepts: |case, traits| Ok(Launch { scratch: vec![1 << 50], ..launch(UnaryFn::Relu6, case, traits)? }),
    };
    static RIGHT: Kernel = Kernel { stem: "right", accepts: |case, traits| launch(UnaryFn::Relu6, case, traits) };

    #[test]
    fn candidates_that_lie_break_or_ask_too_much_are_survived_and_remembered() {
        let device =
            pollster::block_on(Device::request("", ShaderChecks::Off)).expect("the tests need a Vulkan driver");
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32([3, 50]));
        let y = graph.node("relu6", Unary { function: UnaryFn::Relu6 }, &[x]).unwrap();
        graph.output("y", y);
        let mut table = TuningTable::new(&device);
        let node = &graph.nodes()[0];
        let kernels = vec![&LIAR, &BROKEN, &HUNGRY, &RIGHT];
        let work = Work { case: case_name(&graph, node), kernels, transformed: false };
        measure(&graph, node, work, &device, &mut table).unwrap();
        let found: Vec<(&str, &str)> =
            table.quarantine().iter().map(|entry| (entry.kernel.as_str(), entry.reason.as_str())).collect();
        let [("liar", lied), ("broken", broke), ("hungry", asked)] = found[..] else { panic!("{found:?}") };
        assert!(lied.contains("wrong numbers: ") && broke.contains("wgpu refuses"), "{lied}; {broke}");
        assert!(!asked.is_empty());
        let chosen = table.case(&graph, node).unwrap();
        assert_eq!((chosen.kernel.as_str(), chosen.default.as_str()), ("right", "liar"));
        assert_eq!((chosen.milliseconds.len(), chosen.checked_against), (1, CheckedAgainst::Reference));
    }
}
