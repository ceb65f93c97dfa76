//! What this process has used so far: processor seconds and peak memory, where the system says so.

use serde::Serialize;

/// Processor time and memory of this process. Fields are `None` where the system does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct ProcessUse {
    /// Seconds of all threads, user and system together (Linux, Android, Apple).
    pub cpu_seconds: Option<f64>,
    /// Largest resident set so far, in bytes (Linux, Android).
    pub peak_rss_bytes: Option<u64>,
}

/// Asks the system.
pub fn process_use() -> ProcessUse {
    ProcessUse { cpu_seconds: cpu_seconds(), peak_rss_bytes: peak_rss_bytes() }
}

/// Seconds of all threads, living and ended, in nanosecond steps.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn cpu_seconds() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn cpu_seconds() -> Option<f64> {
    None
}

fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
