//! Median, minimum and ninetieth percentile of repeated measurements, and how far the median can be trusted.

use serde::{Deserialize, Serialize};

/// What repeated measurements of one thing amount to.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Number of measurements.
    pub runs: usize,
    /// The middle one.
    pub median: f64,
    /// The smallest one.
    pub min: f64,
    /// Nine in ten are not larger.
    pub p90: f64,
    /// Half the width of the 95% confidence interval of the median, after the notches of box plots (McGill, Tukey and
    /// Larsen 1978): 1.57 interquartile ranges over the square root of `runs`.
    pub notch: f64,
}

impl Statistics {
    /// Statistics of measurements in any unit; `None` when there are none.
    pub fn of(measurements: &[f64]) -> Option<Statistics> {
        let mut sorted = measurements.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |share: f64| sorted[((last as f64 * share).ceil() as usize).min(last)];
        let median = (sorted[last / 2] + sorted[last.div_ceil(2)]) / 2.0;
        let notch = 1.57 * (at(0.75) - at(0.25)) / (sorted.len() as f64).sqrt();
        Some(Statistics { runs: sorted.len(), median, min: sorted[0], p90: at(0.9), notch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_few_measurements() {
        assert_eq!(Statistics::of(&[]), None);
        let found = Statistics::of(&[5.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(found, Statistics { runs: 4, median: 2.5, min: 1.0, p90: 5.0, notch: 1.57 * 1.5 });
        let eleven: Vec<f64> = (0..11).map(f64::from).collect();
        assert_eq!(Statistics::of(&eleven).unwrap().p90, 9.0);
    }
}
