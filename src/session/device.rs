//! Where a graph runs: a GPU, or the CPU reference.

use std::path::Path;

use crate::error::GpuError;
use crate::gpu;
use crate::gpu::ShaderChecks;

/// Where a graph runs. Cloning shares the device, and the pipelines compiled on it: open one and give clones to sessions.
///
/// ```
/// use wgconv::session::Device;
///
/// let device = Device::auto(); // the best GPU, or else the CPU reference
/// println!("{}", device.name());
/// assert!(Device::select("no such adapter").is_err()); // part of a name, `gpu`, `cpu` or `auto`
/// ```
#[derive(Debug, Clone)]
pub enum Device {
    /// A device behind wgpu.
    Gpu(gpu::Device),
    /// The CPU reference: the oracle of every test, and the fallback where there is no adapter.
    Cpu,
}

impl Device {
    /// The best device there is: a discrete GPU, then an integrated one, then a processor that runs shaders, and the CPU
    /// reference (with a logged warning) when there is no adapter at all.
    pub async fn auto_async() -> Device {
        match gpu::Device::request("", ShaderChecks::default()).await {
            Ok(device) => Device::Gpu(device),
            Err(why) => {
                log::warn!("running on the CPU reference, which is slow: {why}");
                Device::Cpu
            }
        }
    }

    /// Blocking form of [`Device::auto_async`].
    pub fn auto() -> Device {
        pollster::block_on(Device::auto_async())
    }

    /// The device that a word asks for: `auto`, `gpu` (an adapter or nothing), `cpu` (the reference), or part of an
    /// adapter's name, driver or backend.
    ///
    /// # Errors
    /// [`GpuError`] when there is no such adapter or it gives out no device.
    pub fn select(word: &str) -> Result<Device, GpuError> {
        let wanted = match word {
            "auto" => return Ok(Device::auto()),
            "cpu" => return Ok(Device::Cpu),
            "gpu" => "",
            name => name,
        };
        pollster::block_on(gpu::Device::request(wanted, ShaderChecks::default())).map(Device::Gpu)
    }

    /// Keeps what the driver makes of shaders in a folder such as [`gpu::cache_folder`] names, where the backend can; see
    /// [`gpu::Device::cached_in`]. Without this nothing is written anywhere; the command line does it.
    pub fn cached_in(self, folder: &Path) -> Device {
        match self {
            Device::Gpu(device) => Device::Gpu(device.cached_in(folder)),
            Device::Cpu => Device::Cpu,
        }
    }

    /// Uses the caller's own wgpu device.
    pub fn from_gpu(device: gpu::Device) -> Device {
        Device::Gpu(device)
    }

    /// Its name in reports.
    pub fn name(&self) -> String {
        match self {
            Device::Gpu(device) => device.summary().name,
            Device::Cpu => "CPU reference".into(),
        }
    }
}
