//! Errors of the device: adapters, memory, shaders and runs.

use thiserror::Error;

/// The device could not be opened, or could not do what a plan asks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GpuError {
    /// No adapter fits the request.
    #[error("no adapter matches `{wanted}`; there {}", if available.is_empty() { "is none at all: install a Vulkan driver (Debian: mesa-vulkan-drivers) or use the CPU reference".into() } else { format!("are: {}", available.join(", ")) })]
    NoAdapter {
        /// What was asked for.
        wanted: String,
        /// Names of the adapters that exist.
        available: Vec<String>,
    },
    /// The adapter does not give out a device.
    #[error("adapter `{adapter}` gives out no device: {what}")]
    Request {
        /// The adapter.
        adapter: String,
        /// What the driver says.
        what: String,
    },
    /// The device has no memory left.
    #[error("the device is out of memory while {doing}; use a smaller batch, or a device with more memory")]
    OutOfMemory {
        /// What was being done.
        doing: String,
    },
    /// The device was lost; everything on it is gone.
    #[error("the device was lost ({reason}); open a new device and compile the model on it again")]
    Lost {
        /// What the driver says.
        reason: String,
    },
    /// wgpu refuses what this crate asked for. This is a fault of the crate, or of the driver.
    #[error("wgpu refuses {doing}: {what}")]
    Validation {
        /// What was being done.
        doing: String,
        /// What wgpu says.
        what: String,
    },
    /// Shader text cannot be made.
    #[error("{0}")]
    Template(#[from] TemplateError),
    /// A tensor or buffer given to a run does not fit.
    #[error("`{name}`: {what}")]
    Binding {
        /// Name of the input or output.
        name: String,
        /// What was wrong, and what would work.
        what: String,
    },
    /// Results could not be read back.
    #[error("the results could not be read back: {0}")]
    Readback(String),
}

/// A shader template does not render. This is a fault of the crate, never of its input.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("shader template `{stem}`: {what}")]
pub struct TemplateError {
    /// The stem of the template.
    pub stem: String,
    /// What the template engine says.
    pub what: String,
}
