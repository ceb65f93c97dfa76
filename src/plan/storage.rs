//! Which buffer a value lives in: reshapes share the buffer of what they reshape.

use std::collections::HashMap;

use super::{Action, BufferRef, Step, padded};
use crate::graph::{Graph, Origin, ValueId};
use crate::ops::{Cost, Op};
use crate::tensor::{Accuracy, Tensor};

/// The buffers of all values of a graph.
pub(super) struct Storage {
    /// For every value the value whose buffer it shares.
    roots: Vec<usize>,
    /// The buffer of every root that has one fixed by the graph's signature.
    fixed: Vec<Option<BufferRef>>,
    /// Constants in the order of their buffers.
    pub(super) constants: Vec<Tensor>,
    constant_buffers: HashMap<usize, usize>,
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
        Storage { roots, fixed, constants: Vec::new(), constant_buffers: HashMap::new() }
    }

    /// The value whose buffer `id` shares.
    pub(super) fn root(&self, id: ValueId) -> usize {
        self.roots[id.index()]
    }

    /// The buffer of a value, or `None` when it lives in a slot.
    pub(super) fn buffer(&mut self, graph: &Graph, id: ValueId) -> Option<BufferRef> {
        let root = self.root(id);
        if let Origin::Constant(tensor) = &graph.values()[root].origin {
            return Some(BufferRef::Constant(self.constant(tensor)));
        }
        self.fixed[root]
    }

    /// The buffer of a constant; tensors that share their elements share it.
    fn constant(&mut self, tensor: &Tensor) -> usize {
        let constants = &mut self.constants;
        *self.constant_buffers.entry(tensor.data_id()).or_insert_with(|| {
            constants.push(tensor.clone());
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
            let bytes = padded(&ty);
            copies.push(Step {
                node: None,
                name: name.clone(),
                op: "Copy",
                kernel: "copy",
                refusals: Vec::new(),
                actions: vec![Action::Copy { source, target, bytes }],
                inputs: vec![super::Placement { buffer: source, ty: ty.clone() }],
                outputs: vec![super::Placement { buffer: target, ty }],
                cost: Cost { macs: 0, bytes: 2 * bytes },
                accuracy: Accuracy::Exact,
            });
        }
        copies
    }
}
