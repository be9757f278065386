//! Splits a figure's metrics into panels and series: one unit a panel; with
//! one metric the other axes are the series, with several they are panels.

use ablate_coordinator::sweep::plan::Figure;
use serde_json::Value;

use super::chart::Hit;
use crate::report::format;
use crate::report::page::cell::task_href;
use crate::report::study::{Cell, Line, Measure, Study};

/// Metrics that differ by more than this factor do not share an axis.
const UNLIKE: f64 = 20.0;

pub(super) struct Panels {
    pub axis: String,
    /// Values along x in the order of the axis.
    pub values: Vec<Value>,
    pub panels: Vec<Panel>,
    pub metrics: Vec<String>,
    pub cells: Vec<Cell>,
    /// Sentences on values that are missing.
    pub notes: Vec<String>,
}

pub(super) struct Panel {
    /// What stands above it: the other axes, or the metric.
    pub title: String,
    /// Name of the vertical axis.
    pub y_name: String,
    pub unit: String,
    /// Panels of one group share their vertical axis.
    pub group: usize,
    pub series: Vec<Series>,
}

pub(super) struct Series {
    pub slot: usize,
    pub label: String,
    pub points: Vec<Point>,
    /// Places along x that were planned and have no value.
    pub gaps: Vec<usize>,
}

impl Series {
    /// The points in stretches without a gap between them.
    pub(super) fn stretches(&self) -> impl Iterator<Item = &[Point]> {
        let gap = |a: &Point, b: &Point| self.gaps.iter().any(|g| a.x < *g && *g < b.x);
        self.points.chunk_by(move |a, b| !gap(a, b))
    }
}

pub(super) struct Point {
    /// Index into `Panels::values`.
    pub x: usize,
    pub mean: f64,
    pub measure: Measure,
}

pub(super) fn panels(study: &Study, figure: &Figure) -> Result<Panels, String> {
    let Some(stage) = study.stage(&figure.stage) else {
        return Err(format!("the sweep has no stage “{}”", figure.stage));
    };
    let cells = study.cells(&figure.stage);
    let axis = match &figure.x {
        Some(axis) => axis.clone(),
        None => match stage.axes.as_slice() {
            [axis] => axis.clone(),
            _ => return Err("it names no axis for x".to_owned()),
        },
    };
    if !stage.axes.contains(&axis) {
        let axis = format::axis(&axis);
        return Err(format!(
            "no axis “{axis}” enters the stage “{}”",
            stage.name
        ));
    }
    let mut metrics = figure.metrics.clone();
    if metrics.is_empty() {
        metrics = study.metrics(&cells);
    }
    let lines = study.lines(&cells, &axis);
    let values = values(&cells, &axis);
    let units = units(study, &cells, &metrics);
    if units.is_empty() {
        let why = study.measure(&cells[0], metrics.first().map_or("", |m| m));
        return Err(format!("no point has a value ({})", why.why_missing()));
    }
    let mut panels = Vec::new();
    for (group, (unit, names)) in units.iter().enumerate() {
        if names.len() == 1 || lines.len() == 1 {
            let many = lines.len() > 1;
            let mut series = Vec::new();
            for name in names {
                for line in &lines {
                    let label = match many {
                        true => format::coordinates(&line.others),
                        false => format::metric(name),
                    };
                    series.push(one(study, name, line, &axis, &values, label, series.len()));
                }
            }
            let y_name = match names.as_slice() {
                [name] => format::metric_in(name, unit),
                _ => format::clean(unit),
            };
            panels.push(Panel {
                title: String::new(),
                y_name,
                unit: unit.clone(),
                group,
                series,
            });
        } else {
            for line in &lines {
                let y_name = match names.as_slice() {
                    [name] => format::metric_in(name, unit),
                    _ => format::clean(unit),
                };
                let series = names.iter().enumerate().map(|(slot, name)| {
                    let label = format::metric(name);
                    one(study, name, line, &axis, &values, label, slot)
                });
                panels.push(Panel {
                    title: format::coordinates(&line.others),
                    y_name,
                    unit: unit.clone(),
                    group,
                    series: series.collect(),
                });
            }
        }
    }
    let notes = missing(study, &cells, &metrics);
    Ok(Panels {
        axis,
        values,
        panels,
        metrics,
        cells,
        notes,
    })
}

fn one(
    study: &Study,
    metric: &str,
    line: &Line,
    axis: &str,
    values: &[Value],
    label: String,
    slot: usize,
) -> Series {
    let point = |cell: &Cell| {
        let measure = study.measure(cell, metric);
        let value = cell.coordinates.get(axis)?;
        Some(Point {
            x: values.iter().position(|v| v == value)?,
            mean: measure.mean?,
            measure,
        })
    };
    let place = |cell: &Cell| {
        let value = cell.coordinates.get(axis)?;
        let gap = study.measure(cell, metric).mean.is_none();
        values.iter().position(|v| v == value).filter(|_| gap)
    };
    Series {
        slot,
        label,
        gaps: line.cells.iter().filter_map(place).collect(),
        points: line.cells.iter().filter_map(point).collect(),
    }
}

fn values(cells: &[Cell], axis: &str) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::new();
    for value in cells.iter().filter_map(|c| c.coordinates.get(axis)) {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    values
}

/// Metrics that share an axis: of one unit and of like size. Those that
/// nothing has a value of are left out.
fn units(study: &Study, cells: &[Cell], metrics: &[String]) -> Vec<(String, Vec<String>)> {
    struct Group {
        unit: String,
        size: f64,
        names: Vec<String>,
    }
    let mut groups: Vec<Group> = Vec::new();
    for metric in metrics {
        let measures = cells.iter().map(|cell| study.measure(cell, metric));
        let known: Vec<Measure> = measures.filter(|m| m.mean.is_some()).collect();
        let Some(first) = known.first() else {
            continue;
        };
        let sizes = known.iter().filter_map(|m| m.mean).map(f64::abs);
        let size = sizes.fold(0.0, f64::max);
        let like = |other: f64| size <= other * UNLIKE && other <= size * UNLIKE;
        let fits = |group: &&mut Group| group.unit == first.unit && like(group.size);
        match groups.iter_mut().find(fits) {
            Some(group) => group.names.push(metric.clone()),
            None => groups.push(Group {
                unit: first.unit.clone(),
                size,
                names: vec![metric.clone()],
            }),
        }
    }
    let pairs = groups.into_iter().map(|group| (group.unit, group.names));
    pairs.collect()
}

fn missing(study: &Study, cells: &[Cell], metrics: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    for metric in metrics {
        let without: Vec<Measure> = cells
            .iter()
            .map(|cell| study.measure(cell, metric))
            .filter(|m| m.mean.is_none())
            .collect();
        if let Some(first) = without.first() {
            notes.push(format!(
                "{}: no value at {} of {} ({}).",
                format::metric(metric),
                without.len(),
                format::counted(cells.len(), "point"),
                first.why_missing()
            ));
        }
    }
    notes
}

/// Where a point's mark leads, and what it says.
pub(super) fn hit(study: &Study, at: (f64, f64), name: &str, x: &str, point: &Point) -> Hit {
    let measure = &point.measure;
    let value = crate::report::page::cell::text(measure);
    let tasks: Vec<String> = measure
        .samples
        .iter()
        .map(|s| study.plan.tasks[s.task].task.key.short())
        .collect();
    let first = measure.samples.first();
    Hit {
        at,
        title: format!(
            "{name}, {x}: {value} {} — task {}",
            measure.unit,
            tasks.join(", ")
        ),
        href: first.map(|s| task_href(study, s.task)),
    }
}
