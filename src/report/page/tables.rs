//! Tables of measurements: one row a point of a stage, one column a metric.

use maud::{Markup, html};
use serde_json::Value;

use super::cell::{ROWS, measured};
use super::paired;
use crate::report::bootstrap::{FEWEST, RESAMPLES};
use crate::report::format;
use crate::report::paired::paired as differences;
use crate::report::stats::MANY;
use crate::report::study::{Cell, Measure, Study};

pub(super) fn all(study: &Study) -> Markup {
    let mut silent = Vec::new();
    let mut tables = Vec::new();
    for stage in &study.plan.stages {
        let cells = study.cells(&stage.name);
        let metrics = study.metrics(&cells);
        if metrics.is_empty() {
            silent.push(format::clean(&stage.name));
            continue;
        }
        tables.push(html! {
            h3 {
                (format::clean(&stage.name))
                small { (format::clean(&stage.kind)) ", " (format::counted(cells.len(), "point")) }
            }
            (measures(study, &cells, &metrics))
            @for along in differences(study, &stage.name) {
                (paired::table(&along))
            }
        });
    }
    html! {
        section id="measurements" {
            h2 { "Measurements" }
            p.lead {
                "Every number leads to the task it comes from. Where there are " (FEWEST)
                " seeds or more, means stand with their bootstrap 95% interval (percentiles of "
                (format::count(RESAMPLES)) " resampled means), and the seeds beside them lead to "
                "each one’s task; two seeds have no interval. With few seeds it is too narrow: of "
                "normal values it holds the mean in 76, 84 and 90 of 100 cases with 3, 5 and 10 "
                "seeds. So with fewer than " (MANY) " seeds Student’s 95% interval stands beneath, "
                "marked t: it holds the mean of normal values in 95 of 100 cases, and may go beyond "
                "what is possible, as a rate above 1. Rates of one seed stand with Wilson’s "
                "95% interval. Differences are paired: the mean over seeds of what a step along an axis "
                "changes within a seed, which takes out what the seeds have in common. "
                "A dash says why on hovering, and leads to its task."
            }
            @for table in &tables { (table) }
            @if !silent.is_empty() {
                p.empty { "Without scalar metrics: " (silent.join(", ")) "." }
            }
        }
    }
}

/// The given metrics at the given points.
pub(in crate::report) fn measures(study: &Study, cells: &[Cell], metrics: &[String]) -> Markup {
    let (all, cells) = (cells.len(), &cells[..cells.len().min(ROWS)]);
    let axes = axes(study, cells);
    let columns: Vec<Vec<Measure>> = metrics
        .iter()
        .map(|m| cells.iter().map(|cell| study.measure(cell, m)).collect())
        .collect();
    let unit = |column: &[Measure]| {
        let known = column.iter().find(|m| m.mean.is_some());
        known.map(|m| m.unit.clone()).unwrap_or_default()
    };
    html! {
        @if cells.len() < all {
            p.empty { "Only " (format::count(ROWS)) " of " (format::count(all)) " rows; report.csv has all." }
        }
        div.scroll.fit tabindex="0" {
            table.numbers {
                thead {
                    tr {
                        @for axis in &axes { th.axis scope="col" { (format::axis(axis)) } }
                        @for (metric, column) in metrics.iter().zip(&columns) {
                            th scope="col" title=(format::clean(metric)) {
                                (format::metric(metric))
                                @let unit = unit(column);
                                @if !unit.is_empty() { small { (format::clean(&unit)) } }
                            }
                        }
                    }
                }
                tbody {
                    @for (i, cell) in cells.iter().enumerate() {
                        tr {
                            @for axis in &axes {
                                th.axis scope="row" { (coordinate(cell.coordinates.get(axis))) }
                            }
                            @for column in &columns { td { (measured(study, &column[i], true)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The axes that enter these cells, in the order of the sweep file.
fn axes(study: &Study, cells: &[Cell]) -> Vec<String> {
    let enters = |name: &String| cells.iter().any(|c| c.coordinates.contains_key(name));
    let names = study.plan.axes.iter().map(|axis| &axis.name);
    let mut axes: Vec<String> = names.filter(|name| enters(name)).cloned().collect();
    for name in cells.iter().flat_map(|cell| cell.coordinates.keys()) {
        if !axes.contains(name) {
            axes.push(name.clone());
        }
    }
    axes
}

fn coordinate(value: Option<&Value>) -> String {
    value.map_or_else(|| "—".to_owned(), format::value)
}
