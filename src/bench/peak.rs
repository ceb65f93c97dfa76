//! The peak of a device, measured on it: multiply-adds in registers, and copies of memory.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::process::cpu_seconds;
use crate::error::BenchError;
use crate::gpu::{Device, Executable, SharedWeights, Stopwatch};
use crate::kernels::{DeviceClass, Probe, Refusal, peak_copy, peak_multiply};
use crate::plan::Plan;

/// What the device does at most, as far as shaders can tell: percentages are of this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// Billions of floating point operations per second, two to a multiply-add.
    pub gflops: f64,
    /// Billions of bytes per second, read and written, of a copy too large for most caches.
    pub gigabytes_per_second: f64,
    /// How the copy read faster: `buffer` or `image`.
    pub copy_reads: String,
    /// Whether the device's clock was read, or the host's.
    pub device_clock: bool,
    /// Where the device is this machine's processor: the same per second of processor time.
    pub per_core: Option<PerCore>,
}

/// Rates for each second that a core was at work: what other programs do at the same time does not change them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PerCore {
    /// Billions of floating point operations.
    pub gflops: f64,
    /// Billions of bytes.
    pub gigabytes: f64,
}

/// Seconds of the shortest run that is worth timing: far longer than it takes to submit one.
const LONG_ENOUGH: f64 = 5e-3;
const REPEATS: usize = 12;
/// Bytes to copy. Processors copy at the speed of their loads, which a smaller copy shows as well.
const COPY_BYTES: u64 = 64 << 20;

impl Peak {
    /// Measures a device; takes a fraction of a second.
    ///
    /// # Errors
    /// [`BenchError::Probe`] when a probe is refused or computes something else, [`BenchError::Gpu`] when it cannot be run.
    pub fn measure(device: &Device) -> Result<Peak, BenchError> {
        let traits = device.traits();
        let refused = |stem| move |Refusal(what)| BenchError::Probe { stem, what };
        let mut workgroups = 64;
        let multiply = loop {
            let probe = peak_multiply(workgroups, traits).map_err(refused("peak_multiply"))?;
            let flops = 2 * probe.cost.macs;
            let fastest = Fastest::of(device, probe)?;
            let more = workgroups * 4;
            if fastest.seconds >= LONG_ENOUGH || peak_multiply(more, traits).is_err() {
                break fastest.rates(flops);
            }
            workgroups = more;
        };
        let bytes = COPY_BYTES.min(traits.max_binding_bytes);
        let mut copy = ((0.0, None), "");
        for (from_image, reads) in [(false, "buffer"), (true, "image")] {
            let probe = match peak_copy(bytes, from_image, traits) {
                Ok(probe) => probe,
                Err(_) if from_image => continue,
                Err(refusal) => return Err(refused("peak_copy")(refusal)),
            };
            let moved = probe.cost.bytes;
            let rates = Fastest::of(device, probe)?.rates(moved);
            // Other programs do not change what processor time says.
            if rates.1.map_or(rates.0 > copy.0.0, |of_core| Some(of_core) > copy.0.1) {
                copy = (rates, reads);
            }
        }
        let per_core = |(gflops, gigabytes)| PerCore { gflops, gigabytes };
        Ok(Peak {
            gflops: multiply.0,
            gigabytes_per_second: copy.0.0,
            copy_reads: copy.1.to_string(),
            device_clock: device.can_profile(),
            per_core: multiply.1.zip(copy.0.1).map(per_core),
        })
    }
}

/// The fastest of some runs, by the clock and, where the device is the processor, by processor time.
struct Fastest {
    seconds: f64,
    cpu_seconds: Option<f64>,
}

impl Fastest {
    /// Runs a probe, after checking what it computes.
    fn of(device: &Device, probe: Probe) -> Result<Fastest, BenchError> {
        let (stem, expected) = (probe.stem, probe.expected);
        let plan = Arc::new(Plan::of_probe(probe));
        let executable = Executable::compile(device, plan, &SharedWeights::default(), &|_, _| {})?;
        executable.poison()?;
        let outputs = executable.run(&[])?;
        let computed = outputs.first().and_then(|output| output.f32s().ok()).unwrap_or_default();
        if let Some(position) = (0..computed.len()).find(|&position| computed[position] != expected(position)) {
            let (value, expected) = (computed[position], expected(position));
            let what = format!("gives {value} at {position} where {expected} is expected");
            return Err(BenchError::Probe { stem, what });
        }
        let stopwatch = Stopwatch::new(&executable)?;
        let on_processor = device.traits().class == DeviceClass::Cpu;
        let mut fastest = Fastest { seconds: f64::INFINITY, cpu_seconds: None };
        for _ in 0..REPEATS {
            let before = cpu_seconds();
            let elapsed = stopwatch.run()?;
            let cpu = cpu_seconds()
                .zip(before)
                .filter(|_| on_processor)
                .map(|(after, before)| (after - before) / f64::from(elapsed.runs));
            fastest.seconds = fastest.seconds.min(elapsed.device.unwrap_or(elapsed.wall).as_secs_f64());
            fastest.cpu_seconds = cpu.map(|cpu| fastest.cpu_seconds.map_or(cpu, |least: f64| least.min(cpu)));
        }
        Ok(fastest)
    }

    /// Billions per second, and per second of a core.
    fn rates(&self, amount: u64) -> (f64, Option<f64>) {
        let rate = |seconds: f64| amount as f64 * 1e-9 / seconds.max(1e-12);
        (rate(self.seconds), self.cpu_seconds.map(rate))
    }
}
