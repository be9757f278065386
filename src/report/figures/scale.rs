//! Axes of a chart: ranges and ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use serde_json::Value;

use crate::report::format;

/// A range in drawing coordinates, with labelled ticks.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<(f64, String)>,
    pub log: bool,
}

impl Scale {
    /// Where a value lies, in drawing coordinates.
    pub(super) fn at(&self, value: f64) -> f64 {
        if self.log { value.log10() } else { value }
    }

    /// A range around values with round ticks.
    pub(super) fn linear(low: f64, high: f64, count: usize) -> Self {
        let (low, high) = if high > low {
            (low, high)
        } else {
            let room = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low - room, high + room)
        };
        let step = round_step((high - low) / count.max(1) as f64);
        let start = (low / step + 1e-9).floor() * step;
        let end = (high / step - 1e-9).ceil() * step;
        let places = places(step);
        let mut ticks = Vec::new();
        let mut i = 0.0;
        while start + i * step <= end + step * 1e-6 && ticks.len() < 40 {
            let value = start + i * step;
            ticks.push((value, tick(value, places)));
            i += 1.0;
        }
        Self {
            low: start,
            high: end,
            ticks,
            log: false,
        }
    }

    /// A range that ends where the values end, with round ticks inside.
    pub(super) fn tight(low: f64, high: f64, count: usize) -> Self {
        let mut scale = Self::linear(low, high, count);
        if high > low {
            let room = (high - low) * 0.02;
            (scale.low, scale.high) = (low, high + room);
            scale
                .ticks
                .retain(|(at, _)| *at >= low && *at <= high + room);
        }
        scale
    }

    /// Decades, for positive values.
    pub(super) fn decades(low: f64, high: f64) -> Self {
        let start = (low.log10() + 1e-9).floor();
        let end = (high.log10() - 1e-9).ceil().max(start + 1.0);
        let every = ((end - start) / 4.0).ceil();
        let mut ticks = Vec::new();
        for power in whole_steps(start, end, every) {
            let at = f64::from(power);
            let label = match (-2..5).contains(&power) {
                true => format!("{}", 10f64.powi(power)),
                false => format!("10{}", format::raised(power)),
            };
            ticks.push((at, label));
        }
        Self {
            low: start,
            high: end,
            ticks,
            log: true,
        }
    }

    /// The values of an axis of the sweep: to scale where they are numbers,
    /// in logarithms where they span much, in equal steps otherwise.
    pub(super) fn axis(values: &[Value]) -> (Self, Vec<f64>) {
        let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
        let numbers = numbers.filter(|n| n.len() > 1);
        let extent = |n: &[f64]| {
            let low = n.iter().copied().fold(f64::INFINITY, f64::min);
            let high = n.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (low, high)
        };
        let log = numbers.as_deref().is_some_and(|n| {
            let (low, high) = extent(n);
            low > 0.0 && high / low >= 20.0
        });
        let positions: Vec<f64> = match &numbers {
            Some(n) if log => n.iter().map(|v| v.log10()).collect(),
            Some(n) => n.clone(),
            None => steps(values.len()),
        };
        let (low, high) = extent(&positions);
        let room = if high > low { (high - low) * 0.06 } else { 0.5 };
        let labels = positions
            .iter()
            .copied()
            .zip(values.iter().map(format::value));
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for (at, label) in labels {
            let near = |(other, _): &(f64, String)| (other - at).abs() < (high - low) * 0.055;
            if !ticks.iter().any(near) {
                ticks.push((at, shorten(&label)));
            }
        }
        let scale = Self {
            low: low - room,
            high: high + room,
            ticks,
            log,
        };
        (scale, positions)
    }

    /// One place for each value.
    pub(super) fn categories(values: &[Value]) -> Self {
        let label = |v| shorten(&format::value(v));
        Self {
            low: -0.5,
            high: values.len() as f64 - 0.5,
            ticks: steps(values.len())
                .into_iter()
                .zip(values.iter().map(label))
                .collect(),
            log: false,
        }
    }
}

/// A scale as plotters takes it: its own ticks, with its own labels.
pub(super) struct Axis {
    coord: RangedCoordf64,
    ticks: Vec<(f64, String)>,
}

impl From<&Scale> for Axis {
    fn from(scale: &Scale) -> Self {
        Self {
            coord: (scale.low..scale.high).into(),
            ticks: scale.ticks.clone(),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.coord.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.iter().map(|(at, _)| *at).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.coord.range()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let found = self.ticks.iter().find(|(at, _)| at == value);
        found.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

/// Whole powers from `start` to `end`; none is beyond the range of f64.
fn whole_steps(start: f64, end: f64, every: f64) -> impl Iterator<Item = i32> {
    (-330..330).filter(move |power| {
        let at = f64::from(*power);
        at >= start && at <= end && (at - start) % every == 0.0
    })
}

fn steps(count: usize) -> Vec<f64> {
    (0..count).map(|i| i as f64).collect()
}

fn shorten(label: &str) -> String {
    match label.chars().count() > 14 {
        true => label.chars().take(13).chain(['…']).collect(),
        false => label.to_owned(),
    }
}

/// 1, 2, 2.5 or 5 times a power of ten, at least `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * power);
    steps
        .into_iter()
        .find(|s| *s >= rough * 0.999)
        .unwrap_or(10.0 * power)
}

fn places(step: f64) -> usize {
    (0..9)
        .find(|p| {
            let scaled = step * [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8][*p];
            (scaled - scaled.round()).abs() < 1e-6 * scaled.abs().max(1.0)
        })
        .unwrap_or(9)
}

fn tick(value: f64, places: usize) -> String {
    if value.abs() >= 10_000.0 && value % 1000.0 == 0.0 {
        return format!("{}k", value / 1000.0).replace('-', "−");
    }
    let text = format!("{value:.places$}");
    match text.strip_prefix('-') {
        Some(digits) if value.abs() < 1e-12 => digits.to_owned(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        let scale = Scale::linear(17.4, 30.7, 5);
        let labels: Vec<&str> = scale.ticks.iter().map(|(_, l)| l.as_str()).collect();
        assert_eq!(labels, ["15", "20", "25", "30", "35"]);
        let flat = Scale::linear(1.0, 1.0, 4);
        assert!(flat.low < 1.0 && flat.high > 1.0);
    }

    #[test]
    fn wide_axes_are_logarithmic_and_words_are_steps() {
        let (scale, at) = Scale::axis(&[2.into(), 128.into()]);
        assert!(scale.log && (at[1] - 128f64.log10()).abs() < 1e-9);
        let (_, at) = Scale::axis(&["a".into(), "b".into()]);
        assert_eq!(at, [0.0, 1.0]);
    }
}
