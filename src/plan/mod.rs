//! The plan: which kernel computes each node, from which buffers. It is plain data and needs no device to be built.

mod build;
mod memory;
mod print;
mod probe;
mod select;
mod split;
mod storage;

use std::collections::BTreeSet;

use serde::Serialize;

pub use select::{plan, plan_stored};

use crate::kernels::{Dispatch, Refusal};
use crate::ops::Cost;
use crate::tensor::{Accuracy, Precision, Tensor, TensorType};

/// A buffer of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BufferRef {
    /// An input of the graph.
    Input(usize),
    /// An output of the graph.
    Output(usize),
    /// A constant.
    Constant(usize),
    /// A range of a buffer for intermediate values, reused over the run.
    Slot(usize),
}

/// A range of a buffer for intermediate values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Slot {
    /// Position in [`Plan::buffers`].
    pub buffer: usize,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a dispatch binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// A buffer, or a slot's range of one.
    Buffer(BufferRef),
    /// An image of [`Plan::images`].
    Image(usize),
}

/// An image that stands in for a buffer, for kernels that read through textures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Image {
    /// Elements of one texel: 4 or 1.
    pub texel: u32,
    /// How the elements are stored: as in the buffer.
    pub precision: Precision,
    /// Rows of [`Form::IMAGE_WIDTH`](crate::kernels::Form::IMAGE_WIDTH) texels.
    pub rows: u32,
    /// The constant that fills it once, when the plan is compiled; otherwise it is filled during the run.
    pub constant: Option<usize>,
}

impl Image {
    /// Bytes of it.
    pub fn bytes(&self) -> u64 {
        u64::from(self.rows) * self.row_bytes()
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> u64 {
        u64::from(crate::kernels::Form::IMAGE_WIDTH) * u64::from(self.texel) * self.precision.size()
    }
}

/// One thing the device does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Copies a buffer into an image.
    CopyToImage {
        /// The buffer.
        source: BufferRef,
        /// Position in [`Plan::images`].
        image: usize,
        /// Texels to copy.
        texels: u32,
    },
    /// Copies a range of a buffer into another buffer.
    Copy {
        /// From here, from this byte on.
        source: (BufferRef, u64),
        /// To here, from this byte on.
        target: (BufferRef, u64),
        /// How many bytes.
        bytes: u64,
    },
    /// Runs a shader.
    Dispatch {
        /// The shader, its parameters and its grid.
        dispatch: Dispatch,
        /// What is bound, in the order of the dispatch's bindings.
        resources: Vec<Resource>,
    },
}

/// A tensor that a step reads or writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// Its buffer.
    pub buffer: BufferRef,
    /// Its type, in which shaders compute with it.
    pub ty: TensorType,
    /// How its elements are stored.
    pub precision: Precision,
}

/// One node of the graph at work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Position of the node in the planned graph; `None` for copies into outputs.
    pub node: Option<usize>,
    /// Name of the node.
    pub name: String,
    /// Name of its op.
    pub op: &'static str,
    /// Stem of the kernel that computes it.
    pub kernel: &'static str,
    /// What preferred kernels said when they refused.
    pub refusals: Vec<(&'static str, Refusal)>,
    /// What the device does.
    pub actions: Vec<Action>,
    /// Where its inputs lie.
    pub inputs: Vec<Placement>,
    /// Where its outputs lie.
    pub outputs: Vec<Placement>,
    /// Work.
    pub cost: Cost,
    /// How close it must come to the reference.
    pub accuracy: Accuracy,
}

/// An input or output of the plan. Its elements are stored as `f32`, whatever the plan stores in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TensorType,
}

/// A constant of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant {
    /// Its elements.
    pub tensor: Tensor,
    /// How they are stored on the device.
    pub precision: Precision,
}

/// Everything a device needs to run a graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Inputs in the graph's order.
    pub inputs: Vec<Port>,
    /// Outputs in the graph's order.
    pub outputs: Vec<Port>,
    /// Constants that some step reads.
    #[serde(skip)]
    pub constants: Vec<Constant>,
    /// Ranges of intermediate buffers.
    pub slots: Vec<Slot>,
    /// Bytes of each intermediate buffer.
    pub buffers: Vec<u64>,
    /// Images.
    pub images: Vec<Image>,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// Bytes of the largest set of intermediate values that live at once: no plan can need less.
    pub live_bytes: u64,
}

impl Plan {
    /// Bytes of all intermediate buffers.
    pub fn buffer_bytes(&self) -> u64 {
        self.buffers.iter().sum()
    }

    /// Bytes of all constants.
    pub fn constant_bytes(&self) -> u64 {
        self.constants.iter().map(|constant| stored(&constant.tensor.tensor_type(), constant.precision)).sum()
    }

    /// Bytes of all images.
    pub fn image_bytes(&self) -> u64 {
        self.images.iter().map(Image::bytes).sum()
    }

    /// Bytes of device memory while the plan runs: inputs, outputs, constants, intermediate buffers and images.
    pub fn peak_bytes(&self) -> u64 {
        let ports: u64 = self.inputs.iter().chain(&self.outputs).map(|port| padded(&port.ty)).sum();
        ports + self.buffer_bytes() + self.constant_bytes() + self.image_bytes()
    }

    /// Work of all steps.
    pub fn cost(&self) -> Cost {
        self.steps.iter().map(|step| step.cost).sum()
    }

    /// Number of distinct pipelines.
    pub fn pipelines(&self) -> usize {
        let actions = self.steps.iter().flat_map(|step| &step.actions);
        let configurations = actions.filter_map(|action| match action {
            Action::Dispatch { dispatch, .. } => Some(dispatch.configuration()),
            _ => None,
        });
        configurations.collect::<BTreeSet<_>>().len()
    }

    /// Number of dispatches.
    pub fn dispatches(&self) -> usize {
        let is_dispatch = |action: &&Action| matches!(action, Action::Dispatch { .. });
        self.steps.iter().map(|step| step.actions.iter().filter(is_dispatch).count()).sum()
    }
}

/// Bytes of a buffer for a tensor stored as `f32`: whole vectors of four elements, so that shaders may read the last one whole.
pub fn padded(ty: &TensorType) -> u64 {
    stored(ty, Precision::F32)
}

/// Bytes of a buffer for a tensor stored with a precision. A multiple of 16 holds whole vectors of either.
pub fn stored(ty: &TensorType, precision: Precision) -> u64 {
    let bytes = (ty.shape.elements() as u64).saturating_mul(precision.size());
    bytes.checked_next_multiple_of(16).unwrap_or(u64::MAX).max(16)
}
