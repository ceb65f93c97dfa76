//! A plan made ready on a device: buffers, pipelines, bind groups and one parameter buffer.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::device::Device;
use super::memory::SharedWeights;
use super::pipeline::{PARAMS_STRIDE, Pipeline};
use super::reading::Staging;
use super::shared::{Twins, image_copies, twin};
use crate::error::GpuError;
use crate::kernels::{Dispatch, Form};
use crate::plan::{Action, BufferRef, Image, Plan, Resource, padded};

/// A plan with everything it needs on a device. Running it allocates nothing.
pub struct Executable {
    pub(super) device: Device,
    pub(super) plan: Arc<Plan>,
    pub(super) own: Bound,
    pub(super) staging: wgpu::Buffer,
    pub(super) readings: Staging,
    pipelines: Vec<Arc<Pipeline>>,
    params: wgpu::Buffer,
    constants: Vec<wgpu::Buffer>,
    pub(super) buffers: Vec<wgpu::Buffer>,
    /// Images that share their memory with a slot, by slot and elements of a texel.
    twins: Twins,
    /// The plan's other images.
    images: Vec<Option<wgpu::Texture>>,
}

/// The actions of a plan tied to particular input and output buffers.
pub struct Bound {
    /// The buffers that hold the inputs, in the plan's order.
    pub inputs: Vec<wgpu::Buffer>,
    /// The buffers that take the outputs, in the plan's order.
    pub outputs: Vec<wgpu::Buffer>,
    pub(super) steps: Vec<Vec<BoundAction>>,
}

pub(super) enum BoundAction {
    CopyToImage { buffer: wgpu::Buffer, offset: u64, texture: wgpu::Texture, image: Image, texels: u32 },
    Copy { source: (wgpu::Buffer, u64), target: (wgpu::Buffer, u64), bytes: u64 },
    Dispatch { pipeline: Arc<Pipeline>, group: wgpu::BindGroup, offset: u32, workgroups: [u32; 3] },
}

