//! Building a plan: a kernel for every node, buffers for every value.

use std::collections::{BTreeMap, HashMap};

use super::memory::{Assignment, Clash, Lifetime, assign, live_bytes};
use super::select::{Chosen, Refusals, Selected, select};
use super::split::{self, Part};
use super::storage::Storage;
use super::{Action, BufferRef, Image, Placement, Plan, Port, Resource, Slot, Step, padded, stored};
use crate::error::PlanError;
use crate::graph::{Graph, Node, Origin, ValueId};
use crate::kernels::{Binding, Case, DeviceTraits, Form, Kernel, Launch, Operand};
use crate::tensor::{Precision, TensorType};

/// A buffer while slots are not assigned yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Pending {
    Fixed(BufferRef),
    Value(usize),
    Scratch(usize),
}

struct PendingStep {
    step: Step,
    actions: Vec<PendingAction>,
    operands: (Vec<Pending>, Vec<Pending>),
}

enum PendingAction {
    CopyToImage { source: Pending, image: usize, texels: u32 },
    Copy { source: (Pending, u64), target: (Pending, u64), bytes: u64 },
    Dispatch { dispatch: crate::kernels::Dispatch, resources: Vec<Result<Pending, usize>> },
}

/// What an image holds a copy of.
struct Held {
    source: Pending,
    /// Position of the last node within [`HORIZON`] that reads it.
    until: usize,
}

/// Nodes within which a value must be read again for its image to be kept. Gradients are read by the two or three nodes after
/// the one that computes them; to keep what forward passes leave for backward ones would cost its size once more.
const HORIZON: usize = 8;

/// A launch with what it works on.
struct Work<'a> {
    position: usize,
    node: &'a Node,
    case: Case<'a>,
    kernel: &'static Kernel,
    launch: Launch,
    /// Inputs, outputs and scratch buffers.
    operands: [&'a [Pending]; 3],
}

/// Bytes of the largest part that a divided node is worked on in: larger ones take scratch memory without being faster.
const LARGEST_PIECE: u64 = 32 << 20;

