//! The statistics of the report: means, Student's t and Wilson's intervals.

use serde::Serialize;

/// A 95% interval, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Interval {
    pub low: f64,
    pub high: f64,
    pub method: Method,
}

impl Interval {
    /// Cut to what is possible.
    pub(crate) fn within(self, low: f64, high: f64) -> Self {
        Self {
            low: self.low.max(low),
            high: self.high.min(high),
            ..self
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// Student's t over replicates.
    StudentT,
    /// Wilson's score interval of a rate over its samples.
    Wilson,
}

impl Method {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::StudentT => "95% interval over seeds (Student’s t)",
            Self::Wilson => "95% interval of a rate (Wilson)",
        }
    }
}

/// Two-sided 95% quantiles of Student's t for 1 to 30 degrees of freedom.
const T95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];
const Z95: f64 = 1.959_964;

pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Of the mean; `None` with fewer than two values.
pub(crate) fn student_t(values: &[f64]) -> Option<Interval> {
    let freedom = values.len().checked_sub(1).filter(|f| *f > 0)?;
    let centre = mean(values)?;
    let variance = values.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / freedom as f64;
    let t = T95
        .get(freedom - 1)
        .copied()
        .unwrap_or(Z95 + 2.4 / freedom as f64);
    let half = t * (variance / values.len() as f64).sqrt();
    Some(Interval {
        low: centre - half,
        high: centre + half,
        method: Method::StudentT,
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
mod tests {
    use super::*;

    #[test]
    fn student_t_of_three_values() {
        let interval = student_t(&[1.0, 2.0, 3.0]).expect("three values");
        assert!((interval.high - 2.0 - 4.303 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(student_t(&[1.0]), None);
    }

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