impl Executable {
    /// Allocates, uploads and compiles what a plan needs. `progress(done, total)` counts compiled pipelines.
    ///
    /// # Errors
    /// [`GpuError`] when memory runs out, a shader is refused, or the device is lost.
    pub fn compile(
        device: &Device,
        plan: Arc<Plan>,
        weights: &SharedWeights,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Executable, GpuError> {
        let dispatches: Vec<&Dispatch> = plan
            .steps
            .iter()
            .flat_map(|step| &step.actions)
            .filter_map(|action| match action {
                Action::Dispatch { dispatch, .. } => Some(dispatch),
                _ => None,
            })
            .collect();
        let pipelines = device.pipelines(&dispatches, progress)?;
        let params_bytes = dispatches.iter().map(|dispatch| params_bytes(dispatch)).sum::<u64>().max(PARAMS_STRIDE);
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let params = device.buffer("parameters", params_bytes, usage)?;
        let mut words = Vec::new();
        for dispatch in &dispatches {
            words.extend_from_slice(&dispatch.params);
            words.resize((words.len() * 4).next_multiple_of(PARAMS_STRIDE as usize) / 4, 0u32);
        }
        if !words.is_empty() {
            device.scoped("writing parameters", || {
                device.shared.queue.write_buffer(&params, 0, bytemuck::cast_slice(&words));
            })?;
        }
        let constants =
            plan.constants.iter().map(|constant| weights.buffer(device, constant)).collect::<Result<Vec<_>, _>>()?;
        let (buffers, twins) = device.intermediates(&plan)?;
        let copied: BTreeSet<usize> = image_copies(&plan)
            .filter(|&(source, image)| twin(&plan, &twins, source, image).is_none())
            .map(|c| c.1)
            .collect();
        let images = plan
            .images
            .iter()
            .enumerate()
            .map(|(i, &image)| match image.constant.and_then(|constant| plan.constants.get(constant)) {
                Some(constant) => weights.image(device, constant, image).map(Some),
                None => copied.contains(&i).then(|| device.texture(image)).transpose(),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let port_buffers = |ports: &[crate::plan::Port]| {
            ports.iter().map(|port| device.tensor_buffer(&port.name, &port.ty)).collect::<Result<Vec<_>, _>>()
        };
        let (inputs, outputs) = (port_buffers(&plan.inputs)?, port_buffers(&plan.outputs)?);
        let staging_bytes = plan.outputs.iter().map(|port| padded(&port.ty)).sum::<u64>().max(16);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = device.buffer("readback", staging_bytes, usage)?;
        let empty = Bound { inputs: Vec::new(), outputs: Vec::new(), steps: Vec::new() };
        let mut executable = Executable {
            device: device.clone(),
            plan,
            own: empty,
            staging,
            readings: Staging::default(),
            pipelines,
            params,
            constants,
            buffers,
            twins,
            images,
        };
        executable.own = executable.bind(inputs, outputs)?;
        Ok(executable)
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Ties the plan to the caller's own buffers; the run then never copies through the host.
    ///
    /// Buffers need `STORAGE`, and `COPY_SRC` (inputs) or `COPY_DST` (outputs); their size is that of the tensor rounded
    /// up to a multiple of 16 bytes.
    ///
    /// # Errors
    /// [`GpuError::Binding`] when a buffer is missing, too small, or lacks a usage.
    pub fn bind(&self, inputs: Vec<wgpu::Buffer>, outputs: Vec<wgpu::Buffer>) -> Result<Bound, GpuError> {
        check_buffers(&self.plan.inputs, &inputs, wgpu::BufferUsages::COPY_SRC)?;
        check_buffers(&self.plan.outputs, &outputs, wgpu::BufferUsages::COPY_DST)?;
        let mut bound = Bound { inputs, outputs, steps: Vec::with_capacity(self.plan.steps.len()) };
        let mut pipelines = self.pipelines.iter();
        let mut offset = 0u64;
        // What stands for each image at present.
        let mut images = self.images.clone();
        for step in &self.plan.steps {
            let mut actions = Vec::with_capacity(step.actions.len());
            for action in &step.actions {
                if let Action::CopyToImage { source, image, .. } = action {
                    let twin = twin(&self.plan, &self.twins, *source, *image);
                    let stands = images.get_mut(*image).ok_or_else(|| missing("an image"))?;
                    *stands = twin.or_else(|| self.images.get(*image)?.as_ref()).cloned();
                    if twin.is_some() {
                        continue;
                    }
                }
                actions.push(match action {
                    Action::CopyToImage { source, image, texels } => {
                        let source = self.resolve(*source, &bound)?;
                        BoundAction::CopyToImage {
                            buffer: source.buffer().clone(),
                            offset: source.offset(),
                            texture: find(&images, *image)?.clone(),
                            image: *self.plan.images.get(*image).ok_or_else(|| missing("an image"))?,
                            texels: *texels,
                        }
                    }
                    Action::Copy { source, target, bytes } => {
                        let (source, target) = (self.resolve(*source, &bound)?, self.resolve(*target, &bound)?);
                        BoundAction::Copy {
                            source: (source.buffer().clone(), source.offset()),
                            target: (target.buffer().clone(), target.offset()),
                            bytes: *bytes,
                        }
                    }
                    Action::Dispatch { dispatch, resources } => {
                        let pipeline = pipelines.next().ok_or_else(|| missing("a pipeline"))?.clone();
                        let group = self.bind_group(dispatch, resources, &pipeline, (&bound, &images))?;
                        let action = BoundAction::Dispatch {
                            pipeline,
                            group,
                            offset: offset as u32,
                            workgroups: dispatch.workgroups,
                        };
                        offset += params_bytes(dispatch);
                        action
                    }
                });
            }
            bound.steps.push(actions);
        }
        Ok(bound)
    }

    fn bind_group(
        &self,
        dispatch: &Dispatch,
        resources: &[Resource],
        pipeline: &Pipeline,
        (bound, images): (&Bound, &[Option<wgpu::Texture>]),
    ) -> Result<wgpu::BindGroup, GpuError> {
        let views: Vec<Option<wgpu::TextureView>> = resources
            .iter()
            .map(|resource| match resource {
                Resource::Image(image) => {
                    Ok(Some(find(images, *image)?.create_view(&wgpu::TextureViewDescriptor::default())))
                }
                Resource::Buffer(_) => Ok(None),
            })
            .collect::<Result<_, GpuError>>()?;
        let block = (dispatch.params.len() as u64 * 4).next_multiple_of(16).max(16);
        let mut entries = vec![wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &self.params,
                offset: 0,
                size: wgpu::BufferSize::new(block),
            }),
        }];
        for (((resource, view), bound_as), binding) in resources.iter().zip(&views).zip(&dispatch.bindings).zip(1..) {
            let resource = match (resource, view) {
                (Resource::Buffer(buffer), _) => {
                    let range = self.resolve(*buffer, bound)?;
                    // A buffer may be larger than a uniform binding may be.
                    let bytes = match bound_as.form {
                        Form::Uniform { vectors } => u64::from(vectors) * 16,
                        _ => range.size(),
                    };
                    wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: range.buffer(),
                        offset: range.offset(),
                        size: wgpu::BufferSize::new(bytes),
                    })
                }
                (Resource::Image(_), Some(view)) => wgpu::BindingResource::TextureView(view),
                (Resource::Image(_), None) => return Err(missing("an image")),
            };
            entries.push(wgpu::BindGroupEntry { binding, resource });
        }
        self.device.scoped(&format!("the bindings of `{}`", dispatch.shader.stem), || {
            self.device.shared.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(dispatch.shader.stem),
                layout: &pipeline.layout,
                entries: &entries,
            })
        })
    }

    /// The range of a buffer that a plan's buffer is.
    pub(super) fn resolve<'a>(
        &'a self,
        buffer: BufferRef,
        bound: &'a Bound,
    ) -> Result<wgpu::BufferSlice<'a>, GpuError> {
        let whole = |buffers: &'a [wgpu::Buffer], i: usize| buffers.get(i).map(|buffer| buffer.slice(..));
        let range = match buffer {
            BufferRef::Input(i) => whole(&bound.inputs, i),
            BufferRef::Output(i) => whole(&bound.outputs, i),
            BufferRef::Constant(i) => whole(&self.constants, i),
            BufferRef::Slot(i) => self.plan.slots.get(i).and_then(|slot| {
                let buffer = self.buffers.get(slot.buffer)?;
                Some(buffer.slice(slot.offset..slot.offset + slot.bytes))
            }),
        };
        range.ok_or_else(|| missing("a buffer"))
    }
}

