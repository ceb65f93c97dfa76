//! Everything that speaks to wgpu: devices, pipelines, buffers, runs and profiles. No other room names it.

mod cache;
mod check;
mod device;
mod driver_cache;
mod executable;
mod memory;
mod pipeline;
mod ports;
mod profile;
mod reading;
mod run;
mod shared;
mod staging;
mod stopwatch;
mod vulkan;

pub use cache::cache_folder;
pub use device::{AdapterSummary, Device, ShaderChecks, adapters};
pub use executable::{Bound, Executable};
pub use memory::{SharedWeights, Weights};
pub use pipeline::PipelineTimes;
pub use reading::{Reading, Variables};
pub use stopwatch::{Elapsed, Stopwatch};
/// The wgpu that this crate is built with, for sharing devices and buffers.
pub use wgpu;
