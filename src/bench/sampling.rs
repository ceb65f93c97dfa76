//! Taking turns: several things measured within one stretch of time, so that what disturbs one disturbs all.

use std::time::{Duration, Instant};

use super::Statistics;
use super::process::cpu_seconds;
use crate::gpu::Elapsed;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Time for each thing that is measured.
    pub each: Duration,
    /// Measurements that it gets in any case.
    pub at_least: usize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { each: Duration::from_millis(500), at_least: 5 }
    }
}

/// What was measured of one thing.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Milliseconds of a run by the host's clock, one figure for each submission.
    pub wall_ms: Vec<f64>,
    /// Milliseconds by the device's clock, where it has one.
    pub device_ms: Vec<f64>,
    /// Processor milliseconds of each visit divided by its runs, all threads together.
    pub cpu_ms: Vec<f64>,
    spent: Duration,
}

impl Samples {
    /// Statistics of the host's clock.
    pub fn wall(&self) -> Statistics {
        Statistics::of(&self.wall_ms).unwrap_or_default()
    }

    /// Statistics of the device's clock; `None` unless it timed every run.
    pub fn device(&self) -> Option<Statistics> {
        Statistics::of(&self.device_ms).filter(|found| found.runs == self.wall_ms.len())
    }

    /// Statistics of processor time, one figure for each visit.
    pub fn cpu(&self) -> Option<Statistics> {
        Statistics::of(&self.cpu_ms)
    }
}

/// Shortest stay at one thing before the next one has its turn: threads and caches settle, and the processor's clock can
/// tell the visit from nothing.
const VISIT: Duration = Duration::from_millis(20);

/// Measures `count` things in turn, there and back, until each has had its budget. `run(i)` runs thing `i` once or
/// more often and says what one run took.
///
/// # Errors
/// The first error of `run`.
pub fn alternate<E>(
    count: usize,
    budget: Budget,
    mut run: impl FnMut(usize) -> Result<Elapsed, E>,
) -> Result<Vec<Samples>, E> {
    let mut all = vec![Samples::default(); count];
    let hungry = |samples: &Samples| samples.spent < budget.each || samples.wall_ms.len() < budget.at_least;
    let mut forward = true;
    while all.iter().any(hungry) {
        for turn in 0..count {
            let index = if forward { turn } else { count - 1 - turn };
            if !hungry(&all[index]) {
                continue;
            }
            let (start, cpu_start, mut runs) = (Instant::now(), cpu_seconds(), 0);
            while runs == 0 || start.elapsed() < VISIT {
                let elapsed = run(index)?;
                let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
                all[index].wall_ms.push(ms(elapsed.wall));
                all[index].device_ms.extend(elapsed.device.map(ms));
                runs += elapsed.runs;
            }
            let cpu = cpu_seconds().zip(cpu_start).map(|(end, start)| (end - start) * 1e3 / f64::from(runs));
            all[index].cpu_ms.extend(cpu);
            all[index].spent += start.elapsed();
        }
        forward = !forward;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_gets_its_budget_in_turns_there_and_back() {
        let mut order = Vec::new();
        // Long beside what a busy machine takes to wake a thread.
        let budget = Budget { each: Duration::from_millis(200), at_least: 3 };
        let all = alternate(2, budget, |index| {
            order.push(index);
            std::thread::sleep(Duration::from_millis([1, 30][index]));
            Ok::<_, ()>(Elapsed {
                wall: Duration::from_millis(7),
                device: (index == 0).then_some(Duration::ZERO),
                runs: 1,
            })
        });
        let all = all.unwrap();
        assert_eq!((all[0].wall().median, all[1].wall().median), (7.0, 7.0));
        assert!(all[0].wall_ms.len() > all[1].wall_ms.len() && all[1].wall_ms.len() >= 3);
        assert!(all[0].device().is_some() && all[1].device().is_none());
        order.dedup();
        // The first visit to each in order, then back: the slow one comes twice in a row.
        assert_eq!(order[..3], [0, 1, 0]);
    }
}
