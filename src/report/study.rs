//! What was planned and what came of it, and how to ask for measurements:
//! stage → cells (coordinates) → replicates.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ablate_coordinator::sweep::plan::{Plan, Stage};
use ablate_proto::artifact::{Direction, Manifest, MetricRow};
use ablate_proto::id::TaskKey;
use ablate_proto::status::SweepStatus;
use serde_json::Value;

use super::bootstrap::Bootstraps;
use super::format;
use super::gap::Gap;
use super::load::Images;
use super::stats::{Interval, is_rate, mean, student, wilson};

#[derive(Debug)]
pub(crate) struct Study {
    pub plan: Plan,
    pub sweep_file: Option<String>,
    pub status: Option<SweepStatus>,
    /// One a task of the plan, in its order.
    pub outcomes: Vec<Outcome>,
    pub remarks: Vec<String>,
    pub bootstraps: Bootstraps,
}

/// What a task left in the store.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub manifest: Option<Manifest>,
    /// Why there is no result. A task that is done and left nothing has
    /// neither.
    pub gap: Option<Gap>,
    pub curves: Vec<MetricRow>,
    pub images: Images,
    /// Files that could not be used.
    pub remarks: Vec<String>,
}

pub(crate) type Coordinates = BTreeMap<String, Value>;

/// One combination of the axis values that enter a stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub coordinates: Coordinates,
    /// Indices of the replicates' tasks. Kinds that draw no random numbers
    /// have one task for all seeds.
    pub tasks: Vec<usize>,
    /// The task of each seed that the sweep runs the point under.
    pub by_seed: BTreeMap<u64, usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub task: usize,
    pub value: f64,
    pub n: Option<u64>,
}

/// A metric of a cell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measure {
    pub unit: String,
    pub direction: Direction,
    pub samples: Vec<Sample>,
    /// Replicates without a value, each with the reason.
    pub missing: Vec<(usize, String)>,
    pub mean: Option<f64>,
    /// Of the replicates, by resampling; of a single rate, Wilson's.
    pub interval: Option<Interval>,
    /// Of few replicates, for which resampling is too narrow.
    pub student: Option<Interval>,
}

impl Measure {
    pub(crate) fn why_missing(&self) -> &str {
        self.missing.first().map_or("not measured", |(_, why)| why)
    }

    /// Half the width of the interval.
    pub(crate) fn half(&self) -> Option<f64> {
        self.interval.map(Interval::half)
    }

    /// The mean, with no digit that the interval makes meaningless.
    pub(crate) fn shown(&self) -> String {
        match (self.mean, self.half()) {
            (None, _) => "—".to_owned(),
            (Some(mean), None) => format::number(mean, &self.unit),
            (Some(mean), Some(half)) => format::known_within(mean, half, &self.unit),
        }
    }
}

/// Positions of values on their axis, by their JSON.
struct Ranks(HashMap<String, usize>);

impl Ranks {
    fn of(&self, value: &Value) -> usize {
        let known = self.0.get(&value.to_string());
        known.copied().unwrap_or(usize::MAX)
    }
}

/// Cells that differ in one axis only.
#[derive(Debug)]
pub(crate) struct Line {
    /// The other axes, fixed.
    pub others: Coordinates,
    pub cells: Vec<Cell>,
}

impl Study {
    pub(crate) fn stage(&self, name: &str) -> Option<&Stage> {
        self.plan.stages.iter().find(|stage| stage.name == name)
    }

