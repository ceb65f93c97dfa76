//! What this process has used so far: processor seconds and peak memory, where the system says so.

use serde::Serialize;

/// Processor time and memory of this process. Fields are `None` where the system does not tell (other than Linux).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct ProcessUse {
    /// Seconds of all threads, user and system together.
    pub cpu_seconds: Option<f64>,
    /// Largest resident set so far, in bytes.
    pub peak_rss_bytes: Option<u64>,
}

/// Reads `/proc/self`.
pub fn process_use() -> ProcessUse {
    ProcessUse { cpu_seconds: cpu_seconds(), peak_rss_bytes: peak_rss_bytes() }
}

/// User and system ticks of all threads, living and ended.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The command name in parentheses may hold spaces; fields count from after it.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // Linux reports USER_HZ, which is 100 on every architecture wgpu runs on.
    Some((ticks(11)? + ticks(12)?) as f64 / 100.0)
}

fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
