//! Errors of planning: choosing a kernel and a buffer for every step.

use thiserror::Error;

/// A graph cannot be planned for a device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// No kernel takes a node.
    #[error("no kernel takes `{node}` ({op}) on this device: {}", reasons.join("; "))]
    NoKernel {
        /// The node.
        node: String,
        /// Its op.
        op: String,
        /// What every candidate said.
        reasons: Vec<String>,
    },
    /// A tensor is larger than a buffer can be.
    #[error(
        "`{value}` needs {bytes} bytes and a buffer of this device has at most {limit}; use a smaller batch or picture"
    )]
    TooLarge {
        /// The tensor.
        value: String,
        /// Its size.
        bytes: u64,
        /// The device's limit.
        limit: u64,
    },
    /// A tensor is larger than the device can bind, and the op that it belongs to cannot be divided.
    #[error(
        "`{node}` ({op}) has a tensor of {bytes} bytes, this device binds at most {limit} at once, and {why}; use a smaller batch or picture"
    )]
    Indivisible {
        /// The node.
        node: String,
        /// Its op.
        op: String,
        /// Bytes of its largest tensor.
        bytes: u64,
        /// The device's limit.
        limit: u64,
        /// Why it cannot be divided.
        why: &'static str,
    },
    /// A value has another element type than `f32`.
    #[error("`{value}` is {found}; plans compute with f32 only")]
    DType {
        /// The value.
        value: String,
        /// Its type.
        found: String,
    },
    /// Nothing can be stored as `f16` here.
    #[error("storing as f16: {0}")]
    Half(String),
    /// The graph contradicts itself.
    #[error("the graph cannot be planned: {0}")]
    Graph(String),
}