    /// The cells of a stage in the order of the axes' values.
    pub(crate) fn cells(&self, stage: &str) -> Vec<Cell> {
        let axes = self.stage(stage).map_or(&[][..], |stage| &stage.axes);
        let mut cells: Vec<Cell> = Vec::new();
        let mut index: BTreeMap<String, usize> = BTreeMap::new();
        for point in &self.plan.points {
            let Some(task) = point.tasks.get(stage) else {
                continue;
            };
            let coordinates: Coordinates = point
                .coordinates
                .iter()
                .filter(|(name, _)| axes.contains(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            let id = format!("{coordinates:?}");
            let at = *index.entry(id).or_insert_with(|| {
                cells.push(Cell {
                    coordinates,
                    tasks: Vec::new(),
                    by_seed: BTreeMap::new(),
                });
                cells.len() - 1
            });
            if !cells[at].tasks.contains(task) {
                cells[at].tasks.push(*task);
            }
            cells[at].by_seed.insert(point.seed, *task);
        }
        let all = self.plan.axes.iter();
        let ranks: Vec<(&str, Ranks)> = all.map(|a| (&*a.name, self.ranks(&a.name))).collect();
        cells.sort_by_cached_key(|cell| {
            let value = |axis: &str| cell.coordinates.get(axis);
            let ranks = ranks
                .iter()
                .map(|(axis, ranks)| value(axis).map(|v| ranks.of(v)));
            ranks.collect::<Vec<_>>()
        });
        cells
    }

    /// Positions of the values on an axis.
    fn ranks(&self, axis: &str) -> Ranks {
        let axis = self.plan.axes.iter().find(|a| a.name == axis);
        let values = axis.map_or(&[][..], |axis| &axis.values);
        let mut ranks = HashMap::new();
        for (rank, value) in values.iter().enumerate() {
            ranks.entry(value.to_string()).or_insert(rank);
        }
        Ranks(ranks)
    }

    /// Splits cells into lines along an axis. Axes that move together with it
    /// do not separate lines.
    pub(crate) fn lines(&self, cells: &[Cell], along: &str) -> Vec<Line> {
        let Some(first) = cells.first() else {
            return Vec::new();
        };
        let linked: Vec<&String> = first
            .coordinates
            .keys()
            .filter(|axis| *axis == along || follows(cells, axis, along))
            .collect();
        let mut lines: Vec<Line> = Vec::new();
        let mut index: HashMap<String, usize> = HashMap::new();
        for cell in cells {
            let mut others = cell.coordinates.clone();
            others.retain(|axis, _| !linked.contains(&axis));
            let at = *index.entry(format!("{others:?}")).or_insert(lines.len());
            match lines.get_mut(at) {
                Some(line) => line.cells.push(cell.clone()),
                None => lines.push(Line {
                    others,
                    cells: vec![cell.clone()],
                }),
            }
        }
        let ranks = self.ranks(along);
        for line in &mut lines {
            line.cells.sort_by_key(|cell| {
                let value = cell.coordinates.get(along);
                value.map(|v| ranks.of(v))
            });
        }
        lines
    }

    /// A final metric of a task, or why there is none.
    pub(crate) fn row(&self, task: usize, metric: &str) -> Result<&MetricRow, String> {
        let outcome = &self.outcomes[task];
        let Some(manifest) = &outcome.manifest else {
            let gap = outcome.gap.as_ref();
            return Err(gap.map_or_else(
                || "the task left nothing".to_owned(),
                |gap| format!("{}: {}", gap.class, gap.cause),
            ));
        };
        let rows = manifest.metrics.iter().filter(|row| row.name == metric);
        rows.max_by_key(|row| row.step.unwrap_or(u64::MAX))
            .ok_or_else(|| format!("the task did not report “{metric}”"))
    }

    /// The training steps at which a metric was followed, in any replicate.
    pub(crate) fn steps(&self, cell: &Cell, metric: &str) -> BTreeSet<u64> {
        let curves = cell.tasks.iter().flat_map(|t| &self.outcomes[*t].curves);
        let rows = curves.filter(|row| row.name == metric);
        rows.filter_map(|row| row.step).collect()
    }

    /// A metric of a task at a training step.
    fn row_at(&self, task: usize, metric: &str, step: u64) -> Result<&MetricRow, String> {
        let mut rows = self.outcomes[task].curves.iter();
        rows.find(|row| row.name == metric && row.step == Some(step))
            .ok_or_else(|| format!("the task did not report “{metric}” at step {step}"))
    }

    pub(crate) fn measure_at(&self, cell: &Cell, metric: &str, step: u64) -> Measure {
        let row = |task| self.row_at(task, metric, step);
        self.gather(cell, &format!("{metric} at {step}"), row, |row| row.value)
    }

    pub(crate) fn measure(&self, cell: &Cell, metric: &str) -> Measure {
        self.gather(cell, metric, |task| self.row(task, metric), |row| row.value)
    }

    /// One entry of a metric that is a vector.
    pub(crate) fn measure_entry(&self, cell: &Cell, metric: &str, entry: usize) -> Measure {
        let what = format!("{metric} entry {entry}");
        let value = |row: &MetricRow| row.values.get(entry).copied();
        self.gather(cell, &what, |task| self.row(task, metric), value)
    }

    /// Names of the scalar metrics of a stage in order of first appearance.
    pub(crate) fn metrics(&self, cells: &[Cell]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for task in cells.iter().flat_map(|cell| &cell.tasks) {
            for row in self.outcomes[*task]
                .manifest
                .iter()
                .flat_map(|m| &m.metrics)
            {
                if row.values.is_empty() && !names.contains(&row.name) {
                    names.push(row.name.clone());
                }
            }
        }
        names
    }

    /// A metric of a cell, from a row of each of its tasks. `what` names the
    /// quantity, for the random numbers of its interval.
    fn gather<'a>(
        &self,
        cell: &Cell,
        what: &str,
        row: impl Fn(usize) -> Result<&'a MetricRow, String>,
        value: impl Fn(&MetricRow) -> Option<f64>,
    ) -> Measure {
        let mut measure = Measure::default();
        for &task in &cell.tasks {
            match row(task) {
                Err(why) => measure.missing.push((task, why)),
                Ok(row) => {
                    measure.unit.clone_from(&row.unit);
                    measure.direction = row.direction;
                    match value(row).filter(|v| v.is_finite()) {
                        Some(value) => measure.samples.push(Sample {
                            task,
                            value,
                            n: row.n,
                        }),
                        None => {
                            let why = row.note.as_deref().unwrap_or("has no single value");
                            measure.missing.push((task, why.to_owned()));
                        }
                    }
                }
            }
        }
        let values: Vec<f64> = measure.samples.iter().map(|s| s.value).collect();
        measure.mean = mean(&values);
        measure.student = student(&values);
        measure.interval = match measure.samples.as_slice() {
            [Sample { value, n, .. }] => n
                .filter(|n| is_rate(*value, &measure.unit, *n))
                .and_then(|n| wilson(*value, n)),
            samples => {
                let keys = samples.iter().map(|s| self.key(s.task));
                self.bootstraps.of_mean(what, keys, &values)
            }
        };
        measure
    }

    pub(crate) fn key(&self, task: usize) -> TaskKey {
        self.plan.tasks[task].task.key
    }

    /// Seeds that the tasks of a plan's points run under.
    pub(crate) fn seed(&self, task: usize) -> u64 {
        self.plan.tasks[task].task.seed
    }
}

/// Whether `axis` varies, and each value of `along` goes with one value of it.
pub(crate) fn follows(cells: &[Cell], axis: &str, along: &str) -> bool {
    let mut pairs: BTreeMap<String, &Value> = BTreeMap::new();
    let mut varies = false;
    for cell in cells {
        let coordinates = &cell.coordinates;
        let (Some(key), Some(value)) = (coordinates.get(along), coordinates.get(axis)) else {
            return false;
        };
        varies |= cells[0].coordinates.get(axis) != Some(value);
        if *pairs.entry(key.to_string()).or_insert(value) != value {
            return false;
        }
    }
    varies
}
