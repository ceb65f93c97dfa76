//! A plan made ready on a device: buffers, pipelines, bind groups and one parameter buffer.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use super::device::Device;
use super::memory::SharedWeights;
use super::pipeline::{PARAMS_STRIDE, Pipeline, PipelineTimes};
use super::run::encode;
use super::shared::{Twins, twin};
use super::staging::Staging;
use crate::error::GpuError;
use crate::kernels::{Dispatch, Form};
use crate::plan::{Action, BufferRef, Image, Plan, Port, Resource, padded};

/// A plan with everything it needs on a device. Once staging buffers have been made for as many runs as overlap, running it
/// allocates nothing.
pub struct Executable {
    pub(super) device: Device,
    pub(super) plan: Arc<Plan>,
    pub(super) own: Bound,
    pub(super) staging: Arc<Staging>,
    pub(super) buffers: Vec<wgpu::Buffer>,
    pipelines: Vec<Arc<Pipeline>>,
    times: PipelineTimes,
    params: wgpu::Buffer,
    constants: Vec<wgpu::Buffer>,
    /// Images that share their memory with buffers of the plan's own.
    twins: Twins,
    /// The plan's other images. What is copied into in a run is made when something is bound that needs the copy.
    images: Vec<OnceLock<wgpu::Texture>>,
    /// Whether the device has no memory for inputs and outputs that the host reaches.
    pub(super) no_ports: AtomicBool,
}

/// The actions of a plan tied to particular input and output buffers.
pub struct Bound {
    /// The buffers that hold the inputs, in the plan's order.
    pub inputs: Vec<wgpu::Buffer>,
    /// The buffers that take the outputs, in the plan's order.
    pub outputs: Vec<wgpu::Buffer>,
    pub(super) steps: Vec<Vec<BoundAction>>,
}

/// A dispatch of a plan, what it binds, and where its parameters lie.
struct Work<'a> {
    dispatch: &'a Dispatch,
    resources: &'a [Resource],
    offset: u32,
    /// The actions that come last before it to each image that it binds.
    copies: Vec<&'a Action>,
}

pub(super) enum BoundAction {
    CopyToImage { buffer: wgpu::Buffer, offset: u64, texture: wgpu::Texture, image: Image, texels: u32 },
    Copy { source: (wgpu::Buffer, u64), target: (wgpu::Buffer, u64), bytes: u64 },
    Dispatch { pipeline: Arc<Pipeline>, group: wgpu::BindGroup, offset: u32, workgroups: [u32; 3] },
}

