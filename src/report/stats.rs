//! The statistics of the report: means, Student's intervals of means, and
//! Wilson's of rates.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::bootstrap::FEWEST;

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
    /// Mean and standard error of the replicates, by Student's t.
    Student,
    /// Wilson's score interval of a rate over its samples.
    Wilson,
}

impl Method {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Bootstrap => "95% interval over seeds (bootstrap)",
            Self::Student => "95% interval over seeds (Student’s t)",
            Self::Wilson => "95% interval of a rate (Wilson)",
        }
    }
}

const Z95: f64 = 1.959_964;

pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// From so many values on, the bootstrap stands alone.
pub(crate) const MANY: usize = 20;

/// Student's 95% interval of the mean, for values that are about normal:
/// mean ± t(0.975; n − 1)·s/√n. `None` with fewer than [`FEWEST`] values, with
/// [`MANY`] or more, and where it is not finite. It knows nothing of what is
/// possible: of a rate it may go beyond 0 and 1.
pub(crate) fn student(values: &[f64]) -> Option<Interval> {
    if !(FEWEST..MANY).contains(&values.len()) {
        return None;
    }
    let n = values.len() as f64;
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let t = StudentsT::new(0.0, 1.0, n - 1.0).ok()?.inverse_cdf(0.975);
    let half = t * (squares / (n - 1.0) / n).sqrt();
    (mean.is_finite() && half.is_finite()).then_some(Interval {
        low: mean - half,
        high: mean + half,
        method: Method::Student,
    })
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
mod tests;
