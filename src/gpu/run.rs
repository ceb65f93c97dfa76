//! Running a compiled plan: upload, work and readback of all outputs in one submission.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::device::Device;
use super::executable::{Bound, BoundAction, Executable};
use super::memory::{SharedWeights, copy_to_image};
use super::reading::Reading;
use crate::error::GpuError;
use crate::plan::{Plan, stored};
use crate::tensor::{Precision, Tensor, TensorType};

impl Executable {
    /// Compiles a plan and runs it once, from outputs that start as NaN. What runs on the plan's own buffers later finds the inputs there.
    pub(crate) fn tried(device: &Device, plan: Plan, inputs: &[Tensor]) -> Result<(Executable, Vec<Tensor>), GpuError> {
        let executable = Executable::compile(device, Arc::new(plan), &SharedWeights::default(), &|_, _| {})?;
        executable.poison()?;
        executable.upload(inputs)?;
        let outputs = executable.run(inputs)?;
        Ok((executable, outputs))
    }

    /// Uploads the inputs (in the plan's order), runs, and reads the outputs back. Several threads may do so at once: their runs
    /// follow each other on the device, and each waits for its own. What [`Executable::upload`] wrote may be overwritten.
    ///
    /// # Errors
    /// [`GpuError`] when an input does not fit, the device is lost, or the results cannot be read back.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, GpuError> {
        self.begin(inputs)?.wait()
    }

    /// As [`Executable::run`], without blocking the calling thread while the device works. Drivers may block it while they take
    /// the work in: lavapipe takes a second run only when the first is over.
    ///
    /// # Errors
    /// As [`Executable::run`].
    pub async fn run_async(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, GpuError> {
        self.begin(inputs)?.ready().await
    }

    /// Where a run has no inputs and outputs of its own, upload, run and copies to the host are one submission, so that no other
    /// run comes between them.
    fn begin(&self, inputs: &[Tensor]) -> Result<Reading, GpuError> {
        let uploads = self.uploads(inputs)?;
        if let Some(reading) = self.start_in_place(inputs)? {
            return Ok(reading);
        }
        let outputs: Vec<usize> = (0..self.plan.outputs.len()).collect();
        self.start_with(&uploads, &self.own, &outputs)
    }

    /// Runs on the caller's own buffers and returns when the work is submitted; nothing passes through the host.
    ///
    /// # Errors
    /// [`GpuError`] when the device is lost or refuses the work.
    pub fn run_bound(&self, bound: &Bound) -> Result<(), GpuError> {
        self.submit(bound)
    }

    /// Writes the inputs into their buffers, for [`Executable::execute`] and the like. Those work on the plan's own buffers, which
    /// threads that do so share.
    ///
    /// # Errors
    /// [`GpuError::Binding`] when the number or the types of the inputs are not those of the plan.
    pub fn upload(&self, inputs: &[Tensor]) -> Result<(), GpuError> {
        self.upload_into(&self.uploads(inputs)?)
    }

    pub(super) fn upload_into(&self, uploads: &[(&Tensor, &wgpu::Buffer)]) -> Result<(), GpuError> {
        self.device.scoped("an upload", || -> Result<(), GpuError> {
            let mut encoder = self.encoder();
            self.staging.upload(&self.device, &mut encoder, uploads)?;
            self.device.shared.queue.submit([encoder.finish()]);
            Ok(())
        })?
    }

    /// The inputs, checked, with the buffers that they go to.
    fn uploads<'a>(&'a self, inputs: &'a [Tensor]) -> Result<Vec<(&'a Tensor, &'a wgpu::Buffer)>, GpuError> {
        let expected = &self.plan.inputs;
        if inputs.len() != expected.len() {
            let what = format!("{} inputs were given for {}", inputs.len(), expected.len());
            return Err(GpuError::Binding { name: "inputs".into(), what });
        }
        for (tensor, port) in inputs.iter().zip(expected) {
            if tensor.tensor_type() != port.ty {
                let what = format!("{} was given where {} is expected", tensor.tensor_type(), port.ty);
                return Err(GpuError::Binding { name: port.name.clone(), what });
            }
        }
        Ok(inputs.iter().zip(&self.own.inputs).collect())
    }

    /// Runs on what was uploaded last and waits for the end; the outputs stay on the device.
    ///
    /// # Errors
    /// [`GpuError`] when the device is lost or refuses the work.
    pub fn execute(&self) -> Result<(), GpuError> {
        self.submit(&self.own)?;
        self.device.wait()
    }

    /// Reads back the outputs that the last [`Executable::execute`] left. What [`Executable::run`] returns need not be in those buffers, and
    /// may have overwritten what was.
    ///
    /// # Errors
    /// [`GpuError::Readback`] when the buffers cannot be mapped.
    pub fn download(&self) -> Result<Vec<Tensor>, GpuError> {
        let outputs: Vec<usize> = (0..self.plan.outputs.len()).collect();
        let done = Bound { inputs: Vec::new(), outputs: self.own.outputs.clone(), steps: Vec::new() };
        self.start_with(&[], &done, &outputs)?.wait()
    }

    /// Runs one step after the other on what was uploaded last; `seen(step, inputs, outputs)` gets what each one read
    /// and wrote. Stops when it returns `false`.
    ///
    /// # Errors
    /// [`GpuError`] when the device is lost or refuses the work.
    pub fn run_steps(&self, seen: impl FnMut(usize, &[Tensor], &[Tensor]) -> bool) -> Result<(), GpuError> {
        self.run_bound_steps(&self.own, seen)
    }

    /// As [`Executable::run_steps`], on other buffers.
    ///
    /// # Errors
    /// As [`Executable::run_steps`].
    pub fn run_bound_steps(
        &self,
        bound: &Bound,
        mut seen: impl FnMut(usize, &[Tensor], &[Tensor]) -> bool,
    ) -> Result<(), GpuError> {
        for (position, (step, actions)) in self.plan.steps.iter().zip(&bound.steps).enumerate() {
            let read = |placements: &[crate::plan::Placement]| {
                placements
                    .iter()
                    .map(|p| self.device.read(self.resolve(p.buffer, bound)?, &p.ty, p.precision))
                    .collect::<Result<Vec<_>, _>>()
            };
            let inputs = read(&step.inputs)?;
            self.device.scoped(&format!("step `{}`", step.name), || {
                let mut encoder = self.encoder();
                encode(&mut encoder, actions, None);
                self.device.shared.queue.submit([encoder.finish()]);
            })?;
            self.device.wait()?;
            if !seen(position, &inputs, &read(&step.outputs)?) {
                break;
            }
        }
        Ok(())
    }

    /// Fills every output and intermediate buffer with NaN, so that a test sees elements that no kernel wrote.
    ///
    /// # Errors
    /// [`GpuError`] when the device is lost.
    pub fn poison(&self) -> Result<(), GpuError> {
        for buffer in self.own.outputs.iter().chain(&self.buffers) {
            // All bits set are NaN in f32 and in f16.
            let nan = vec![0xff; buffer.size() as usize];
            self.device.scoped("poisoning", || self.device.shared.queue.write_buffer(buffer, 0, &nan))?;
        }
        self.poison_ports()
    }

    fn submit(&self, bound: &Bound) -> Result<(), GpuError> {
        let submission = self.device.scoped("a run", || {
            let mut encoder = self.encoder();
            encode_bound(&mut encoder, bound);
            self.device.shared.queue.submit([encoder.finish()])
        })?;
        self.device.took(submission)
    }

    pub(super) fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.shared.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("wgconv") })
    }
}

