//! Timing whole runs of a plan by two clocks: the host's, and the device's own where it has one.

use std::time::{Duration, Instant};

use super::executable::Executable;
use super::run::encode_bound;
use crate::error::GpuError;

/// How long one run took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Elapsed {
    /// From encoding to the end of the work, as the host sees it.
    pub wall: Duration,
    /// From the first action of the plan to the end of the last one, by the device's clock; copies into images are in it.
    pub device: Option<Duration>,
}

/// Times runs of one plan on what was uploaded last.
pub struct Stopwatch<'a> {
    executable: &'a Executable,
    marks: Option<Marks>,
}

/// Two timestamps and their way to the host.
struct Marks {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    /// Nanoseconds of a tick.
    period: f64,
}

const BYTES: u64 = 16;

impl Stopwatch<'_> {
    /// A stopwatch for a plan. Without timestamps on the device it knows the host's clock only.
    ///
    /// # Errors
    /// [`GpuError`] when the device is lost or out of memory.
    pub fn new(executable: &Executable) -> Result<Stopwatch<'_>, GpuError> {
        let device = &executable.device;
        if !device.can_profile() {
            return Ok(Stopwatch { executable, marks: None });
        }
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = device.buffer("timestamps", BYTES, usage)?;
        let staging =
            device.buffer("timestamps", BYTES, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)?;
        let descriptor = wgpu::QuerySetDescriptor { label: Some("run"), ty: wgpu::QueryType::Timestamp, count: 2 };
        let set = device.scoped("timestamps", || device.shared.device.create_query_set(&descriptor))?;
        let period = f64::from(device.shared.queue.get_timestamp_period());
        Ok(Stopwatch { executable, marks: Some(Marks { set, resolved, staging, period }) })
    }

    /// Runs once and waits for the end; the outputs stay on the device.
    ///
    /// # Errors
    /// [`GpuError`] when the device is lost or refuses the work.
    pub fn run(&self) -> Result<Elapsed, GpuError> {
        let executable = self.executable;
        let device = &executable.device;
        let start = Instant::now();
        device.scoped("a timed run", || {
            let mut encoder = executable.encoder();
            self.mark(&mut encoder, Some(0), None);
            encode_bound(&mut encoder, &executable.own);
            self.mark(&mut encoder, None, Some(1));
            device.shared.queue.submit([encoder.finish()]);
        })?;
        device.wait()?;
        Ok(Elapsed { wall: start.elapsed(), device: self.read()? })
    }

    /// Writes a timestamp by an empty pass, so that copies before and after the plan's own passes are timed with them.
    fn mark(&self, encoder: &mut wgpu::CommandEncoder, begin: Option<u32>, end: Option<u32>) {
        if let Some(marks) = &self.marks {
            let writes = wgpu::ComputePassTimestampWrites {
                query_set: &marks.set,
                beginning_of_pass_write_index: begin,
                end_of_pass_write_index: end,
            };
            let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes: Some(writes) };
            drop(encoder.begin_compute_pass(&descriptor));
        }
    }

    fn read(&self) -> Result<Option<Duration>, GpuError> {
        let Some(Marks { set, resolved, staging, period }) = &self.marks else { return Ok(None) };
        let device = &self.executable.device;
        device.scoped("reading timestamps", || {
            let mut encoder = self.executable.encoder();
            encoder.resolve_query_set(set, 0..2, resolved, 0);
            encoder.copy_buffer_to_buffer(resolved, 0, staging, 0, BYTES);
            device.shared.queue.submit([encoder.finish()]);
            // A failed mapping shows as an error of get_mapped_range below.
            staging.map_async(wgpu::MapMode::Read, .., |_| {});
        })?;
        device.wait()?;
        let ticks = {
            let view = staging.get_mapped_range(..).map_err(|e| GpuError::Readback(e.to_string()))?;
            bytemuck::pod_collect_to_vec::<u8, u64>(&view)
        };
        staging.unmap();
        // Drivers may leave out the marks of empty passes, and clocks may jump.
        let span = ticks[1].checked_sub(ticks[0]).filter(|&span| ticks[0] != 0 && span > 0);
        Ok(span.map(|span| Duration::from_nanos((span as f64 * period) as u64)))
    }
}
