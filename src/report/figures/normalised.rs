//! `normalised`: metrics over the training steps on one axis, each from the
//! least to the largest value that a run itself had (science.md §4, E1): a
//! panel a point of the stage, a line a metric and seed.

use ablate_coordinator::sweep::plan::Figure;
use maud::{Markup, html};

use super::chart::{FINE, Frame};
use super::scale::Scale;
use super::tile::Tile;
use super::training::{rows, why};
use super::{Drawn, Kind, Layout, chart, marks, palette};
use crate::report::format;
use crate::report::page::cell::task_link;
use crate::report::study::{Cell, Study};

pub(super) const KIND: Kind = Kind {
    name: "normalised",
    draw,
};

/// A metric of a run.
struct Curve {
    /// Index of the metric.
    metric: usize,
    task: usize,
    low: f64,
    high: f64,
    /// Step, and place between `low` and `high`.
    path: Vec<(f64, f64)>,
}

fn draw(study: &Study, figure: &Figure) -> Result<Drawn, String> {
    if study.stage(&figure.stage).is_none() {
        return Err(format!("the sweep has no stage “{}”", figure.stage));
    }
    let cells = study.cells(&figure.stage);
    let mut notes =
        vec!["Each curve goes from 0, its run’s least value, to 1, its largest.".to_owned()];
    let (mut tiles, mut all) = (Vec::new(), Vec::new());
    for cell in &cells {
        let curves = curves(study, cell, &figure.metrics, &mut notes);
        if !curves.is_empty() {
            let width = if cells.len() == 1 { 580 } else { 440 };
            tiles.push(panel(cell, &curves, width));
            all.extend(curves);
        }
    }
    if tiles.is_empty() {
        let first = notes.get(1).map_or("no task has curves", String::as_str);
        return Err(first.trim_end_matches('.').to_owned());
    }
    if cells.iter().any(|cell| cell.tasks.len() > 1) {
        notes.push("One line a seed.".to_owned());
    }
    let drawn = |metric: &usize| all.iter().any(|curve| curve.metric == *metric);
    let legend = (0..figure.metrics.len()).filter(drawn);
    Ok(Drawn {
        layout: Layout::of(tiles.len()),
        tiles,
        legend: legend
            .map(|metric| {
                let label = format::metric(&figure.metrics[metric]);
                (metric % palette::slots(), label)
            })
            .collect(),
        notes,
        blocks: false,
        values: Some(extremes(study, figure, &cells, &all)),
    })
}

fn curves(study: &Study, cell: &Cell, metrics: &[String], notes: &mut Vec<String>) -> Vec<Curve> {
    let mut curves = Vec::new();
    for &task in &cell.tasks {
        let label = label(study, cell, task);
        if study.outcomes[task].curves.is_empty() {
            notes.push(format!("No curves of {label}: {}.", why(study, task)));
            continue;
        }
        for (metric, name) in metrics.iter().enumerate() {
            let points = rows(study, task, name).filter_map(|row| {
                let value = row.value.filter(|v| v.is_finite())?;
                Some((row.step? as f64, value))
            });
            let points: Vec<(f64, f64)> = points.collect();
            let low = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
            let high = points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
            if low >= high {
                let name = format::metric(name);
                notes.push(format!(
                    "{name} of {label} never changes, or was not followed."
                ));
                continue;
            }
            // Halves: the distance of two finite values can be infinite.
            let place = |v: f64| (v / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
            curves.push(Curve {
                metric,
                task,
                low,
                high,
                path: points.iter().map(|(x, y)| (*x, place(*y))).collect(),
            });
        }
    }
    curves
}

fn label(study: &Study, cell: &Cell, task: usize) -> String {
    let place = format::coordinates(&cell.coordinates);
    let seed = format!("seed {}", study.seed(task));
    match (place.is_empty(), cell.tasks.len()) {
        (true, _) => seed,
        (false, 1) => place,
        (false, _) => format!("{place}, {seed}"),
    }
}

fn panel(cell: &Cell, curves: &[Curve], width: u32) -> Tile {
    let title = format::coordinates(&cell.coordinates);
    let steps = curves.iter().flat_map(|c| &c.path).map(|p| p.0);
    let frame = Frame {
        width,
        height: 310,
        left: 46,
        x: Scale::tight(0.0, steps.fold(0.0, f64::max), 4),
        y: Scale::linear(0.0, 1.0, 5),
        x_name: "step".to_owned(),
        label: format!("Metrics between their extremes over the training steps {title}"),
        grid: true,
    };
    let drawing = chart::draw(&frame, Vec::new(), |chart| {
        for curve in curves {
            let slot = curve.metric % palette::slots();
            marks::line(chart, slot, 2 * FINE.unsigned_abs(), curve.path.clone())?;
        }
        // A few markers, for those who cannot tell the colours apart.
        for curve in curves {
            let every = (curve.path.len() / 6).max(1);
            let shift = curve.metric * every / 3;
            for at in curve.path.iter().skip(shift).step_by(every) {
                marks::point(chart, curve.metric % palette::slots(), *at)?;
            }
        }
        Ok(())
    });
    Tile::chart(&title, "between each run’s extremes", drawing)
}

/// What 0 and 1 stand for, by run.
fn extremes(study: &Study, figure: &Figure, cells: &[Cell], curves: &[Curve]) -> Markup {
    let unit = |name: &String| {
        let mut tasks = curves.iter().map(|c| c.task);
        let row = tasks.find_map(|task| rows(study, task, name).next());
        row.map_or_else(String::new, |row| row.unit.clone())
    };
    let units: Vec<String> = figure.metrics.iter().map(unit).collect();
    let shown = |task: usize, metric: usize, unit: &str| {
        let mut known = curves.iter().filter(|c| c.task == task);
        known.find(|c| c.metric == metric).map_or_else(
            || "—".to_owned(),
            |c| {
                let [low, high] = [c.low, c.high].map(|v| format::number(v, unit));
                format!("{low} / {high}")
            },
        )
    };
    let runs = cells
        .iter()
        .flat_map(|cell| cell.tasks.iter().map(move |task| (cell, *task)))
        .filter(|(_, task)| curves.iter().any(|c| c.task == *task));
    html! {
        div.scroll.fit tabindex="0" {
            table.numbers {
                thead {
                    tr {
                        th.axis scope="col" { "least / largest" }
                        @for (name, unit) in figure.metrics.iter().zip(&units) {
                            th scope="col" {
                                (format::metric(name))
                                @if !unit.is_empty() { small { (format::clean(unit)) } }
                            }
                        }
                        th scope="col" { "task" }
                    }
                }
                tbody {
                    @for (cell, task) in runs {
                        tr {
                            th.axis scope="row" { (label(study, cell, task)) }
                            @for (metric, unit) in units.iter().enumerate() {
                                td { (shown(task, metric, unit)) }
                            }
                            td { (task_link(study, task)) }
                        }
                    }
                }
            }
        }
        p { "Every step of these curves is in " code { "report.json" } "." }
    }
}
