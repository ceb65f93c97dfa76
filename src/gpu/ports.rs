//! Inputs and outputs in memory that the host reads and writes itself, on processors: nothing is copied between host and device.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::device::lock;
use super::executable::{Bound, Executable};
use super::memory::elements;
use super::reading::{Arrival, Reading, Source};
use super::run::{encode_bound, tensor};
use super::shared::Twins;
use super::vulkan::HostMemory;
use crate::error::GpuError;
use crate::tensor::{Precision, Tensor, TensorType};

/// Inputs and outputs of one run, with the plan tied to them. Runs that overlap have one each; no other work uses their buffers.
pub(super) struct Ports {
    bound: Bound,
    inputs: Vec<HostMemory>,
    outputs: Vec<HostMemory>,
}

impl Ports {
    fn write(&mut self, inputs: &[Tensor]) -> Result<(), GpuError> {
        for (memory, tensor) in self.inputs.iter_mut().zip(inputs) {
            let data = elements(tensor)?;
            // SAFETY: the run that had these ports before is over, and the next one is not submitted yet.
            let bytes = unsafe { memory.bytes() };
            bytes.get_mut(..data.len()).into_iter().for_each(|bytes| bytes.copy_from_slice(data));
        }
        Ok(())
    }

    /// The outputs. The device must be done with the run.
    pub(super) fn read(&mut self, types: &[TensorType]) -> Result<Vec<Tensor>, GpuError> {
        let read = |(memory, ty): (&mut HostMemory, &TensorType)| {
            // SAFETY: the run is over, and the next one is not submitted yet.
            tensor(ty, Precision::F32, Some(unsafe { memory.bytes() }))
        };
        self.outputs.iter_mut().zip(types).map(read).collect()
    }
}

impl Executable {
    /// Ports that no run is using; `None` where the device has no memory for them.
    fn ports(&self) -> Result<Option<Ports>, GpuError> {
        if let Some(ports) = lock(&self.staging.ports).pop() {
            return Ok(Some(ports));
        }
        if self.no_ports.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut twins = Twins::new();
        let Some([inputs, outputs]) = self.device.host_ports(&self.plan, &mut twins) else {
            self.no_ports.store(true, Ordering::Relaxed);
            return Ok(None);
        };
        let (inputs, input_memory): (Vec<_>, _) = inputs.into_iter().unzip();
        let (outputs, output_memory): (Vec<_>, _) = outputs.into_iter().unzip();
        let bound = self.bind_with(inputs, outputs, &twins)?;
        // The device is still filling them with zeros.
        self.device.wait()?;
        Ok(Some(Ports { bound, inputs: input_memory, outputs: output_memory }))
    }

    /// Starts a run on inputs that have been checked, without copies; `None` where the device has no memory for that.
    pub(super) fn start_in_place(&self, inputs: &[Tensor]) -> Result<Option<Reading>, GpuError> {
        let Some(mut ports) = self.ports()? else { return Ok(None) };
        ports.write(inputs)?;
        let arrival: Arc<Mutex<Arrival>> = Arc::default();
        let arrived = arrival.clone();
        let submission = self.device.scoped("a run", || {
            let mut encoder = self.encoder();
            encode_bound(&mut encoder, &ports.bound);
            encoder.on_submitted_work_done(move || lock(&arrived).set(Ok(())));
            self.device.shared.queue.submit([encoder.finish()])
        })?;
        let types = self.plan.outputs.iter().map(|port| port.ty.clone()).collect();
        Ok(Some(self.reading(Source::InPlace(ports), types, submission, arrival)))
    }

    /// Fills the outputs of the next run with NaN.
    pub(super) fn poison_ports(&self) -> Result<(), GpuError> {
        if let Some(mut ports) = self.ports()? {
            // SAFETY: no run has these ports.
            ports.outputs.iter_mut().for_each(|memory| unsafe { memory.bytes() }.fill(0xff));
            lock(&self.staging.ports).push(ports);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::check::executable;
    use crate::gpu::{Device, ShaderChecks};
    use crate::ops::Transpose;

    #[test]
    fn overlapping_runs_on_lavapipe_have_ports_of_their_own() {
        let Ok(device) = pollster::block_on(Device::request("llvmpipe", ShaderChecks::Off)) else {
            return eprintln!("skipped: there is no llvmpipe");
        };
        let executable = executable(&device, |graph| {
            let x = graph.input("x", TensorType::f32([13, 31]));
            let y = graph.node("y", Transpose { perm: vec![1, 0] }, &[x]).unwrap();
            graph.output("y", y);
        });
        let free = || lock(&executable.staging.ports).len();
        let x = |start: usize| Tensor::from_fn([13, 31], |i| (start + i) as f32);
        let y = |start: usize| Tensor::from_fn([31, 13], |i| (start + i % 13 * 31 + i / 13) as f32);
        executable.poison().unwrap();
        let mut ports = executable.ports().unwrap().unwrap();
        let left = ports.read(&[TensorType::f32([31, 13])]).unwrap();
        assert!(left[0].f32s().unwrap().iter().all(|v| v.is_nan()));
        lock(&executable.staging.ports).push(ports);
        let start = |from| executable.start_in_place(&[x(from)]).unwrap().unwrap();
        let readings: Vec<_> = [0, 1000, 2000].map(start).into_iter().zip([0, 1000, 2000]).collect();
        assert_eq!(free(), 0);
        for (reading, from) in readings.into_iter().rev() {
            assert_eq!(reading.wait().unwrap(), [y(from)]);
        }
        for from in [5, 7] {
            assert_eq!(executable.run(&[x(from)]).unwrap(), [y(from)]);
            assert_eq!(free(), 3);
        }
        // A run that nobody waits for keeps what it has to itself.
        drop(start(9));
        assert_eq!((executable.run(&[x(11)]).unwrap(), free()), (vec![y(11)], 2));
        // A run may be the last that has to do with its device.
        let last = start(13);
        drop((executable, device));
        assert_eq!(last.wait().unwrap(), [y(13)]);
    }
}
