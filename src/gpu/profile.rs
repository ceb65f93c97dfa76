//! Timing the steps of a plan with the device's own clock.

use super::executable::Executable;
use super::run::encode;
use crate::error::GpuError;

impl Executable {
    /// Runs once on what was uploaded last and returns the nanoseconds of every step, by timestamps around its passes.
    ///
    /// Copies into images are outside of the passes of a step and are not counted.
    ///
    /// # Errors
    /// [`GpuError::Validation`] when the device has no timestamps (see [`Device::can_profile`](super::Device::can_profile)).
    pub fn profile(&self) -> Result<Vec<f64>, GpuError> {
        if !self.device.can_profile() {
            let what = "the device was opened without TIMESTAMP_QUERY, or its driver lacks it".into();
            return Err(GpuError::Validation { doing: "profiling".into(), what });
        }
        let device = &self.device.shared.device;
        let period = f64::from(self.device.shared.queue.get_timestamp_period());
        let mut times = Vec::with_capacity(self.plan.steps.len());
        // Query sets are limited to 4096 entries, and Metal allows few of them at once.
        for steps in self.own.steps.chunks(wgpu::QUERY_SET_MAX_QUERIES as usize / 2) {
            let count = 2 * steps.len() as u32;
            let bytes = u64::from(count) * 8;
            let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
            let resolved = self.device.buffer("timestamps", bytes, usage)?;
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let staging = self.device.buffer("timestamps", bytes, usage)?;
            self.device.scoped("a profile", || {
                let set = device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("steps"),
                    ty: wgpu::QueryType::Timestamp,
                    count,
                });
                let mut encoder = self.encoder();
                for (actions, index) in steps.iter().zip((0..).step_by(2)) {
                    encode(&mut encoder, actions, Some((&set, index)));
                }
                encoder.resolve_query_set(&set, 0..count, &resolved, 0);
                encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, bytes);
                self.device.shared.queue.submit([encoder.finish()]);
                // A failed mapping shows as an error of get_mapped_range below.
                staging.map_async(wgpu::MapMode::Read, .., |_| {});
            })?;
            self.device.wait()?;
            let view = staging.get_mapped_range(..).map_err(|e| GpuError::Readback(e.to_string()))?;
            let ticks = bytemuck::pod_collect_to_vec::<u8, u64>(&view);
            times.extend(ticks.chunks_exact(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * period));
        }
        Ok(times)
    }
}
