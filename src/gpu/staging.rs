//! Buffers between host and device, reused from run to run.

use std::sync::{Arc, Mutex};

use super::device::{Device, lock};
use super::memory::elements;
use super::ports::Ports;
use crate::error::GpuError;
use crate::plan::padded;
use crate::tensor::Tensor;

/// Staging buffers that no run is using. Runs that overlap take one each; what they took comes back.
#[derive(Default)]
pub(super) struct Staging {
    /// Mapped, ready to be written.
    uploads: Pool,
    readbacks: Pool,
    /// Inputs and outputs that need no staging.
    pub ports: Mutex<Vec<Ports>>,
}

type Pool = Arc<Mutex<Vec<wgpu::Buffer>>>;

/// The smallest buffer that has room.
fn take(pool: &Pool, bytes: u64) -> Option<wgpu::Buffer> {
    let mut free = lock(pool);
    let fits = free.iter().enumerate().filter(|(_, buffer)| buffer.size() >= bytes);
    let position = fits.min_by_key(|(_, buffer)| buffer.size()).map(|(position, _)| position);
    position.map(|position| free.swap_remove(position))
}

impl Staging {
    /// A buffer for at least `bytes` bytes that come back from the device. [`Staging::give_back`] takes it when it is unmapped.
    pub(super) fn readback(&self, device: &Device, bytes: u64) -> Result<wgpu::Buffer, GpuError> {
        match take(&self.readbacks, bytes) {
            Some(buffer) => Ok(buffer),
            None => device.buffer("readback", bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
        }
    }

    /// Keeps a buffer for the next readback.
    pub(super) fn give_back(&self, buffer: wgpu::Buffer) {
        lock(&self.readbacks).push(buffer);
    }

    /// Encodes copies of tensors into buffers that were made for them. The staging buffer comes back when the device is done.
    pub(super) fn upload(
        &self,
        device: &Device,
        encoder: &mut wgpu::CommandEncoder,
        tensors: &[(&Tensor, &wgpu::Buffer)],
    ) -> Result<(), GpuError> {
        let bytes: u64 = tensors.iter().map(|(tensor, _)| padded(&tensor.tensor_type())).sum();
        if bytes == 0 {
            return Ok(());
        }
        let staging = match take(&self.uploads, bytes) {
            Some(buffer) => buffer,
            None => device.scoped(&format!("allocating {bytes} bytes for uploads"), || {
                device.shared.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("upload"),
                    size: bytes,
                    usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
                    mapped_at_creation: true,
                })
            })?,
        };
        let mut offset = 0;
        for (tensor, _) in tensors {
            let data = elements(tensor)?;
            let range = offset..offset + data.len() as u64;
            let mut view = staging.get_mapped_range_mut(range).map_err(|e| {
                device.explained(GpuError::Validation { doing: "an upload".into(), what: e.to_string() })
            })?;
            view.copy_from_slice(data);
            offset += padded(&tensor.tensor_type());
        }
        staging.unmap();
        let mut offset = 0;
        for (tensor, buffer) in tensors {
            let ty = tensor.tensor_type();
            encoder.copy_buffer_to_buffer(&staging, offset, buffer, 0, (ty.bytes() as u64).next_multiple_of(4));
            offset += padded(&ty);
        }
        let (pool, free) = (self.uploads.clone(), staging.clone());
        encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Write, .., move |mapped| {
            // What a lost device does not map is dropped.
            if mapped.is_ok() {
                lock(&pool).push(free);
            }
        });
        Ok(())
    }
}
