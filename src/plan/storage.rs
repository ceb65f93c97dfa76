//! Which buffer a value lives in, and how it is stored there: reshapes share the buffer of what they reshape.

use std::collections::HashMap;

use super::{Action, BufferRef, Constant, Step, stored};
use crate::graph::{Graph, Node, Origin, ValueId};
use crate::kernels::{Launch, Operand};
use crate::ops::{Cost, Op};
use crate::tensor::{Accuracy, Precision, Tensor};

/// Inputs of an op that are whole numbers with more bits than `f16` has.
fn exact_inputs(op: &Op) -> &'static [usize] {
    match op {
        Op::Random(_) => &[0],
        Op::Gather(_) => &[1],
        _ => &[],
    }
}

/// The buffers of all values of a graph.
pub(super) struct Storage {
    /// For every value the value whose buffer it shares.
    roots: Vec<usize>,
    /// The buffer of every root that has one fixed by the graph's signature.
    fixed: Vec<Option<BufferRef>>,
    /// How the buffer of every root is stored.
    precisions: Vec<Precision>,
    /// Constants in the order of their buffers.
    pub(super) constants: Vec<Constant>,
    constant_buffers: HashMap<(usize, Precision), usize>,
}

impl Storage {
    pub(super) fn new(graph: &Graph) -> Storage {
        let mut roots: Vec<usize> = (0..graph.values().len()).collect();
        for node in graph.nodes() {
            if let Op::Reshape(_) = node.op {
                roots[node.outputs[0].index()] = roots[node.inputs[0].index()];
            }
        }
        let mut fixed = vec![None; graph.values().len()];
        for (position, id) in graph.inputs().iter().enumerate() {
            fixed[id.index()] = Some(BufferRef::Input(position));
        }
        for (position, (_, id)) in graph.outputs().iter().enumerate() {
            let root = roots[id.index()];
            let computed = matches!(graph.values()[root].origin, Origin::Node { .. });
            if computed && fixed[root].is_none() {
                fixed[root] = Some(BufferRef::Output(position));
            }
        }
        let precisions = vec![Precision::F32; roots.len()];
        Storage { roots, fixed, precisions, constants: Vec::new(), constant_buffers: HashMap::new() }
    }

    /// Stores as `f16` what may be: intermediate values and constants that it holds, unless a kernel sees them in a form that
    /// takes `f32` only, or reads again what it wrote: partial results stay as they are computed. Inputs and outputs of the
    /// graph stay what the host gives and takes, and nodes without a launch, which are worked on in pieces, keep `f32`.
    pub(super) fn narrow(&mut self, graph: &Graph, launches: &[(&Node, Option<&Launch>)]) {
        let half = Precision::F16;
        for (root, value) in graph.values().iter().enumerate().filter(|(i, _)| self.roots[*i] == *i) {
            let fits = match &value.origin {
                Origin::Constant(tensor) => tensor.f32s().is_ok_and(|values| half.holds(values)),
                _ => self.fixed[root].is_none(),
            };
            self.precisions[root] = if fits { half } else { Precision::F32 };
        }
        let mut full: Vec<ValueId> = graph.outputs().iter().map(|(_, id)| *id).collect();
        for (node, launch) in launches {
            full.extend(exact_inputs(&node.op).iter().filter_map(|&i| node.inputs.get(i)));
            let Some(launch) = launch else {
                full.extend(node.inputs.iter().chain(&node.outputs));
                continue;
            };
            for binding in launch.dispatches.iter().flat_map(|dispatch| &dispatch.bindings) {
                let (id, again) = match binding.operand {
                    Operand::Input(i) => (node.inputs.get(i), false),
                    Operand::Output(i) => (node.outputs.get(i), !binding.form.is_write()),
                    Operand::Scratch(_) => continue,
                };
                full.extend(id.filter(|_| again || !binding.form.takes(half)));
            }
        }
        for id in full {
            let root = self.root(id);
            self.precisions[root] = Precision::F32;
        }
    }

    /// How a value is stored.
    pub(super) fn precision(&self, id: ValueId) -> Precision {
        self.precisions[self.root(id)]
    }

    /// The value whose buffer `id` shares.
    pub(super) fn root(&self, id: ValueId) -> usize {
        self.roots[id.index()]
    }

    /// The buffer of a value, or `None` when it lives in a slot.
    pub(super) fn buffer(&mut self, graph: &Graph, id: ValueId) -> Option<BufferRef> {
        let root = self.root(id);
        if let Origin::Constant(tensor) = &graph.values()[root].origin {
            return Some(BufferRef::Constant(self.constant(tensor, self.precisions[root])));
        }
        self.fixed[root]
    }

    /// The buffer of a constant; tensors that share their elements share it, where they are stored alike.
    fn constant(&mut self, tensor: &Tensor, precision: Precision) -> usize {
        let constants = &mut self.constants;
        *self.constant_buffers.entry((tensor.data_id(), precision)).or_insert_with(|| {
            constants.push(Constant { tensor: tensor.clone(), precision });
            constants.len() - 1
        })
    }

    /// Copies for outputs whose value lies in another buffer: an input, a constant, or another output.
    pub(super) fn output_copies(&mut self, graph: &Graph) -> Vec<Step> {
        let mut copies = Vec::new();
        for (position, (name, id)) in graph.outputs().iter().enumerate() {
            let target = BufferRef::Output(position);
            let Some(source) = self.buffer(graph, *id).filter(|&source| source != target) else { continue };
            let ty = graph.ty(*id).clone();
            let precision = self.precision(*id);
            let bytes = stored(&ty, precision);
            copies.push(Step {
                node: None,
                name: name.clone(),
                op: "Copy",
                kernel: "copy",
                refusals: Vec::new(),
                actions: vec![Action::Copy { source: (source, 0), target: (target, 0), bytes }],
                inputs: vec![super::Placement { buffer: source, ty: ty.clone(), precision }],
                outputs: vec![super::Placement { buffer: target, ty, precision }],
                cost: Cost { macs: 0, bytes: 2 * bytes },
                accuracy: Accuracy::Exact,
            });
        }
        copies
    }
}
