//! Differences between neighbouring values of an axis, seed by seed.
//! Replicates share their seeds, and so much of their noise, which a
//! difference within a seed takes out.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::format;
use super::stats::{Interval, mean, student};
use super::study::{Cell, Coordinates, Study, follows};

/// The differences along one axis.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Paired {
    pub axis: String,
    pub steps: Vec<Step>,
}

/// From one value of the axis to the next.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Step {
    pub from: Value,
    pub to: Value,
    /// The other axes, fixed.
    pub others: Coordinates,
    pub differences: Vec<Difference>,
}

/// Of one metric: its value at `to` less its value at `from`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Difference {
    pub metric: String,
    pub unit: String,
    /// Over the pairs.
    pub mean: Option<f64>,
    /// Bootstrap interval of the mean.
    pub interval: Option<Interval>,
    /// Student's, of few pairs.
    pub student: Option<Interval>,
    /// The seeds that have a value on both sides.
    pub seeds: Vec<u64>,
    /// Pairs of distinct tasks among them; what the seeds share counts once.
    pub pairs: usize,
    /// Why there is no mean, or which seeds are left out of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Along each axis of a stage. Nothing where no point has several replicates.
/// Of axes that move together, the first stands for all.
pub(crate) fn paired(study: &Study, stage: &str) -> Vec<Paired> {
    let cells = study.cells(stage);
    if cells.iter().all(|cell| cell.tasks.len() < 2) {
        return Vec::new();
    }
    let metrics = study.metrics(&cells);
    let mut all: Vec<Paired> = Vec::new();
    for axis in &study.plan.axes {
        let axis = &axis.name;
        if all.iter().any(|known| follows(&cells, axis, &known.axis)) {
            continue;
        }
        let lines = study.lines(&cells, axis);
        let steps: Vec<Step> = lines
            .iter()
            .flat_map(|line| line.cells.windows(2).map(move |pair| (line, pair)))
            .filter_map(|(line, pair)| {
                let [from, to] = pair else { return None };
                let difference = |metric: &String| difference(study, from, to, metric);
                Some(Step {
                    from: from.coordinates.get(axis)?.clone(),
                    to: to.coordinates.get(axis)?.clone(),
                    others: line.others.clone(),
                    differences: metrics.iter().map(difference).collect(),
                })
            })
            .collect();
        if !steps.is_empty() && !metrics.is_empty() {
            let axis = axis.clone();
            all.push(Paired { axis, steps });
        }
    }
    all
}

fn difference(study: &Study, from: &Cell, to: &Cell, metric: &str) -> Difference {
    let mut found = Difference {
        metric: metric.to_owned(),
        ..Difference::default()
    };
    if !from.by_seed.keys().eq(to.by_seed.keys()) {
        let [a, b] = [from, to].map(|cell| seeds(cell.by_seed.keys().copied()));
        found.why = Some(format!("their seeds do not match: {a} against {b}"));
        return found;
    }
    let (before, after) = (study.measure(from, metric), study.measure(to, metric));
    found.unit.clone_from(&before.unit);
    if before.mean.is_some() && after.mean.is_some() && before.unit != after.unit {
        let (a, b) = (&before.unit, &after.unit);
        found.why = Some(format!("their units differ: “{a}” against “{b}”"));
        return found;
    }
    if before.mean.is_none() {
        found.unit.clone_from(&after.unit);
    }
    let mut seen = BTreeSet::new();
    let (mut keys, mut values, mut without) = (Vec::new(), Vec::new(), Vec::new());
    for ((seed, a), b) in from.by_seed.iter().zip(to.by_seed.values()) {
        let value = |measure: &super::study::Measure, task: usize| {
            let sample = measure.samples.iter().find(|s| s.task == task)?;
            Some(sample.value)
        };
        let Some((x, y)) = value(&before, *a).zip(value(&after, *b)) else {
            without.push(*seed);
            continue;
        };
        found.seeds.push(*seed);
        if seen.insert((*a, *b)) {
            values.push(y - x);
            keys.extend([study.key(*a), study.key(*b)]);
        }
    }
    found.pairs = values.len();
    found.mean = mean(&values);
    found.student = student(&values);
    let what = format!("difference of {metric}");
    found.interval = study.bootstraps.of_mean(&what, keys.into_iter(), &values);
    if !without.is_empty() {
        let [a, b] = [&before, &after].map(|measure| measure.missing.first());
        let why = a.or(b).map_or("not measured", |(_, why)| why);
        let without = seeds(without.into_iter());
        found.why = Some(format!("{without} without a value on both sides ({why})"));
    }
    found
}

/// `seed 3`, `seeds 0, 1, 2`.
fn seeds(seeds: impl Iterator<Item = u64>) -> String {
    let seeds: Vec<String> = seeds.map(|seed| seed.to_string()).collect();
    let noun = if seeds.len() == 1 { "seed" } else { "seeds" };
    format!("{noun} {}", seeds.join(", "))
}

impl Difference {
    /// The mean with its sign, and no digit that its interval makes
    /// meaningless.
    pub(crate) fn shown(&self) -> String {
        let Some(mean) = self.mean else {
            return "—".to_owned();
        };
        let size = match self.interval {
            Some(interval) => format::known_within(mean, interval.half(), &self.unit),
            None => format::number(mean, &self.unit),
        };
        let sign = if mean > 0.0 { "+" } else { "" };
        format!("{sign}{size}")
    }
}
