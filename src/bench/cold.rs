//! The suite `cold`: from the start of a process to its first output, with empty and with warm caches.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::networks::NETWORKS;
use super::sampling::Samples;
use super::suite::{Failure, Row, SuiteReport};
use super::{chosen, process_use};
use crate::error::BenchError;
use crate::gpu;
use crate::session::{Device, Options};

/// What a process says of itself after its first output.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FirstOutput {
    /// Processor milliseconds up to then, all threads together.
    pub cpu_ms: Option<f64>,
}

/// The part of [`bench_cold`] that runs in a child process: one run of a network, and then a line of JSON on stdout.
///
/// # Errors
/// [`BenchError`] when no network is called so, or it cannot be compiled or run.
pub fn first_output(name: &str, device: Device, options: Options) -> Result<FirstOutput, BenchError> {
    let network = chosen(NETWORKS, name, |network| network.name)?;
    let Some(network) = network.into_iter().find(|network| network.name == name) else {
        return Err(BenchError::Child { name: name.into(), what: "there is no such network".into() });
    };
    network.ready(device, options)?.run()?;
    Ok(FirstOutput { cpu_ms: process_use().cpu_seconds.map(|seconds| seconds * 1e3) })
}

/// Runs the suite on networks whose names contain `filter`, each `runs` times. `child(name)` is the command that calls
/// [`first_output`] and prints what it gives; caches of this crate and of drivers are turned to a folder of their own.
/// `seen(done, total, name)` is called before each process.
///
/// # Errors
/// [`BenchError`] when no network is called so or there is no room for the caches. A process that fails is a row of
/// [`SuiteReport::failures`].
pub fn bench_cold(
    device: &gpu::Device,
    filter: &str,
    runs: usize,
    child: impl Fn(&str) -> Command,
    mut seen: impl FnMut(usize, usize, &str),
) -> Result<SuiteReport, BenchError> {
    let networks = chosen(NETWORKS, filter, |network| network.name)?;
    let mut report = SuiteReport::new("cold", device, None);
    let runs = runs.max(1);
    let total = networks.len() * (2 * runs + 1);
    let mut done = 0;
    for network in networks {
        let name = network.name;
        let wrong = |e: std::io::Error| BenchError::Child { name: name.into(), what: e.to_string() };
        let warm_caches = tempfile::tempdir().map_err(wrong)?;
        let (mut empty, mut warm) = (Samples::default(), Samples::default());
        let mut failed = None;
        // The first process fills the warm caches and is not counted; from then on cold and warm ones take turns.
        for turn in 0..2 * runs + 1 {
            seen(done, total, name);
            done += 1;
            let fresh = tempfile::tempdir().map_err(wrong)?;
            let (caches, samples) = match turn {
                0 => (warm_caches.path(), None),
                turn if turn % 2 == 0 => (warm_caches.path(), Some(&mut warm)),
                _ => (fresh.path(), Some(&mut empty)),
            };
            match until_first_output(name, child(name), caches) {
                Ok((wall_ms, first)) => {
                    if let Some(samples) = samples {
                        samples.wall_ms.push(wall_ms);
                        samples.cpu_ms.extend(first.cpu_ms);
                    }
                }
                Err(why) => failed = failed.or(Some(why)),
            }
        }
        if let Some(why) = failed {
            let why = why.to_string();
            report.failures.push(Failure { name: name.into(), variant: "a process of its own".into(), why });
            continue;
        }
        report.rows.push(Row::of(name, "empty caches", false, &empty));
        report.rows.push(Row::of(name, "warm caches", true, &warm));
    }
    Ok(report)
}

/// Milliseconds from the start of a process to the line that it prints after its first output.
fn until_first_output(name: &str, mut command: Command, caches: &Path) -> Result<(f64, FirstOutput), BenchError> {
    let wrong = |what: String| BenchError::Child { name: name.into(), what };
    // Mesa and NVIDIA's driver keep translated shaders; this crate keeps what drivers give out under WGCONV_CACHE.
    for variable in ["WGCONV_CACHE", "MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH"] {
        command.env(variable, caches);
    }
    let start = Instant::now();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|e| wrong(e.to_string()))?;
    let mut line = String::new();
    let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
    let wall_ms = start.elapsed().as_secs_f64() * 1e3;
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        // What it said only matters when it failed.
        let _ = stderr.read_to_string(&mut said);
    }
    let status = child.wait().map_err(|e| wrong(e.to_string()))?;
    match serde_json::from_str(&line) {
        Ok(first) if status.success() && matches!(read, Some(Ok(_))) => Ok((wall_ms, first)),
        _ => Err(wrong(format!("{status}: {}", said.trim()))),
    }
}
