//! The suite `models`: whole networks, from inputs on the host to outputs on the host.

use std::time::Instant;

use super::networks::{NETWORKS, Ready};
use super::sampling::{Budget, alternate};
use super::suite::{Row, SuiteReport};
use super::{Peak, chosen};
use crate::error::BenchError;
use crate::gpu::{Elapsed, Stopwatch};
use crate::session::{Device, Options};

/// Runs the suite on networks whose names contain `filter`. `seen(done, total, name)` is called before each.
///
/// The host's clock times whole runs with upload and readback, the device's clock (in turns with them) the work on it.
///
/// # Errors
/// [`BenchError`] when no network is called so, or one cannot be compiled or run.
pub fn bench_models(
    device: &crate::gpu::Device,
    options: &Options,
    filter: &str,
    budget: Budget,
    mut seen: impl FnMut(usize, usize, &str),
) -> Result<SuiteReport, BenchError> {
    let networks = chosen(NETWORKS, filter, |network| network.name)?;
    let peak = Peak::measure(device)?;
    let mut report = SuiteReport::new("models", device, Some(peak.clone()));
    for (done, network) in networks.iter().enumerate() {
        seen(done, networks.len(), network.name);
        let mut ready = network.ready(Device::from_gpu(device.clone()), options.clone())?;
        // The first runs translate shaders and warm caches.
        ready.run()?;
        ready.run()?;
        let compiled = match &ready {
            Ready::Inference { compiled, inputs } => {
                // What the stopwatch times reads them.
                compiled.executable()?.upload(&compiled.ordered(inputs)?)?;
                Some(compiled.clone())
            }
            Ready::Training { .. } => None,
        };
        let stopwatch = match &compiled {
            Some(compiled) => Some(Stopwatch::new(compiled.executable()?)?),
            None => None,
        };
        let mut samples = alternate(1 + usize::from(stopwatch.is_some()), budget, |index| match (index, &stopwatch) {
            (1, Some(stopwatch)) => stopwatch.run().map_err(BenchError::from),
            _ => {
                let start = Instant::now();
                ready.run()?;
                Ok(Elapsed { wall: start.elapsed(), device: None, runs: 1 })
            }
        })?;
        let on_device = samples.get(1).and_then(|samples| samples.device());
        let row = Row::of(network.name, "as planned", true, &samples.swap_remove(0));
        let row = Row { device_ms: on_device, ..row };
        report.rows.push(match ready.cost() {
            Some(cost) => row.with_work(cost, &peak),
            None => row,
        });
    }
    Ok(report)
}
