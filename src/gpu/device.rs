//! Opening a device: choosing an adapter, asking for what kernels can use, and watching for its loss.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::driver_cache::DriverCache;
use super::pipeline::{Layout, Pipeline};
use crate::error::GpuError;
use crate::kernels::{DeviceClass, DeviceTraits};

/// An opened device. Cloning shares it.
#[derive(Clone)]
pub struct Device {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub info: wgpu::AdapterInfo,
    pub traits: DeviceTraits,
    pub checks: ShaderChecks,
    pub lost: Arc<Mutex<Option<String>>>,
    pub failure: Arc<Mutex<Option<String>>>,
    /// By the configuration of their shader.
    pub pipelines: Mutex<HashMap<String, Arc<Pipeline>>>,
    pub layouts: Mutex<HashMap<Vec<wgpu::BindingType>, Layout>>,
    pub driver_cache: OnceLock<DriverCache>,
}

/// Whether shaders check their own indices and loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShaderChecks {
    /// Off: this crate's shaders are in bounds by construction, and the checks keep loops from being unrolled.
    #[default]
    Off,
    /// On: for tests, and for those who do not want to take our word for it.
    On,
}

/// What [`adapters`] says about one adapter.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AdapterSummary {
    /// Name, as the driver gives it.
    pub name: String,
    /// Kind of processor.
    pub class: DeviceClass,
    /// Graphics API.
    pub backend: String,
    /// Driver and its version.
    pub driver: String,
    /// Features that kernels use where they exist, and whether this adapter has them.
    pub features: Vec<(String, bool)>,
    /// Limits that kernels see.
    pub traits: DeviceTraits,
}

/// OpenGL, whose context takes long to make, and which has a device of its own only where the other APIs have none.
const OTHERWISE: wgpu::Backends = wgpu::Backends::GL;

/// Features that are asked for where they exist.
const WANTED: wgpu::Features = wgpu::Features::SUBGROUP
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::PIPELINE_CACHE);

fn class(info: &wgpu::AdapterInfo) -> DeviceClass {
    match info.device_type {
        wgpu::DeviceType::DiscreteGpu => DeviceClass::Discrete,
        wgpu::DeviceType::IntegratedGpu => DeviceClass::Integrated,
        wgpu::DeviceType::VirtualGpu => DeviceClass::Virtual,
        wgpu::DeviceType::Cpu => DeviceClass::Cpu,
        wgpu::DeviceType::Other => DeviceClass::Other,
    }
}

fn traits(info: &wgpu::AdapterInfo, features: wgpu::Features, limits: &wgpu::Limits) -> DeviceTraits {
    let subgroups = features.contains(wgpu::Features::SUBGROUP) && info.subgroup_min_size > 0;
    DeviceTraits {
        class: class(info),
        subgroups: subgroups.then_some((info.subgroup_min_size, info.subgroup_max_size)),
        half: features.contains(wgpu::Features::SHADER_F16),
        max_binding_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        max_buffer_bytes: limits.max_buffer_size,
        max_uniform_bytes: limits.max_uniform_buffer_binding_size,
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
        max_workgroups: limits.max_compute_workgroups_per_dimension,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
        max_texture_side: limits.max_texture_dimension_2d,
    }
}

/// Discrete before integrated before everything else, processors last.
fn preference(info: &wgpu::AdapterInfo) -> u8 {
    match class(info) {
        DeviceClass::Discrete => 0,
        DeviceClass::Integrated => 1,
        DeviceClass::Virtual => 2,
        DeviceClass::Other => 3,
        DeviceClass::Cpu => 4,
    }
}

/// All adapters of this machine, the preferred one first.
pub async fn adapters() -> Vec<AdapterSummary> {
    sorted_adapters(wgpu::Backends::all())
        .await
        .iter()
        .map(|adapter| summary(&adapter.get_info(), adapter.features(), &adapter.limits()))
        .collect()
}

fn summary(info: &wgpu::AdapterInfo, features: wgpu::Features, limits: &wgpu::Limits) -> AdapterSummary {
    let listed = [
        ("SUBGROUP", wgpu::Features::SUBGROUP),
        ("TIMESTAMP_QUERY", wgpu::Features::TIMESTAMP_QUERY),
        ("SHADER_F16", wgpu::Features::SHADER_F16),
        ("PIPELINE_CACHE", wgpu::Features::PIPELINE_CACHE),
    ];
    AdapterSummary {
        name: info.name.clone(),
        class: class(info),
        backend: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        features: listed.iter().map(|(name, flag)| ((*name).to_string(), features.contains(*flag))).collect(),
        traits: traits(info, features, limits),
    }
}

/// The adapters of some APIs, the preferred one first.
async fn sorted_adapters(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.backends &= backends;
    // Names and lines of shaders, which debug builds would give to drivers, double the time that drivers take to read them.
    descriptor.flags = (wgpu::InstanceFlags::from_build_config() - wgpu::InstanceFlags::DEBUG).with_env();
    let mut adapters = wgpu::Instance::new(descriptor).enumerate_adapters(backends).await;
    adapters
        .retain(|adapter| adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS));
    adapters.sort_by_key(|adapter| preference(&adapter.get_info()));
    adapters
}