impl Device {
    /// Waits until everything submitted so far is done.
    ///
    /// # Errors
    /// [`GpuError::Lost`] when the device was lost meanwhile.
    pub fn wait(&self) -> Result<(), GpuError> {
        self.poll(wgpu::PollType::wait_indefinitely())
    }

    /// Fails when the device never took a submission. A lost one says nothing, and calls it done.
    pub(super) fn took(&self, submission: wgpu::SubmissionIndex) -> Result<(), GpuError> {
        self.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(Duration::ZERO) })
    }

    /// Lets wgpu call back; a wait that its time ran out for is no failure.
    pub(super) fn poll(&self, how: wgpu::PollType) -> Result<(), GpuError> {
        let polled = self.shared.device.poll(how);
        self.check()?;
        match polled {
            Ok(_) | Err(wgpu::PollError::Timeout) => Ok(()),
            // Work that was submitted and never taken. Another thread may be about to hear why.
            Err(wgpu::PollError::WrongSubmissionIndex(..)) => {
                let unheard = GpuError::Lost { reason: "it takes no more work".into() };
                Err(self.explained(unheard))
            }
        }
    }

    /// Reads a tensor at the start of a range back.
    pub(super) fn read(
        &self,
        source: wgpu::BufferSlice<'_>,
        ty: &TensorType,
        precision: Precision,
    ) -> Result<Tensor, GpuError> {
        let bytes = stored(ty, precision);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.buffer("readback", bytes, usage)?;
        let (send, receive) = mpsc::channel();
        self.scoped("a readback", || {
            let mut encoder = self.shared.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(source.buffer(), source.offset(), &staging, 0, bytes);
            self.shared.queue.submit([encoder.finish()]);
            staging.map_async(wgpu::MapMode::Read, .., move |result| {
                let _ = send.send(result);
            });
        })?;
        self.wait()?;
        let wrong = |e: String| self.explained(GpuError::Readback(e));
        receive.recv().map_err(|e| wrong(e.to_string()))?.map_err(|e| wrong(e.to_string()))?;
        let view = staging.get_mapped_range(..).map_err(|e| wrong(e.to_string()))?;
        tensor(ty, precision, view.get(..))
    }
}

