//! Timing whole runs of a plan by two clocks: the host's, and the device's own where it has one.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::executable::Executable;
use super::run::encode_bound;
use crate::error::GpuError;

/// How long a run took, on average over the runs of one submission.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Elapsed {
    /// From encoding to the end of the work, as the host sees it.
    pub wall: Duration,
    /// From the first action of the plan to the end of the last one, by the device's clock; copies into images are in it.
    pub device: Option<Duration>,
    /// Runs in the submission.
    pub runs: u32,
}

/// Times runs of one plan on what was uploaded last.
///
/// Short plans run several times in one submission, as kernels follow each other in a network: what it takes to submit work and to
/// wake the threads of a driver would hide them otherwise.
pub struct Stopwatch<'a> {
    executable: &'a Executable,
    marks: Option<Marks>,
    /// Runs in the next submission.
    runs: Cell<u32>,
}

/// What a submission should take at least, and the runs it has at most.
const SUBMISSION: Duration = Duration::from_millis(2);
const MOST_RUNS: f64 = 64.0;

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
            return Ok(Stopwatch { executable, marks: None, runs: Cell::new(1) });
        }
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = device.buffer("timestamps", BYTES, usage)?;
        let staging =
            device.buffer("timestamps", BYTES, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)?;
        let descriptor = wgpu::QuerySetDescriptor { label: Some("run"), ty: wgpu::QueryType::Timestamp, count: 2 };
        let set = device.scoped("timestamps", || device.shared.device.create_query_set(&descriptor))?;
        let period = f64::from(device.shared.queue.get_timestamp_period());
        let marks = Some(Marks { set, resolved, staging, period });
        Ok(Stopwatch { executable, marks, runs: Cell::new(1) })
    }

    /// Submits one run, or from the second call on as many as the first calls say to be worth timing, and waits for the end; the
    /// outputs stay on the device.
    ///
    /// # Errors
    /// [`GpuError`] when the device is lost or refuses the work.
    pub fn run(&self) -> Result<Elapsed, GpuError> {
        let executable = self.executable;
        let device = &executable.device;
        let runs = self.runs.get();
        let start = Instant::now();
        device.scoped("a timed run", || {
            let mut encoder = executable.encoder();
            self.mark(&mut encoder, Some(0), None);
            for _ in 0..runs {
                encode_bound(&mut encoder, &executable.own);
            }
            self.mark(&mut encoder, None, Some(1));
            device.shared.queue.submit([encoder.finish()]);
        })?;
        device.wait()?;
        let wall = start.elapsed() / runs;
        let fitting = SUBMISSION.as_secs_f64() / wall.as_secs_f64().max(1e-9);
        self.runs.set(fitting.clamp(1.0, MOST_RUNS) as u32);
        Ok(Elapsed { wall, device: self.read()?.map(|span| span / runs), runs })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::check::executable;
    use crate::gpu::{Device, ShaderChecks};
    use crate::ops::{Unary, UnaryFn};
    use crate::tensor::TensorType;

    #[test]
    fn short_plans_run_several_times_in_one_submission() {
        let Ok(device) = pollster::block_on(Device::request("", ShaderChecks::Off)) else {
            return eprintln!("skipped: there is no adapter");
        };
        let executable = executable(&device, |graph| {
            let x = graph.input("x", TensorType::f32([3, 5]));
            let y = graph.node("y", Unary { function: UnaryFn::Tanh }, &[x]).unwrap();
            graph.output("y", y);
        });
        let stopwatch = Stopwatch::new(&executable).unwrap();
        let runs: Vec<u32> = (0..20).map(|_| stopwatch.run().unwrap().runs).collect();
        assert_eq!(runs[0], 1);
        assert!(runs[1..].iter().any(|&runs| runs > 1), "{runs:?}");
        assert!(runs.iter().all(|&runs| f64::from(runs) <= MOST_RUNS), "{runs:?}");
    }
}