impl Device {
    /// Opens the preferred adapter whose name, driver or backend contains `wanted` (any case); the empty string takes
    /// the preferred one of all.
    ///
    /// # Errors
    /// [`GpuError::NoAdapter`] when none matches, [`GpuError::Request`] when the driver gives out no device.
    pub async fn request(wanted: &str, checks: ShaderChecks) -> Result<Device, GpuError> {
        let mut adapters = sorted_adapters(wgpu::Backends::all() - OTHERWISE).await;
        let matches = |info: &wgpu::AdapterInfo| {
            let text = format!("{} {} {} {}", info.name, info.driver, info.driver_info, info.backend).to_lowercase();
            text.contains(&wanted.to_lowercase())
        };
        let fits = |adapter: &&wgpu::Adapter| matches(&adapter.get_info());
        if adapters.iter().find(fits).is_none_or(|adapter| class(&adapter.get_info()) == DeviceClass::Cpu) {
            adapters.extend(sorted_adapters(OTHERWISE).await);
            adapters.sort_by_key(|adapter| preference(&adapter.get_info()));
        }
        let Some(adapter) = adapters.iter().find(fits) else {
            let available = adapters.iter().map(|adapter| adapter.get_info().name).collect();
            return Err(GpuError::NoAdapter { wanted: wanted.into(), available });
        };
        let info = adapter.get_info();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgconv"),
            required_features: adapter.features() & WANTED,
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|e| GpuError::Request { adapter: info.name.clone(), what: e.to_string() })?;
        let failure = Arc::new(Mutex::new(None));
        let slot = failure.clone();
        // wgpu's own handler ends the process.
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            log::error!("wgpu: {error}");
            lock(&slot).get_or_insert_with(|| error.to_string());
        }));
        let lost = Arc::new(Mutex::new(None));
        let slot = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            let why = if message.is_empty() { format!("{reason:?}") } else { message };
            lock(&slot).get_or_insert(why);
        });
        Ok(Device::from_parts(device, queue, checks, lost, failure))
    }

    /// Uses the caller's own device, so that buffers can be shared with a renderer. Its error handlers are left alone.
    ///
    /// Kernels use the features and limits that the device was created with.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue, checks: ShaderChecks) -> Device {
        Device::from_parts(device, queue, checks, Arc::default(), Arc::default())
    }

    fn from_parts(
        device: wgpu::Device,
        queue: wgpu::Queue,
        checks: ShaderChecks,
        lost: Arc<Mutex<Option<String>>>,
        failure: Arc<Mutex<Option<String>>>,
    ) -> Device {
        let info = device.adapter_info();
        let traits = traits(&info, device.features(), &device.limits());
        let shared = Shared {
            device,
            queue,
            info,
            traits,
            checks,
            lost,
            failure,
            pipelines: Mutex::default(),
            layouts: Mutex::default(),
            driver_cache: OnceLock::new(),
        };
        Device { shared: Arc::new(shared) }
    }

    /// Keeps what the driver makes of shaders in a folder, and takes it from there next time, where the backend can
    /// (Vulkan). Pipelines that exist already are not in it. A damaged or foreign file there is ignored and replaced.
    pub fn cached_in(self, folder: &Path) -> Device {
        if self.shared.driver_cache.get().is_none()
            && let Some(cache) = DriverCache::open(&self, folder)
        {
            // Another thread may have been first; its cache serves as well.
            let _ = self.shared.driver_cache.set(cache);
        }
        self
    }

    /// What kernels may know of it.
    pub fn traits(&self) -> &DeviceTraits {
        &self.shared.traits
    }

    /// The adapter it was opened on.
    pub fn summary(&self) -> AdapterSummary {
        summary(&self.shared.info, self.shared.device.features(), &self.shared.device.limits())
    }

    /// The wgpu device, for sharing buffers.
    pub fn wgpu_device(&self) -> &wgpu::Device {
        &self.shared.device
    }

    /// The wgpu queue, for sharing buffers.
    pub fn wgpu_queue(&self) -> &wgpu::Queue {
        &self.shared.queue
    }

    /// Whether the device can time its steps.
    pub fn can_profile(&self) -> bool {
        self.shared.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Fails when the device is lost, or reported an error that nothing else caught.
    pub(super) fn check(&self) -> Result<(), GpuError> {
        if let Some(reason) = lock(&self.shared.lost).clone() {
            return Err(GpuError::Lost { reason });
        }
        let failure = lock(&self.shared.failure).take();
        failure
            .map_or(Ok(()), |what| Err(self.explained(GpuError::Validation { doing: "an earlier call".into(), what })))
    }

    /// A failure, or the loss of the device that it comes from. wgpu tells of a loss when somebody polls after all work is over;
    /// until then it calls whatever is used invalid.
    pub(super) fn explained(&self, failure: GpuError) -> GpuError {
        // What polling fails of is no better explanation.
        let _ = self.shared.device.poll(wgpu::PollType::wait_indefinitely());
        lock(&self.shared.lost).clone().map_or(failure, |reason| GpuError::Lost { reason })
    }

    /// Runs `work` and turns what wgpu reports meanwhile into an error.
    pub(super) fn scoped<T>(&self, doing: &str, work: impl FnOnce() -> T) -> Result<T, GpuError> {
        let device = &self.shared.device;
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let result = work();
        let out_of_memory = pollster::block_on(memory.pop());
        let invalid = pollster::block_on(validation.pop());
        self.check()?;
        if out_of_memory.is_some() {
            return Err(self.explained(GpuError::OutOfMemory { doing: doing.into() }));
        }
        match invalid {
            Some(error) => Err(self.explained(GpuError::Validation { doing: doing.into(), what: error.to_string() })),
            None => Ok(result),
        }
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("adapter", &self.shared.info.name).finish_non_exhaustive()
    }
}

/// Locks a mutex whose data stays meaningful when another thread panicked.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
