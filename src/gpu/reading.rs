//! Runs whose results are waited for later, and variables that a run reads and writes.

use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use super::device::{Device, lock};
use super::executable::{Bound, Executable};
use super::ports::Ports;
use super::run::{encode_bound, tensor};
use super::staging::Staging;
use crate::error::GpuError;
use crate::plan::padded;
use crate::tensor::{Precision, Tensor, TensorType};

/// A run under way, with the outputs that come back from it.
pub struct Reading {
    device: Device,
    source: Source,
    staging: Arc<Staging>,
    types: Vec<TensorType>,
    submission: wgpu::SubmissionIndex,
    arrival: Arc<Mutex<Arrival>>,
}

/// Where the host finds the outputs.
pub(super) enum Source {
    /// In a buffer that they are copied to, one after the other.
    Staged(wgpu::Buffer),
    /// Where the run writes them.
    InPlace(Ports),
}

/// Whether the host may read the outputs, and who wants to know.
#[derive(Default)]
pub(super) struct Arrival {
    result: Option<Result<(), String>>,
    waker: Option<Waker>,
}

impl Arrival {
    pub(super) fn set(&mut self, result: Result<(), String>) {
        self.result = Some(result);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Executable {
    /// Starts a run and returns at once; only the outputs at the positions `outputs` come back to the host. Their buffers need
    /// `COPY_SRC`.
    ///
    /// # Errors
    /// [`GpuError`] when the device is lost or refuses the work.
    pub fn start(&self, bound: &Bound, outputs: &[usize]) -> Result<Reading, GpuError> {
        self.start_with(&[], bound, outputs)
    }

    /// As [`Executable::start`], after these tensors have been copied into these buffers.
    pub(super) fn start_with(
        &self,
        uploads: &[(&Tensor, &wgpu::Buffer)],
        bound: &Bound,
        outputs: &[usize],
    ) -> Result<Reading, GpuError> {
        let chosen: Vec<_> = outputs
            .iter()
            .map(|&output| self.plan.outputs.get(output).zip(bound.outputs.get(output)))
            .collect::<Option<_>>()
            .ok_or_else(|| GpuError::Readback(format!("there are no outputs {outputs:?}")))?;
        if let Some((port, _)) =
            chosen.iter().find(|(_, output)| !output.usage().contains(wgpu::BufferUsages::COPY_SRC))
        {
            let what = "its buffer lacks the usage COPY_SRC, by which it comes back to the host".into();
            return Err(GpuError::Binding { name: port.name.clone(), what });
        }
        let bytes = chosen.iter().map(|(port, _)| padded(&port.ty)).sum::<u64>().max(16);
        let buffer = self.staging.readback(&self.device, bytes)?;
        let arrival: Arc<Mutex<Arrival>> = Arc::default();
        let arrived = arrival.clone();
        let submission = self.device.scoped("a run", || -> Result<wgpu::SubmissionIndex, GpuError> {
            let mut encoder = self.encoder();
            self.staging.upload(&self.device, &mut encoder, uploads)?;
            encode_bound(&mut encoder, bound);
            let mut offset = 0;
            for (port, output) in &chosen {
                encoder.copy_buffer_to_buffer(output, 0, &buffer, offset, padded(&port.ty));
                offset += padded(&port.ty);
            }
            encoder.map_buffer_on_submit(&buffer, wgpu::MapMode::Read, .., move |result| {
                lock(&arrived).set(result.map_err(|e| e.to_string()));
            });
            Ok(self.device.shared.queue.submit([encoder.finish()]))
        })??;
        let types = chosen.iter().map(|(port, _)| port.ty.clone()).collect();
        Ok(self.reading(Source::Staged(buffer), types, submission, arrival))
    }

    /// The run that was submitted last.
    pub(super) fn reading(
        &self,
        source: Source,
        types: Vec<TensorType>,
        submission: wgpu::SubmissionIndex,
        arrival: Arc<Mutex<Arrival>>,
    ) -> Reading {
        Reading { device: self.device.clone(), source, staging: self.staging.clone(), types, submission, arrival }
    }

    /// Ties the plan to `variables`: `ports` says, for every variable that the plan knows, its position, the input that
    /// reads it, and the output that becomes its next value, if any. All other inputs and outputs are the plan's own.
    ///
    /// # Errors
    /// [`GpuError::Binding`] when a variable does not fit.
    pub fn bind_variables(
        &self,
        variables: &Variables,
        ports: &[(usize, usize, Option<usize>)],
    ) -> Result<Bound, GpuError> {
        let (mut inputs, mut outputs) = (self.own.inputs.clone(), self.own.outputs.clone());
        for &(variable, input, output) in ports {
            let (now, next) = variables.buffers.get(variable).ok_or_else(|| {
                let what = format!("there is no variable {variable} among {}", variables.buffers.len());
                GpuError::Binding { name: "variables".into(), what }
            })?;
            inputs.get_mut(input).into_iter().for_each(|slot| *slot = now.clone());
            output.and_then(|output| outputs.get_mut(output)).into_iter().for_each(|slot| *slot = next.clone());
        }
        self.bind(inputs, outputs)
    }

    /// Writes one input into the plan's own buffer.
    ///
    /// # Errors
    /// [`GpuError::Binding`] when the type is not that of the plan.
    pub fn upload_input(&self, input: usize, tensor: &Tensor) -> Result<(), GpuError> {
        match self.plan.inputs.get(input).zip(self.own.inputs.get(input)) {
            Some((port, buffer)) if tensor.tensor_type() == port.ty => self.upload_into(&[(tensor, buffer)]),
            found => {
                let (name, expected) =
                    found.map_or(("?".into(), "no input".into()), |(port, _)| (port.name.clone(), port.ty.to_string()));
                let what = format!("{} was given where {expected} is expected", tensor.tensor_type());
                Err(GpuError::Binding { name, what })
            }
        }
    }
}

impl Reading {
    /// Waits for the run and returns the outputs that were asked for.
    ///
    /// # Errors
    /// [`GpuError`] when the device was lost or the results cannot be read back.
    pub fn wait(self) -> Result<Vec<Tensor>, GpuError> {
        let wanted = wgpu::PollType::Wait { submission_index: Some(self.submission.clone()), timeout: None };
        self.device.poll(wanted)?;
        // Another thread that polls may have taken the callback and be about to call it.
        let result = pollster::block_on(self.arrived());
        self.collect(result)
    }

    /// As [`Reading::wait`], without blocking the calling thread.
    ///
    /// # Errors
    /// As [`Reading::wait`].
    pub async fn ready(self) -> Result<Vec<Tensor>, GpuError> {
        // Native devices call back only while somebody polls them; on the web the browser does.
        let device = self.device.clone();
        let poller = std::thread::Builder::new().name("wgconv poll".into()).spawn(move || device.wait());
        if poller.is_err() {
            self.device.wait()?;
        }
        let result = self.arrived().await;
        self.device.took(self.submission.clone())?;
        self.collect(result)
    }

    fn arrived(&self) -> impl Future<Output = Result<(), String>> {
        let arrival = self.arrival.clone();
        std::future::poll_fn(move |context| {
            let mut arrival = lock(&arrival);
            match arrival.result.take() {
                Some(result) => Poll::Ready(result),
                None => {
                    arrival.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
    }

    fn collect(self, arrived: Result<(), String>) -> Result<Vec<Tensor>, GpuError> {
        self.device.check()?;
        arrived.map_err(|what| self.device.explained(GpuError::Readback(what)))?;
        let buffer = match self.source {
            Source::Staged(buffer) => buffer,
            Source::InPlace(mut ports) => {
                let tensors = ports.read(&self.types);
                lock(&self.staging.ports).push(ports);
                return tensors;
            }
        };
        let tensors = {
            let unmapped = |e: wgpu::MapRangeError| self.device.explained(GpuError::Readback(e.to_string()));
            let view = buffer.get_mapped_range(..).map_err(unmapped)?;
            let mut offset = 0;
            let parts = self.types.iter().map(|ty| {
                let part = view.get(offset..offset + ty.bytes());
                offset += padded(ty) as usize;
                tensor(ty, Precision::F32, part)
            });
            parts.collect::<Result<Vec<_>, _>>()
        };
        buffer.unmap();
        self.staging.give_back(buffer);
        tensors
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("types", &self.types).finish_non_exhaustive()
    }
}

/// Tensors that stay on the device from run to run. Each has two buffers: a run reads one and writes the other, because no
/// buffer can be read and written in one dispatch, and then they change places.
pub struct Variables {
    device: Device,
    types: Vec<TensorType>,
    buffers: Vec<(wgpu::Buffer, wgpu::Buffer)>,
}

impl Variables {
    /// Uploads the variables' first values.
    ///
    /// # Errors
    /// [`GpuError`] when memory runs out.
    pub fn new(device: &Device, values: &[(String, Tensor)]) -> Result<Variables, GpuError> {
        let mut buffers = Vec::with_capacity(values.len());
        for (name, tensor) in values {
            let ty = tensor.tensor_type();
            let pair = (device.tensor_buffer(name, &ty)?, device.tensor_buffer(name, &ty)?);
            device.upload(&pair.0, tensor)?;
            buffers.push(pair);
        }
        let types = values.iter().map(|(_, tensor)| tensor.tensor_type()).collect();
        Ok(Variables { device: device.clone(), types, buffers })
    }

    /// Makes what was written last the present value of these variables.
    pub fn swap(&mut self, variables: impl IntoIterator<Item = usize>) {
        for variable in variables {
            self.buffers.get_mut(variable).into_iter().for_each(|pair| std::mem::swap(&mut pair.0, &mut pair.1));
        }
    }

    /// The present value of a variable.
    ///
    /// # Errors
    /// [`GpuError`] when it cannot be read back.
    pub fn read(&self, variable: usize) -> Result<Tensor, GpuError> {
        match self.buffers.get(variable).zip(self.types.get(variable)) {
            Some(((now, _), ty)) => self.device.read(now.slice(..), ty, Precision::F32),
            None => Err(GpuError::Readback(format!("there is no variable {variable}"))),
        }
    }

    /// Gives a variable another present value.
    ///
    /// # Errors
    /// [`GpuError::Binding`] when its type is another.
    pub fn write(&self, variable: usize, tensor: &Tensor) -> Result<(), GpuError> {
        match self.buffers.get(variable).zip(self.types.get(variable)) {
            Some(((now, _), ty)) if *ty == tensor.tensor_type() => self.device.upload(now, tensor),
            found => {
                let expected = found.map_or("no variable".into(), |(_, ty)| ty.to_string());
                let what = format!("{} was given where {expected} is expected", tensor.tensor_type());
                Err(GpuError::Binding { name: format!("variable {variable}"), what })
            }
        }
    }

    /// Bytes of all variables, both buffers counted.
    pub fn bytes(&self) -> u64 {
        self.types.iter().map(|ty| 2 * padded(ty)).sum()
    }
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variables").field("types", &self.types).finish_non_exhaustive()
    }
}