/// The tensor in the first bytes of a buffer.
pub(super) fn tensor(ty: &TensorType, precision: Precision, bytes: Option<&[u8]>) -> Result<Tensor, GpuError> {
    let needed = ty.shape.elements() * precision.size() as usize;
    let bytes = bytes.and_then(|bytes| bytes.get(..needed));
    let bytes = bytes.ok_or_else(|| GpuError::Readback("the staging buffer is too small".into()))?;
    Tensor::from_f32(ty.shape.clone(), precision.load(bytes)).map_err(|e| GpuError::Readback(e.to_string()))
}

/// Encodes all steps of a plan, in as few passes as its copies allow.
pub(super) fn encode_bound(encoder: &mut wgpu::CommandEncoder, bound: &Bound) {
    let mut pass = None;
    for actions in &bound.steps {
        pass = encode_into(encoder, pass, actions);
    }
}

/// Encodes the actions of one step into passes of their own; timestamps go around the first and last pass.
pub(super) fn encode(
    encoder: &mut wgpu::CommandEncoder,
    actions: &[BoundAction],
    timestamps: Option<(&wgpu::QuerySet, u32)>,
) {
    let last = actions.iter().rposition(|action| matches!(action, BoundAction::Dispatch { .. }));
    let first = actions.iter().position(|action| matches!(action, BoundAction::Dispatch { .. }));
    for (position, action) in actions.iter().enumerate() {
        let writes = timestamps.map(|(query_set, index)| wgpu::ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: (Some(position) == first).then_some(index),
            end_of_pass_write_index: (Some(position) == last).then_some(index + 1),
        });
        let writes =
            writes.filter(|w| w.beginning_of_pass_write_index.is_some() || w.end_of_pass_write_index.is_some());
        match action {
            BoundAction::Dispatch { .. } => {
                let mut pass =
                    encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes: writes });
                dispatch(&mut pass, action);
            }
            copy => encode_copy(encoder, copy),
        }
    }
}

type Pass = wgpu::ComputePass<'static>;

/// Encodes the actions of one step, in the open pass as far as they are dispatches; copies end it.
fn encode_into(encoder: &mut wgpu::CommandEncoder, pass: Option<Pass>, actions: &[BoundAction]) -> Option<Pass> {
    let mut pass = pass;
    for action in actions {
        match action {
            BoundAction::Dispatch { .. } => {
                let open = pass.get_or_insert_with(|| {
                    encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime()
                });
                dispatch(open, action);
            }
            copy => {
                drop(pass.take());
                encode_copy(encoder, copy);
            }
        }
    }
    pass
}

fn dispatch(pass: &mut wgpu::ComputePass<'_>, action: &BoundAction) {
    if let BoundAction::Dispatch { pipeline, group, offset, workgroups: [x, y, z] } = action {
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, group, &[*offset]);
        pass.dispatch_workgroups(*x, *y, *z);
    }
}

fn encode_copy(encoder: &mut wgpu::CommandEncoder, action: &BoundAction) {
    match action {
        BoundAction::CopyToImage { buffer, offset, texture, image, texels } => {
            copy_to_image(encoder, (buffer, *offset), texture, *image, *texels);
        }
        BoundAction::Copy { source, target, bytes } => {
            encoder.copy_buffer_to_buffer(&source.0, source.1, &target.0, target.1, *bytes);
        }
        BoundAction::Dispatch { .. } => {}
    }
}
