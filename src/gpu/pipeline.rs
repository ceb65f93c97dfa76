//! Compute pipelines: one per distinct shader text, compiled in parallel, kept for the life of the device.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::device::{Device, ShaderChecks, lock};
use crate::error::GpuError;
use crate::kernels::{Binding, Dispatch, Form};
use crate::tensor::Precision;

/// A compiled shader with the layout of its bindings.
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Bytes of a parameter block, with room for alignment of what follows in one buffer.
pub(super) const PARAMS_STRIDE: u64 = 256;

impl Device {
    /// The pipelines of all dispatches, in their order; those that do not exist yet are compiled in parallel.
    ///
    /// `progress(done, total)` is called as pipelines are finished, from any thread.
    pub(super) fn pipelines(
        &self,
        dispatches: &[&Dispatch],
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Vec<Arc<Pipeline>>, GpuError> {
        let sources: Vec<String> = dispatches.iter().map(|dispatch| dispatch.source()).collect::<Result<_, _>>()?;
        let missing: Vec<(&String, &Dispatch)> = {
            let known = lock(&self.shared.pipelines);
            let unique: HashMap<&String, &Dispatch> = sources
                .iter()
                .zip(dispatches.iter().copied())
                .filter(|(source, _)| !known.contains_key(*source))
                .collect();
            let mut missing: Vec<_> = unique.into_iter().collect();
            missing.sort_by_key(|(source, _)| source.as_str());
            missing
        };
        let workers = std::thread::available_parallelism().map_or(1, |n| n.get()).min(missing.len());
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || -> Result<(), GpuError> {
            while let Some((source, dispatch)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                let pipeline = self.compile(source, dispatch)?;
                lock(&self.shared.pipelines).insert((*source).clone(), Arc::new(pipeline));
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, missing.len());
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            handles.into_iter().try_for_each(|handle| {
                handle.join().unwrap_or_else(|_| {
                    Err(GpuError::Validation {
                        doing: "compiling a shader".into(),
                        what: "the compiler panicked".into(),
                    })
                })
            })
        })?;
        let known = lock(&self.shared.pipelines);
        sources
            .iter()
            .map(|source| {
                known.get(source).cloned().ok_or_else(|| GpuError::Validation {
                    doing: "compiling a shader".into(),
                    what: "a pipeline is missing".into(),
                })
            })
            .collect()
    }

    /// Number of distinct pipelines compiled on this device so far.
    pub fn pipeline_count(&self) -> usize {
        lock(&self.shared.pipelines).len()
    }

    fn compile(&self, source: &str, dispatch: &Dispatch) -> Result<Pipeline, GpuError> {
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
            let params = wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Uniform,
                    has_dynamic_offset: true,
                    min_binding_size: None,
                },
                count: None,
            };
            let entries: Vec<wgpu::BindGroupLayoutEntry> = std::iter::once(params)
                .chain(dispatch.bindings.iter().zip(1..).map(|(binding, index)| wgpu::BindGroupLayoutEntry {
                    binding: index,
                    visibility: wgpu::ShaderStages::COMPUTE,
                    ty: binding_type(binding),
                    count: None,
                }))
                .collect();
            let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
            let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label,
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label,
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            });
            Pipeline { pipeline, layout }
        })
    }
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
