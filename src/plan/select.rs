//! Choosing a kernel for every node before anything has a place: how values are stored follows from it.

use super::build::Planner;
use super::{Plan, padded};
use crate::error::PlanError;
use crate::graph::{Graph, Node};
use crate::kernels::{Case, DeviceTraits, Kernel, Launch, Refusal, candidates};
use crate::ops::Op;
use crate::tensor::{DType, Precision, TensorType};

/// Plans a graph for a device, everything stored as `f32`. `choose` may overrule the order of the candidates of a node; as a
/// rule it keeps it.
///
/// # Errors
/// [`PlanError`] when a node has no kernel on this device, or a tensor is too large for it.
pub fn plan(
    graph: &Graph,
    traits: &DeviceTraits,
    choose: impl Fn(&Node, &'static [Kernel]) -> Vec<&'static Kernel>,
) -> Result<Plan, PlanError> {
    plan_stored(graph, traits, Precision::F32, choose)
}

/// As [`plan`], with weights and intermediate values stored with a precision where that is possible; inputs and outputs of
/// the graph stay `f32`.
///
/// # Errors
/// As [`plan`], and [`PlanError::Half`] when the device has no `f16` or the graph is a training step.
pub fn plan_stored(
    graph: &Graph,
    traits: &DeviceTraits,
    precision: Precision,
    choose: impl Fn(&Node, &'static [Kernel]) -> Vec<&'static Kernel>,
) -> Result<Plan, PlanError> {
    graph.check_outputs().map_err(|e| PlanError::Graph(e.to_string()))?;
    check_values(graph, traits)?;
    if precision == Precision::F16 {
        check_half(graph, traits)?;
    }
    let mut selected = Vec::with_capacity(graph.nodes().len());
    for (position, node) in graph.nodes().iter().enumerate() {
        if !matches!(node.op, Op::Reshape(_)) {
            let (inputs, outputs) = (graph.input_types(node), graph.output_types(node));
            let order = choose(node, candidates(&node.op));
            let large = |ty: &TensorType| padded(ty) > traits.max_binding_bytes;
            let chosen = if inputs.iter().chain(&outputs).any(large) {
                Chosen::InPieces(order)
            } else {
                Chosen::Whole(select(node, &Case { op: &node.op, inputs: &inputs, outputs: &outputs }, traits, &order)?)
            };
            selected.push(Selected { position, node, inputs, outputs, chosen });
        }
    }
    let mut planner = Planner::new(graph);
    if precision == Precision::F16 {
        let launches = selected.iter().map(|selected| match &selected.chosen {
            Chosen::Whole((_, launch, _)) => (selected.node, Some(launch)),
            Chosen::InPieces(_) => (selected.node, None),
        });
        let launches: Vec<_> = launches.collect();
        planner.storage.narrow(graph, &launches);
    }
    for selected in selected {
        planner.step(selected, traits)?;
    }
    planner.finish(traits)
}

/// What kernels said that refused a node.
pub(super) type Refusals = Vec<(&'static str, Refusal)>;

/// A kernel, its launch, and what those before it said.
pub(super) type Selection = (&'static Kernel, Launch, Refusals);

/// How a node is computed.
pub(super) enum Chosen {
    /// By one launch.
    Whole(Selection),
    /// In pieces that one binding has room for, each by the first of these kernels that takes it.
    InPieces(Vec<&'static Kernel>),
}

/// A node with the way it is computed.
pub(super) struct Selected<'a> {
    pub position: usize,
    pub node: &'a Node,
    pub inputs: Vec<TensorType>,
    pub outputs: Vec<TensorType>,
    pub chosen: Chosen,
}

fn check_half(graph: &Graph, traits: &DeviceTraits) -> Result<(), PlanError> {
    if !traits.half {
        return Err(PlanError::Half("this device has no f16 in shaders (wgpu's feature SHADER_F16); use f32".into()));
    }
    // Gradients and the small steps of optimizers fall below what f16 can hold.
    match graph.nodes().iter().find(|node| matches!(node.op, Op::Update(_))) {
        Some(node) => Err(PlanError::Half(format!("`{}` trains a weight, and training keeps f32", node.name))),
        None => Ok(()),
    }
}

fn check_values(graph: &Graph, traits: &DeviceTraits) -> Result<(), PlanError> {
    for value in graph.values() {
        if value.ty.dtype != DType::F32 {
            return Err(PlanError::DType { value: value.name.clone(), found: value.ty.to_string() });
        }
        if padded(&value.ty) > traits.max_buffer_bytes {
            let (bytes, limit) = (padded(&value.ty), traits.max_buffer_bytes);
            return Err(PlanError::TooLarge { value: value.name.clone(), bytes, limit });
        }
    }
    Ok(())
}

/// The first candidate that takes a case, with what those before it said.
pub(super) fn select(
    node: &Node,
    case: &Case<'_>,
    traits: &DeviceTraits,
    order: &[&'static Kernel],
) -> Result<Selection, PlanError> {
    let mut refusals = Vec::new();
    for kernel in order {
        match (kernel.accepts)(case, traits) {
            Ok(launch) => return Ok((kernel, launch, refusals)),
            Err(refusal) => refusals.push((kernel.stem, refusal)),
        }
    }
    let reasons = refusals.iter().map(|(stem, why)| format!("{stem} {why}")).collect();
    Err(PlanError::NoKernel { node: node.name.clone(), op: node.op.to_string(), reasons })
}
