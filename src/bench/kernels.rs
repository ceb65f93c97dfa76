//! The suite `kernels`: every kernel that takes a layer, first held against the CPU reference, then timed in turns.

use std::collections::BTreeMap;

use super::layers::{LAYERS, Layer};
use super::sampling::{Budget, alternate};
use super::suite::{Failure, Row, SuiteReport};
use super::{Peak, chosen};
use crate::cpu;
use crate::error::{BenchError, GpuError};
use crate::gpu::{Device, Executable, Stopwatch};
use crate::graph::Graph;
use crate::kernels::{Case, DeviceTraits, preferred};
use crate::passes::{FoldCache, optimize, specialize, winograd};
use crate::plan::{Plan, plan};
use crate::tensor::{Accuracy, Tensor, compare};

/// Runs the suite on layers whose names contain `filter`, with every kernel or only with those that a plan takes by itself
/// (`defaults`). `seen(done, total, name)` is called before each layer.
///
/// # Errors
/// [`BenchError`] when no layer is called so or the device fails. A kernel that fails is a row of
/// [`SuiteReport::failures`].
pub fn bench_kernels(
    device: &Device,
    filter: &str,
    defaults: bool,
    budget: Budget,
    mut seen: impl FnMut(usize, usize, &str),
) -> Result<SuiteReport, BenchError> {
    let layers = chosen(LAYERS, filter, |layer| layer.name)?;
    let peak = Peak::measure(device)?;
    let mut report = SuiteReport::new("kernels", device, Some(peak.clone()));
    for (done, layer) in layers.iter().enumerate() {
        seen(done, layers.len(), layer.name);
        bench_layer(device, layer, defaults, budget, &peak, &mut report)?;
    }
    Ok(report)
}

fn bench_layer(
    device: &Device,
    layer: &Layer,
    defaults: bool,
    budget: Budget,
    peak: &Peak,
    report: &mut SuiteReport,
) -> Result<(), BenchError> {
    let (graph, _) = optimize(layer.graph()?, &FoldCache::default())?;
    let inputs = BTreeMap::from([("x".to_string(), layer.input())]);
    let expected = cpu::run(&graph, &inputs)?;
    let mut ready = Vec::new();
    // What a session runs comes first, then what it has joined apart, and what it runs on request.
    let (joined, _) = specialize(graph.clone(), device.traits())?;
    let (transformed, _) = winograd(graph.clone(), device.traits(), &FoldCache::default(), &|_, _| None)?;
    let mut plans = variants(&joined, device.traits())?;
    for other in variants(&graph, device.traits())?.into_iter().chain(variants(&transformed, device.traits())?) {
        if plans.iter().all(|plan| kernels(plan) != kernels(&other)) {
            plans.push(other);
        }
    }
    let most = if defaults { 1 } else { usize::MAX };
    for (position, plan) in plans.into_iter().take(most).enumerate() {
        let (by, cost) = (kernels(&plan), plan.cost());
        match validated(device, plan, &layer.input(), &expected)? {
            Ok((executable, used)) => ready.push((by, cost, position == 0, executable, used)),
            Err(why) => report.failures.push(Failure { name: layer.name.into(), variant: by, why }),
        }
    }
    let watches = ready.iter().map(|(_, _, _, executable, _)| Stopwatch::new(executable));
    let watches = watches.collect::<Result<Vec<_>, _>>()?;
    let samples = alternate(watches.len(), budget, |index| watches[index].run())?;
    for ((by, cost, default, _, used), samples) in ready.iter().zip(&samples) {
        let row = Row::of(layer.name, by, *default, samples).with_work(*cost, peak);
        report.rows.push(Row { tolerance_used: Some(*used), ..row });
    }
    Ok(())
}

/// The kernels of a plan, in order.
fn kernels(plan: &Plan) -> String {
    plan.steps.iter().map(|step| step.kernel).collect::<Vec<_>>().join(" + ")
}

/// The plan that selection makes, then one for every other kernel that takes a node, where that gives another plan.
fn variants(graph: &Graph, traits: &DeviceTraits) -> Result<Vec<Plan>, BenchError> {
    let mut plans = vec![plan(graph, traits, |node, _| preferred(&node.op, traits))?];
    for node in graph.nodes() {
        let (inputs, outputs) = (graph.input_types(node), graph.output_types(node));
        let case = Case { op: &node.op, inputs: &inputs, outputs: &outputs };
        for kernel in preferred(&node.op, traits).into_iter().filter(|kernel| (kernel.accepts)(&case, traits).is_ok()) {
            let other = plan(graph, traits, |node, _| {
                let mut order = preferred(&node.op, traits);
                order.sort_by_key(|candidate| candidate.stem != kernel.stem);
                order
            })?;
            if plans.iter().all(|plan| kernels(plan) != kernels(&other)) {
                plans.push(other);
            }
        }
    }
    Ok(plans)
}

/// A plan on the device, and the part of its tolerance that it used; or why it is not worth timing.
fn validated(
    device: &Device,
    plan: Plan,
    input: &Tensor,
    expected: &[Tensor],
) -> Result<Result<(Executable, f64), String>, BenchError> {
    let accuracy = plan.steps.iter().map(|step| step.accuracy).fold(Accuracy::Exact, Accuracy::and);
    // Each step may err by its own tolerance.
    let steps = plan.steps.len() as f64;
    let (executable, outputs) = match Executable::tried(device, plan, std::slice::from_ref(input)) {
        Ok(ran) => ran,
        Err(lost @ GpuError::Lost { .. }) => return Err(lost.into()),
        Err(why) => return Ok(Err(why.to_string())),
    };
    let mut used = 0f64;
    for (output, expected) in outputs.iter().zip(expected) {
        let found = compare(output, expected, accuracy, steps);
        if !found.pass {
            return Ok(Err(format!("wrong numbers: {found}")));
        }
        used = used.max(found.used());
    }
    Ok(Ok((executable, used)))
}
