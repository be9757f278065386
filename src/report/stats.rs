//! The statistics of the report: means, and Wilson's intervals of rates.

use serde::Serialize;

/// A 95% interval, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Interval {
    pub low: f64,
    pub high: f64,
    pub method: Method,
}

impl Interval {
    /// Half its width.
    pub(crate) fn half(self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// Percentiles of the means of resampled replicates.
    Bootstrap,
    /// Wilson's score interval of a rate over its samples.
    Wilson,
}

impl Method {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Bootstrap => "95% interval over seeds (bootstrap)",
            Self::Wilson => "95% interval of a rate (Wilson)",
        }
    }
}

const Z95: f64 = 1.959_964;

pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Of a rate over `n` samples.
pub(crate) fn wilson(rate: f64, n: u64) -> Option<Interval> {
    if n == 0 || !(0.0..=1.0).contains(&rate) {
        return None;
    }
    let n = n as f64;
    let z2 = Z95 * Z95;
    let centre = (rate + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 / (1.0 + z2 / n) * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
    Some(Interval {
        low: (centre - half).max(0.0).min(rate),
        high: (centre + half).min(1.0).max(rate),
        method: Method::Wilson,
    })
}

/// Whether a value is a share of `n` samples: without a unit, in [0, 1] and a
/// multiple of 1/n. Other means over n samples are not binomial, and a Wilson
/// interval around them would be made up.
pub(crate) fn is_rate(value: f64, unit: &str, n: u64) -> bool {
    let unit = matches!(unit, "" | "rate" | "share" | "fraction");
    let hits = value * n as f64;
    unit && n > 0
        && (0.0..=1.0).contains(&value)
        && (hits - hits.round()).abs() <= 1e-6 * n as f64 + 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_stays_within_zero_and_one_and_around_the_rate() {
        let all = wilson(1.0, 512).expect("a rate");
        assert!(
            all.high == 1.0 && (all.low - 0.992_55).abs() < 1e-4,
            "{all:?}"
        );
        let none = wilson(0.0, 10).expect("a rate");
        assert!(none.low == 0.0 && (none.high - 0.2775).abs() < 1e-3);
        assert_eq!(wilson(0.5, 0), None);
    }

    #[test]
    fn only_multiples_of_one_nth_are_rates() {
        assert!(is_rate(419.0 / 512.0, "", 512));
        assert!(!is_rate(0.831_7, "", 256));
        assert!(!is_rate(0.5, "dB", 2));
    }
}
