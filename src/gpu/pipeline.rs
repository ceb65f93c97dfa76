//! Compute pipelines: one per distinct configuration of a shader, compiled in parallel, kept for the life of the device.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use super::device::{Device, ShaderChecks, lock};
use super::driver_cache::DriverCache;
use crate::error::GpuError;
use crate::kernels::{Binding, Dispatch, Form};
use crate::tensor::Precision;

/// A compiled shader with the layout of its bindings.
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: Layout,
}

/// The layout of a dispatch's bindings. Shaders that bind alike share it.
#[derive(Clone)]
pub(super) struct Layout {
    pub group: wgpu::BindGroupLayout,
    pipeline: wgpu::PipelineLayout,
}

/// What compiling the pipelines of a plan took. Threads work on them side by side, so times are sums over threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PipelineTimes {
    /// Pipelines that did not exist yet.
    pub compiled: usize,
    /// Rendering templates.
    pub render: Duration,
    /// Reading and validating WGSL.
    pub parse: Duration,
    /// Writing it for the driver, and what the driver does with it before the first run.
    pub driver: Duration,
}

/// Bytes of a parameter block, with room for alignment of what follows in one buffer.
pub(super) const PARAMS_STRIDE: u64 = 256;

impl Device {
    /// Positions of configurations whose pipelines do not exist yet, one of each.
    pub(super) fn missing(&self, configurations: &[String]) -> Vec<usize> {
        let known = lock(&self.shared.pipelines);
        let mut seen = HashSet::new();
        let numbered = configurations.iter().enumerate();
        numbered.filter(|(_, key)| !known.contains_key(*key) && seen.insert(*key)).map(|(i, _)| i).collect()
    }

    /// Compiles the missing pipelines in parallel and sends each to `finished` with the position of its dispatch.
    pub(super) fn compile_missing(
        &self,
        dispatches: &[&Dispatch],
        configurations: &[String],
        missing: &[usize],
        finished: mpsc::Sender<(usize, Arc<Pipeline>)>,
    ) -> Result<PipelineTimes, GpuError> {
        let workers = std::thread::available_parallelism().map_or(1, |n| n.get()).min(missing.len());
        let next = AtomicUsize::new(0);
        let times = Mutex::new(PipelineTimes { compiled: missing.len(), ..PipelineTimes::default() });
        let work = |finished: mpsc::Sender<(usize, Arc<Pipeline>)>| -> Result<(), GpuError> {
            while let Some(&position) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some((dispatch, key)) = dispatches.get(position).zip(configurations.get(position)) else {
                    continue;
                };
                let pipeline = Arc::new(self.pipeline(dispatch, &times)?);
                lock(&self.shared.pipelines).insert(key.clone(), pipeline.clone());
                // Nobody listens any more when the caller has failed.
                let _ = finished.send((position, pipeline));
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let spawn = |_| {
                let finished = finished.clone();
                scope.spawn(|| work(finished))
            };
            let handles: Vec<_> = (0..workers).map(spawn).collect();
            let panicked = |_| Err(wrong("the compiler panicked"));
            handles.into_iter().try_for_each(|handle| handle.join().unwrap_or_else(panicked))
        })?;
        Ok(*lock(&times))
    }

    /// The pipelines of configurations, in their order, once the missing ones have been compiled.
    pub(super) fn pipelines(&self, configurations: &[String]) -> Result<Vec<Arc<Pipeline>>, GpuError> {
        let known = lock(&self.shared.pipelines);
        let find = |key: &String| known.get(key).cloned().ok_or_else(|| wrong("a pipeline is missing"));
        configurations.iter().map(find).collect()
    }

    /// Number of distinct pipelines compiled on this device so far.
    pub fn pipeline_count(&self) -> usize {
        lock(&self.shared.pipelines).len()
    }

    fn pipeline(&self, dispatch: &Dispatch, times: &Mutex<PipelineTimes>) -> Result<Pipeline, GpuError> {
        let start = Instant::now();
        let source = dispatch.source()?;
        let rendered = Instant::now();
        let device = &self.shared.device;
        let label = Some(dispatch.shader.stem);
        self.scoped(&format!("shader `{}`", dispatch.shader.stem), || {
            let descriptor = wgpu::ShaderModuleDescriptor { label, source: wgpu::ShaderSource::Wgsl(source.into()) };
            let module = match self.shared.checks {
                ShaderChecks::On => device.create_shader_module(descriptor),
                // SAFETY: every shader of this crate guards its indices, ends its loops, and is run with checks on by
                // the conformance tests; no shader text comes from outside the crate.
                ShaderChecks::Off => unsafe {
                    device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
                },
            };
            let parsed = Instant::now();
            let layout = self.layout(&dispatch.bindings);
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label,
                layout: Some(&layout.pipeline),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: self.shared.driver_cache.get().map(DriverCache::get),
            });
            let mut times = lock(times);
            times.render += rendered - start;
            times.parse += parsed - rendered;
            times.driver += parsed.elapsed();
            Pipeline { pipeline, layout }
        })
    }

    fn layout(&self, bindings: &[Binding]) -> Layout {
        let params = wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: true,
            min_binding_size: None,
        };
        let types: Vec<wgpu::BindingType> = std::iter::once(params).chain(bindings.iter().map(binding_type)).collect();
        let mut layouts = lock(&self.shared.layouts);
        if let Some(layout) = layouts.get(&types) {
            return layout.clone();
        }
        let entries: Vec<wgpu::BindGroupLayoutEntry> = types
            .iter()
            .zip(0..)
            .map(|(&ty, binding)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty,
                count: None,
            })
            .collect();
        let device = &self.shared.device;
        let group =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&group)],
            immediate_size: 0,
        });
        let layout = Layout { group, pipeline };
        layouts.insert(types, layout.clone());
        layout
    }
}

fn wrong(what: &str) -> GpuError {
    GpuError::Validation { doing: "compiling a shader".into(), what: what.into() }
}

fn binding_type(binding: &Binding) -> wgpu::BindingType {
    let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let image = |format| wgpu::BindingType::StorageTexture {
        access: wgpu::StorageTextureAccess::ReadOnly,
        format,
        view_dimension: wgpu::TextureViewDimension::D2,
    };
    match binding.form {
        Form::Read | Form::ReadVec4 => buffer(wgpu::BufferBindingType::Storage { read_only: !binding.shared }),
        Form::Write | Form::WriteVec4 => buffer(wgpu::BufferBindingType::Storage { read_only: false }),
        Form::Uniform { .. } => buffer(wgpu::BufferBindingType::Uniform),
        Form::Image if binding.precision == Precision::F16 => image(wgpu::TextureFormat::Rgba16Float),
        Form::Image => image(wgpu::TextureFormat::Rgba32Float),
        Form::ImageScalar => image(wgpu::TextureFormat::R32Float),
    }
}