fn find(images: &[Option<wgpu::Texture>], image: usize) -> Result<&wgpu::Texture, GpuError> {
    images.get(image).and_then(Option::as_ref).ok_or_else(|| missing("an image"))
}

fn missing(what: &str) -> GpuError {
    GpuError::Validation {
        doing: "binding a plan".into(),
        what: format!("the plan names {what} that it does not have"),
    }
}

/// Room that a dispatch's parameter block takes in the parameter buffer.
fn params_bytes(dispatch: &Dispatch) -> u64 {
    (dispatch.params.len() as u64 * 4).next_multiple_of(PARAMS_STRIDE)
}

fn check_buffers(
    ports: &[crate::plan::Port],
    buffers: &[wgpu::Buffer],
    copy: wgpu::BufferUsages,
) -> Result<(), GpuError> {
    let wrong = |name: &str, what: String| Err(GpuError::Binding { name: name.into(), what });
    for (i, port) in ports.iter().enumerate() {
        let Some(buffer) = buffers.get(i) else {
            return wrong(&port.name, format!("no buffer was given for it ({} in all)", buffers.len()));
        };
        let needed = wgpu::BufferUsages::STORAGE | copy;
        if !buffer.usage().contains(needed) {
            return wrong(&port.name, format!("its buffer has the usages {:?} and needs {needed:?}", buffer.usage()));
        }
        if buffer.size() < padded(&port.ty) {
            return wrong(
                &port.name,
                format!("its buffer has {} bytes; {} needs {}", buffer.size(), port.ty, padded(&port.ty)),
            );
        }
    }
    match buffers.len() > ports.len() {
        true => wrong("binding", format!("{} buffers were given for {}", buffers.len(), ports.len())),
        false => Ok(()),
    }
}

impl std::fmt::Debug for Executable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executable").field("steps", &self.plan.steps.len()).finish_non_exhaustive()
    }
}