impl Executable {
    /// Allocates, uploads and compiles what a plan needs, side by side. `progress(done, total)` counts pipelines that are ready.
    ///
    /// Every new pipeline is dispatched once with a single workgroup, and waited for: drivers that translate shaders at the first
    /// dispatch then do it while others are compiled, and no run has to.
    ///
    /// # Errors
    /// [`GpuError`] when memory runs out, a shader is refused, or the device is lost.
    pub fn compile(
        device: &Device,
        plan: Arc<Plan>,
        weights: &SharedWeights,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Executable, GpuError> {
        let mut work: Vec<Work<'_>> = Vec::new();
        let mut offset = 0;
        let mut copied: Vec<Option<&Action>> = vec![None; plan.images.len()];
        for action in plan.steps.iter().flat_map(|step| &step.actions) {
            match action {
                Action::CopyToImage { image, .. } => {
                    if let Some(last) = copied.get_mut(*image) {
                        *last = Some(action);
                    }
                }
                Action::Copy { .. } => {}
                Action::Dispatch { dispatch, resources } => {
                    let copy = |resource: &Resource| match *resource {
                        Resource::Image(image) => copied.get(image).copied().flatten(),
                        Resource::Buffer(_) => None,
                    };
                    let copies = resources.iter().filter_map(copy).collect();
                    work.push(Work { dispatch, resources, offset, copies });
                    offset += params_bytes(dispatch) as u32;
                }
            }
        }
        let dispatches: Vec<&Dispatch> = work.iter().map(|work| work.dispatch).collect();
        let configurations: Vec<String> = dispatches.iter().map(|dispatch| dispatch.configuration()).collect();
        let missing = device.missing(&configurations);
        let (send, finished) = mpsc::channel();
        let mut executable = std::thread::scope(|scope| -> Result<Executable, GpuError> {
            let compiling = scope.spawn(|| device.compile_missing(&dispatches, &configurations, &missing, send));
            let mut executable = Executable::allocate(device, plan.clone(), weights, &dispatches)?;
            executable.touch_all(&work, missing.len(), finished, progress)?;
            executable.times = compiling.join().unwrap_or_else(|_| {
                Err(GpuError::Validation { doing: "compiling".into(), what: "a thread panicked".into() })
            })?;
            Ok(executable)
        })?;
        if !missing.is_empty()
            && let Some(cache) = device.shared.driver_cache.get()
        {
            cache.save();
        }
        executable.pipelines = device.pipelines(&configurations)?;
        executable.own = executable.bind(executable.own.inputs.clone(), executable.own.outputs.clone())?;
        Ok(executable)
    }

    /// Dispatches every pipeline once as it comes in, and waits until the device has done so.
    fn touch_all(
        &self,
        work: &[Work<'_>],
        total: usize,
        finished: mpsc::Receiver<(usize, Arc<Pipeline>)>,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<(), GpuError> {
        const PATIENCE: Duration = Duration::from_millis(50);
        let mut touched = 0;
        let done = Arc::new(AtomicUsize::new(0));
        let report = || progress(done.load(Ordering::Relaxed), total);
        loop {
            match finished.recv_timeout(PATIENCE) {
                Ok((position, pipeline)) => {
                    if let Some(work) = work.get(position) {
                        self.touch(work, &pipeline)?;
                        touched += 1;
                        let done = done.clone();
                        self.device.shared.queue.on_submitted_work_done(move || {
                            done.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            self.device.poll(wgpu::PollType::Poll)?;
            report();
        }
        while done.load(Ordering::Relaxed) < touched {
            self.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(PATIENCE) })?;
            report();
        }
        Ok(())
    }

    /// Everything but the pipelines and what is bound to them.
    fn allocate(
        device: &Device,
        plan: Arc<Plan>,
        weights: &SharedWeights,
        dispatches: &[&Dispatch],
    ) -> Result<Executable, GpuError> {
        let params_bytes = dispatches.iter().map(|dispatch| params_bytes(dispatch)).sum::<u64>().max(PARAMS_STRIDE);
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let params = device.buffer("parameters", params_bytes, usage)?;
        let mut words = Vec::new();
        for dispatch in dispatches {
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
        let ([inputs, outputs, buffers], twins) = device.plan_buffers(&plan)?;
        let image = |&image: &Image| match image.constant.and_then(|constant| plan.constants.get(constant)) {
            Some(constant) => weights.image(device, constant, image).map(OnceLock::from),
            None => Ok(OnceLock::new()),
        };
        let images = plan.images.iter().map(image).collect::<Result<Vec<_>, _>>()?;
        Ok(Executable {
            device: device.clone(),
            plan,
            own: Bound { inputs, outputs, steps: Vec::new() },
            staging: Arc::default(),
            buffers,
            pipelines: Vec::new(),
            times: PipelineTimes::default(),
            params,
            constants,
            twins,
            images,
            no_ports: AtomicBool::new(false),
        })
    }

    /// Dispatches one workgroup of a pipeline, on whatever is in the plan's own buffers: every run writes what it reads.
    fn touch(&self, work: &Work<'_>, pipeline: &Arc<Pipeline>) -> Result<(), GpuError> {
        let mut images = self.standing();
        for copy in &work.copies {
            self.stand_in(&mut images, copy, (&self.own, &self.twins))?;
        }
        let group = self.bind_group(work.dispatch, work.resources, pipeline, (&self.own, &images))?;
        let (pipeline, offset) = (pipeline.clone(), work.offset);
        let action = BoundAction::Dispatch { pipeline, group, offset, workgroups: [1; 3] };
        self.device.scoped("a first dispatch", || {
            let mut encoder = self.encoder();
            encode(&mut encoder, &[action], None);
            self.device.shared.queue.submit([encoder.finish()]);
        })
    }

    /// What stands for each image before the first step.
    fn standing(&self) -> Vec<Option<wgpu::Texture>> {
        self.images.iter().map(|image| image.get().cloned()).collect()
    }

    /// Notes what stands for an image from an action on; whether that is a buffer's own memory, so that nothing is to be copied.
    fn stand_in(
        &self,
        images: &mut [Option<wgpu::Texture>],
        action: &Action,
        (bound, twins): (&Bound, &Twins),
    ) -> Result<bool, GpuError> {
        let Action::CopyToImage { source, image, .. } = action else { return Ok(false) };
        let range = self.resolve(*source, bound)?;
        let planned = self.plan.images.get(*image).ok_or_else(|| missing("an image"))?;
        let twin = twin(&self.twins, &range, planned).or_else(|| twin(twins, &range, planned));
        let stands = images.get_mut(*image).ok_or_else(|| missing("an image"))?;
        *stands = Some(match twin {
            Some(twin) => twin.clone(),
            None => self.image(*image)?,
        });
        Ok(twin.is_some())
    }

    /// An image of the plan that is copied into, made on first use.
    fn image(&self, image: usize) -> Result<wgpu::Texture, GpuError> {
        let (made, planned) =
            self.images.get(image).zip(self.plan.images.get(image)).ok_or_else(|| missing("an image"))?;
        match made.get() {
            Some(texture) => Ok(texture.clone()),
            None => {
                let texture = self.device.texture(*planned)?;
                Ok(made.get_or_init(|| texture).clone())
            }
        }
    }

    /// What compiling its pipelines took.
    pub fn pipeline_times(&self) -> PipelineTimes {
        self.times
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Ties the plan to the caller's own buffers; the run then never copies through the host.
    ///
    /// Buffers need `STORAGE`, and `COPY_SRC` (inputs) or `COPY_DST` (outputs); those that a kernel reads as uniform, such as small
    /// filters, `UNIFORM` as well, and outputs that are copied from `COPY_SRC`: to the host by [`Executable::start`], to images, or
    /// to another output of the same value. Their size is that of the tensor rounded up to a multiple of 16 bytes.
    /// [`Device::tensor_buffer`] makes buffers that have it all.
    ///
    /// # Errors
    /// [`GpuError::Binding`] when a buffer is missing, too small, lacks a usage, or is an output and something else as well.
    pub fn bind(&self, inputs: Vec<wgpu::Buffer>, outputs: Vec<wgpu::Buffer>) -> Result<Bound, GpuError> {
        self.bind_with(inputs, outputs, &self.twins)
    }

    /// As [`Executable::bind`], with images that share their memory with these buffers.
    pub(super) fn bind_with(
        &self,
        inputs: Vec<wgpu::Buffer>,
        outputs: Vec<wgpu::Buffer>,
        twins: &Twins,
    ) -> Result<Bound, GpuError> {
        let further = usages(&self.plan);
        let needs = |buffer, always| further.get(&buffer).copied().unwrap_or(always) | always;
        let (from, to) = (wgpu::BufferUsages::COPY_SRC, wgpu::BufferUsages::COPY_DST);
        check_buffers(&self.plan.inputs, &inputs, |i| needs(BufferRef::Input(i), from))?;
        check_buffers(&self.plan.outputs, &outputs, |i| needs(BufferRef::Output(i), to))?;
        let mut taken: HashSet<&wgpu::Buffer> = inputs.iter().collect();
        for (port, buffer) in self.plan.outputs.iter().zip(&outputs) {
            if !taken.insert(buffer) {
                let what =
                    "its buffer is that of an input or another output, too, and would be written before it is read";
                return Err(GpuError::Binding { name: port.name.clone(), what: what.into() });
            }
        }
        let mut bound = Bound { inputs, outputs, steps: Vec::with_capacity(self.plan.steps.len()) };
        let mut pipelines = self.pipelines.iter();
        let mut offset = 0u64;
        // What stands for each image at present.
        let mut images = self.standing();
        for step in &self.plan.steps {
            let mut actions = Vec::with_capacity(step.actions.len());
            for action in &step.actions {
                if self.stand_in(&mut images, action, (&bound, twins))? {
                    continue;
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
                        let at = |(buffer, start): &(BufferRef, u64)| {
                            let range = self.resolve(*buffer, &bound)?;
                            Ok::<_, GpuError>((range.buffer().clone(), range.offset() + start))
                        };
                        BoundAction::Copy { source: at(source)?, target: at(target)?, bytes: *bytes }
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
                layout: &pipeline.layout.group,
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
        // The caller's buffers may be larger than what the plan binds.
        let port = |ports: &[Port], buffers: &'a [wgpu::Buffer], i: usize| {
            ports.get(i).zip(buffers.get(i)).map(|(port, buffer)| buffer.slice(..padded(&port.ty)))
        };
        let range = match buffer {
            BufferRef::Input(i) => port(&self.plan.inputs, &bound.inputs, i),
            BufferRef::Output(i) => port(&self.plan.outputs, &bound.outputs, i),
            BufferRef::Constant(i) => self.constants.get(i).map(|buffer| buffer.slice(..)),
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

/// What the actions of a plan need of the buffers that they read and write, beside `STORAGE`.
fn usages(plan: &Plan) -> HashMap<BufferRef, wgpu::BufferUsages> {
    let mut found = HashMap::new();
    let mut needs = |buffer: BufferRef, usage| *found.entry(buffer).or_insert(usage) |= usage;
    for action in plan.steps.iter().flat_map(|step| &step.actions) {
        match action {
            Action::CopyToImage { source, .. } => needs(*source, wgpu::BufferUsages::COPY_SRC),
            Action::Copy { source, target, .. } => {
                needs(source.0, wgpu::BufferUsages::COPY_SRC);
                needs(target.0, wgpu::BufferUsages::COPY_DST);
            }
            Action::Dispatch { dispatch, resources } => {
                for (binding, resource) in dispatch.bindings.iter().zip(resources) {
                    if let (Form::Uniform { .. }, Resource::Buffer(buffer)) = (binding.form, resource) {
                        needs(*buffer, wgpu::BufferUsages::UNIFORM);
                    }
                }
            }
        }
    }
    found
}

/// Checks buffers for ports; `usage` says what the one at a position needs beside `STORAGE`.
fn check_buffers(
    ports: &[Port],
    buffers: &[wgpu::Buffer],
    usage: impl Fn(usize) -> wgpu::BufferUsages,
) -> Result<(), GpuError> {
    let wrong = |name: &str, what: String| Err(GpuError::Binding { name: name.into(), what });
    for (i, port) in ports.iter().enumerate() {
        let Some(buffer) = buffers.get(i) else {
            return wrong(&port.name, format!("no buffer was given for it ({} in all)", buffers.len()));
        };
        let needed = wgpu::BufferUsages::STORAGE | usage(i);
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