pub(super) struct Planner<'a> {
    graph: &'a Graph,
    pub(super) storage: Storage,
    steps: Vec<PendingStep>,
    images: Vec<Image>,
    constant_images: HashMap<(usize, u32), usize>,
    /// Positions of the nodes that read the buffer of a root.
    reads: Vec<Vec<usize>>,
    /// What the images hold, by image.
    held: BTreeMap<usize, Held>,
    lifetimes: Vec<Lifetime>,
    owners: HashMap<Pending, usize>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(graph: &'a Graph) -> Planner<'a> {
        let storage = Storage::new(graph);
        let mut reads = vec![Vec::new(); graph.values().len()];
        for (position, node) in graph.nodes().iter().enumerate() {
            node.inputs.iter().for_each(|&id| reads[storage.root(id)].push(position));
        }
        Planner {
            graph,
            storage,
            steps: Vec::new(),
            images: Vec::new(),
            constant_images: HashMap::new(),
            reads,
            held: BTreeMap::new(),
            lifetimes: Vec::new(),
            owners: HashMap::new(),
        }
    }

    /// The buffer of a value; extends its lifetime to the present step.
    fn touch(&mut self, id: ValueId) -> Pending {
        match self.storage.buffer(self.graph, id) {
            Some(buffer) => Pending::Fixed(buffer),
            None => {
                let root = self.storage.root(id);
                let bytes = stored(&self.graph.values()[root].ty, self.storage.precision(id));
                let pending = Pending::Value(root);
                self.extend(pending, bytes);
                pending
            }
        }
    }

    fn extend(&mut self, pending: Pending, bytes: u64) {
        let step = self.steps.len();
        let lifetimes = &mut self.lifetimes;
        let owner = *self.owners.entry(pending).or_insert_with(|| {
            lifetimes.push(Lifetime { first: step, last: step, bytes });
            lifetimes.len() - 1
        });
        self.lifetimes[owner].last = step;
    }

    pub(super) fn step(&mut self, selected: Selected<'_>, traits: &DeviceTraits) -> Result<(), PlanError> {
        let Selected { position, node, inputs, outputs, chosen } = selected;
        let sources: Vec<Pending> = node.inputs.iter().map(|&id| self.touch(id)).collect();
        let targets: Vec<Pending> = node.outputs.iter().map(|&id| self.touch(id)).collect();
        let mut actions = Vec::new();
        let (kernel, refusals) = match chosen {
            Chosen::InPieces(order) => {
                self.pieces(position, node, (&sources, &targets), traits, &order, &mut actions)?
            }
            Chosen::Whole((kernel, launch, refusals)) => {
                let case = Case { op: &node.op, inputs: &inputs, outputs: &outputs };
                let scratch = self.scratch(&launch.scratch);
                let work = Work { position, node, case, kernel, launch, operands: [&sources, &targets, &scratch] };
                self.launch(work, traits, &mut actions)?;
                (kernel, refusals)
            }
        };
        let spec = node.op.spec();
        // A step with several outputs is as exact as the coarsest of them.
        let half = node.outputs.iter().any(|&id| self.storage.precision(id) == Precision::F16);
        let precision = if half { Precision::F16 } else { Precision::F32 };
        let step = Step {
            node: Some(position),
            name: node.name.clone(),
            op: spec.name(),
            kernel: kernel.stem,
            refusals,
            actions: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            cost: spec.cost(&inputs, &outputs),
            accuracy: spec.accuracy(&inputs).stored(precision),
        };
        self.steps.push(PendingStep { step, actions, operands: (sources, targets) });
        Ok(())
    }

    /// Scratch buffers for the present step.
    fn scratch(&mut self, bytes: &[u64]) -> Vec<Pending> {
        let new = |&bytes: &u64| {
            let pending = Pending::Scratch(self.owners.len());
            self.extend(pending, bytes.next_multiple_of(16).max(16));
            pending
        };
        bytes.iter().map(new).collect()
    }

    /// Launches a node that is too large for one binding piece by piece: parts are copied to scratch buffers and back.
    fn pieces(
        &mut self,
        position: usize,
        node: &Node,
        (sources, targets): (&[Pending], &[Pending]),
        traits: &DeviceTraits,
        order: &[&'static Kernel],
        actions: &mut Vec<PendingAction>,
    ) -> Result<(&'static Kernel, Refusals), PlanError> {
        let (inputs, outputs) = (self.graph.input_types(node), self.graph.output_types(node));
        let pieces =
            split::pieces(&node.op, &inputs, &outputs, traits.max_binding_bytes.min(LARGEST_PIECE)).map_err(|why| {
                PlanError::Indivisible {
                    node: node.name.clone(),
                    op: node.op.to_string(),
                    bytes: inputs.iter().chain(&outputs).map(padded).max().unwrap_or(0),
                    limit: traits.max_binding_bytes,
                    why,
                }
            })?;
        let parts: Vec<Vec<Part>> =
            pieces.iter().map(|piece| piece.inputs.iter().chain(&piece.outputs).cloned().collect()).collect();
        let whole: Vec<Pending> = sources.iter().chain(targets).copied().collect();
        let types: Vec<&TensorType> = inputs.iter().chain(&outputs).collect();
        // Operands that are cut have a scratch buffer that is large enough for each of their parts.
        let mut operands = whole.clone();
        for (i, operand) in operands.iter_mut().enumerate() {
            let of = |parts: &Vec<Part>| parts.get(i).map_or(0, Part::bytes);
            let cut = |parts: &Vec<Part>| types.get(i).is_some_and(|ty| of(parts) != ty.bytes() as u64);
            if parts.iter().any(cut)
                && let [scratch] = self.scratch(&[parts.iter().map(of).max().unwrap_or(0)])[..]
            {
                *operand = scratch;
            }
        }
        let mut kernel = None;
        for (piece, parts) in pieces.iter().zip(&parts) {
            let part_types: Vec<TensorType> = parts.iter().map(|part| part.ty.clone()).collect();
            let (input_types, output_types) = part_types.split_at(inputs.len());
            let case = Case { op: &piece.op, inputs: input_types, outputs: output_types };
            let (chosen, launch, refusals) = select(node, &case, traits, order)?;
            kernel.get_or_insert((chosen, refusals));
            let copies = |range: std::ops::Range<usize>, back: bool| {
                let moved = range.filter(|&i| operands[i] != whole[i]).map(|i| {
                    let (large, small) = ((whole[i], parts[i].first as u64 * 4), (operands[i], 0));
                    let (source, target) = if back { (small, large) } else { (large, small) };
                    PendingAction::Copy { source, target, bytes: parts[i].bytes() }
                });
                moved.collect::<Vec<_>>()
            };
            actions.extend(copies(0..inputs.len(), false));
            self.held.retain(|_, held| !operands.contains(&held.source) || whole.contains(&held.source));
            let scratch = self.scratch(&launch.scratch);
            let (sources, targets) = operands.split_at(inputs.len());
            let work = Work { position, node, case, kernel: chosen, launch, operands: [sources, targets, &scratch] };
            self.launch(work, traits, actions)?;
            actions.extend(copies(inputs.len()..operands.len(), true));
        }
        self.held.retain(|_, held| !targets.contains(&held.source));
        kernel.ok_or_else(|| PlanError::Graph(format!("`{}` is empty", node.name)))
    }

    /// Adds the dispatches of a launch, and the copies into images that they need.
    fn launch(
        &mut self,
        Work { position, node, case, kernel, launch, operands }: Work<'_>,
        traits: &DeviceTraits,
        actions: &mut Vec<PendingAction>,
    ) -> Result<(), PlanError> {
        let scratch_types: Vec<TensorType> =
            launch.scratch.iter().map(|&bytes| TensorType::f32([(bytes / 4) as usize])).collect();
        let wrong = || PlanError::Graph(format!("kernel {} binds an operand that `{}` lacks", kernel.stem, node.name));
        // The images that this step reads.
        let mut taken = Vec::new();
        let [sources, targets, scratch] = operands;
        for mut dispatch in launch.dispatches {
            let mut resources = Vec::with_capacity(dispatch.bindings.len());
            let mut written = Vec::new();
            for binding in &mut dispatch.bindings {
                let (pending, ty, id) = match binding.operand {
                    Operand::Input(i) => (sources.get(i), case.inputs.get(i), node.inputs.get(i)),
                    Operand::Output(i) => (targets.get(i), case.outputs.get(i), node.outputs.get(i)),
                    Operand::Scratch(i) => (scratch.get(i), scratch_types.get(i), None),
                };
                let pending = *pending.ok_or_else(wrong)?;
                // A part of a value lies in scratch memory.
                let id = id.filter(|_| !matches!(pending, Pending::Scratch(_)));
                binding.precision = id.map_or(Precision::F32, |&id| self.storage.precision(id));
                if binding.form.is_write() {
                    written.push(pending);
                }
                resources.push(match (binding.form.texel(), ty) {
                    (None, _) => Ok(pending),
                    (Some(_), None) => return Err(wrong()),
                    (Some(texel), Some(ty)) => {
                        let reads = id.map(|&id| self.reads[self.storage.root(id)].iter());
                        let soon = reads.into_iter().flatten().rev().find(|&&read| read <= position + HORIZON);
                        let until = soon.copied().unwrap_or(position).max(position);
                        let needed = Held { source: pending, until };
                        let form = Image { texel, precision: binding.precision, rows: 0, constant: None };
                        Err(self.image(needed, position, (form, ty), traits, &mut taken, actions)?)
                    }
                });
            }
            actions.push(PendingAction::Dispatch { dispatch, resources });
            // What was copied before it was written to is out of date.
            self.held.retain(|_, held| !written.contains(&held.source));
        }
        Ok(())
    }

    /// The image that stands in for a buffer, and the copy that fills it if none holds it yet.
    fn image(
        &mut self,
        needed: Held,
        position: usize,
        (form, ty): (Image, &TensorType),
        traits: &DeviceTraits,
        taken: &mut Vec<usize>,
        actions: &mut Vec<PendingAction>,
    ) -> Result<usize, PlanError> {
        let texel = form.texel;
        let texels = ty.shape.elements().div_ceil(texel as usize);
        let rows = Form::image_rows(ty.shape.elements(), texel);
        if rows > traits.max_texture_side as usize || Form::IMAGE_WIDTH > traits.max_texture_side {
            return Err(PlanError::Graph(format!(
                "an image of {rows} rows is larger than this device's textures ({} a side)",
                traits.max_texture_side
            )));
        }
        let rows = rows as u32;
        if let Pending::Fixed(BufferRef::Constant(constant)) = needed.source {
            let images = &mut self.images;
            return Ok(*self.constant_images.entry((constant, texel)).or_insert_with(|| {
                images.push(Image { rows, constant: Some(constant), ..form });
                images.len() - 1
            }));
        }
        let images = &self.images;
        let holds = |(i, held): &(&usize, &Held)| held.source == needed.source && images[**i].texel == texel;
        if let Some((&image, _)) = self.held.iter().find(holds) {
            taken.push(image);
            self.held.insert(image, needed);
            return Ok(image);
        }
        // An image is free when nothing soon reads what it holds; the largest one is enlarged least.
        let free = |i: &usize| {
            let kept = self.held.get(i).is_some_and(|held| held.until >= position);
            let image = Image { rows: 0, ..images[*i] };
            image == form && !kept && !taken.contains(i)
        };
        let image = match (0..images.len()).filter(free).max_by_key(|&i| images[i].rows) {
            Some(image) => {
                self.images[image].rows = self.images[image].rows.max(rows);
                image
            }
            None => {
                self.images.push(Image { rows, ..form });
                self.images.len() - 1
            }
        };
        taken.push(image);
        actions.push(PendingAction::CopyToImage { source: needed.source, image, texels: texels as u32 });
        self.held.insert(image, needed);
        Ok(image)
    }

    /// What dispatches read and write at once, by the owners of lifetimes.
    fn clashes(&self) -> Vec<Clash> {
        let mut clashes = Vec::new();
        for action in self.steps.iter().flat_map(|step| &step.actions) {
            // No copy goes from a buffer to itself.
            if let PendingAction::Copy { source, target, .. } = action
                && let (Some(&read), Some(&written)) = (self.owners.get(&source.0), self.owners.get(&target.0))
            {
                clashes.push(Clash { read, written, strict: true });
            }
            let PendingAction::Dispatch { dispatch, resources } = action else { continue };
            let bound = dispatch.bindings.iter().zip(resources).filter_map(|(binding, resource)| {
                let owner = resource.as_ref().ok().and_then(|pending| self.owners.get(pending));
                owner.map(|&owner| (binding.form, owner))
            });
            let (written, read): (Vec<_>, Vec<_>) = bound.partition(|(form, _)| form.is_write());
            for &(form, read) in &read {
                let strict = matches!(form, Form::Uniform { .. });
                clashes.extend(written.iter().map(|&(_, written)| Clash { read, written, strict }));
            }
        }
        clashes
    }

    pub(super) fn finish(mut self, traits: &DeviceTraits) -> Result<Plan, PlanError> {
        let Assignment { slots: assigned, buffers } = assign(&self.lifetimes, &self.clashes(), traits.max_buffer_bytes);
        let mut slots = assigned.clone();
        slots.sort_unstable();
        slots.dedup();
        let owners = &self.owners;
        let slot = |owner: &usize| slots.binary_search(&assigned[*owner]).unwrap_or_default();
        let place = |pending: Pending| match pending {
            Pending::Fixed(buffer) => buffer,
            other => BufferRef::Slot(owners.get(&other).map_or(0, slot)),
        };
        let graph = self.graph;
        let mut steps = Vec::with_capacity(self.steps.len());
        for PendingStep { mut step, actions, operands: (sources, targets) } in std::mem::take(&mut self.steps) {
            step.actions = actions
                .into_iter()
                .map(|action| match action {
                    PendingAction::CopyToImage { source, image, texels } => {
                        Action::CopyToImage { source: place(source), image, texels }
                    }
                    PendingAction::Copy { source, target, bytes } => {
                        Action::Copy { source: (place(source.0), source.1), target: (place(target.0), target.1), bytes }
                    }
                    PendingAction::Dispatch { mut dispatch, resources } => {
                        let resources: Vec<Resource> = resources
                            .into_iter()
                            .map(|resource| match resource {
                                Ok(pending) => Resource::Buffer(place(pending)),
                                Err(image) => Resource::Image(image),
                            })
                            .collect();
                        share_buffers(&mut dispatch.bindings, &resources, &slots);
                        Action::Dispatch { dispatch, resources }
                    }
                })
                .collect();
            let node = step.node.and_then(|position| graph.nodes().get(position));
            let placements = |ids: &[ValueId], pending: &[Pending]| -> Vec<Placement> {
                let placement = |(&id, &pending): (&ValueId, &Pending)| {
                    let precision = self.storage.precision(id);
                    Placement { buffer: place(pending), ty: graph.ty(id).clone(), precision }
                };
                ids.iter().zip(pending).map(placement).collect()
            };
            if let Some(node) = node {
                step.inputs = placements(&node.inputs, &sources);
                step.outputs = placements(&node.outputs, &targets);
            }
            steps.push(step);
        }
        steps.extend(self.storage.output_copies(graph));
        let port = |name: &str, id: ValueId| Port { name: name.into(), ty: graph.ty(id).clone() };
        let inputs = graph.inputs().iter().map(|&id| port(&graph.value(id).name, id)).collect();
        debug_assert!(graph.inputs().iter().all(|&id| graph.value(id).origin == Origin::Input));
        Ok(Plan {
            inputs,
            outputs: graph.outputs().iter().map(|(name, id)| port(name, *id)).collect(),
            live_bytes: live_bytes(&self.lifetimes),
            constants: self.storage.constants,
            slots,
            buffers,
            images: self.images,
            steps,
        })
    }
}

/// Marks what is read from a buffer that the same dispatch writes another range of.
fn share_buffers(bindings: &mut [Binding], resources: &[Resource], slots: &[Slot]) {
    let buffer = |resource: &Resource| match resource {
        Resource::Buffer(BufferRef::Slot(slot)) => slots.get(*slot).map(|slot| slot.buffer),
        _ => None,
    };
    let written: Vec<usize> =
        bindings.iter().zip(resources).filter(|(b, _)| b.form.is_write()).filter_map(|(_, r)| buffer(r)).collect();
    for (binding, resource) in bindings.iter_mut().zip(resources) {
        let shared = buffer(resource).is_some_and(|buffer| written.contains(&buffer));
        binding.shared = shared && !binding.form.is_write();
    }
}
