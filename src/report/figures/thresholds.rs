//! `thresholds`: metrics that have one entry for each threshold in dB, as
//! lines: a panel a metric, a line a point of the stage.

use ablate_coordinator::sweep::plan::Figure;
use ablate_proto::artifact::THRESHOLDS_DB;
use maud::{Markup, html};

use super::chart::{FINE, Frame, Hit};
use super::curve::whiskers;
use super::palette::{self, WHISKER, colour};
use super::scale::Scale;
use super::tile::Tile;
use super::{Drawn, Kind, Layout, chart, marks};
use crate::report::format;
use crate::report::page::cell::{measured, task_href, text};
use crate::report::study::{Cell, Measure, Study};
use plotters::style::Color;

pub(super) const KIND: Kind = Kind {
    name: "thresholds",
    draw,
};

/// Markers, intervals and the table beneath stand at multiples of this.
const EVERY: u32 = 5;

fn marked(db: u32) -> bool {
    db.is_multiple_of(EVERY)
}

/// A metric at a point of the stage, by threshold.
struct Series {
    slot: usize,
    label: String,
    points: Vec<(u32, Measure)>,
}

fn draw(study: &Study, figure: &Figure) -> Result<Drawn, String> {
    if study.stage(&figure.stage).is_none() {
        return Err(format!("the sweep has no stage “{}”", figure.stage));
    }
    let mut notes = Vec::new();
    let cells = distinct(study, figure, &mut notes);
    let (mut tiles, mut tables) = (Vec::new(), Vec::new());
    let mut legend: Vec<(usize, String)> = Vec::new();
    let mut measures: Vec<Measure> = Vec::new();
    for metric in &figure.metrics {
        let all: Vec<Series> = (cells.iter().enumerate())
            .map(|(slot, cell)| series(study, metric, slot, cell))
            .collect();
        let known = || all.iter().filter(|s| !s.points.is_empty());
        let without = all.len() - known().count();
        if without > 0 {
            let why = missing(study, &cells, metric);
            let (name, of) = (format::metric(metric), format::counted(all.len(), "point"));
            notes.push(format!("{name}: no value at {without} of {of} ({why})."));
        }
        for series in known() {
            let entry = (series.slot, series.label.clone());
            if cells.len() > 1 && !legend.contains(&entry) {
                legend.push(entry);
            }
            let marked = series.points.iter().filter(|(db, _)| marked(*db));
            measures.extend(marked.map(|(_, measure)| measure.clone()));
        }
        if without < all.len() {
            let width = if figure.metrics.len() == 1 { 580 } else { 440 };
            tiles.push(panel(study, metric, &all, width));
            tables.push(table(study, metric, &all));
        }
    }
    if tiles.is_empty() {
        let why = notes.first().map_or("it names no metric", String::as_str);
        return Err(why.trim_end_matches('.').to_owned());
    }
    notes.extend(whiskers(measures.iter()));
    Ok(Drawn {
        layout: Layout::of(tiles.len()),
        tiles,
        legend,
        notes,
        blocks: false,
        values: Some(html! {
            @for table in &tables { (table) }
            p { "Every threshold of every task is in " code { "report.json" } "." }
        }),
    })
}

/// The points of a stage, without axes that the metrics do not depend on: an
/// axis of the threshold itself would draw every line several times.
fn distinct(study: &Study, figure: &Figure, notes: &mut Vec<String>) -> Vec<Cell> {
    let mut cells = study.cells(&figure.stage);
    let curves = |cell: &Cell| {
        let metrics = figure.metrics.iter();
        let means = metrics.map(|m| {
            THRESHOLDS_DB
                .enumerate()
                .map(|(i, _)| study.measure_entry(cell, m, i).mean)
                .collect()
        });
        means.collect::<Vec<Vec<Option<f64>>>>()
    };
    for axis in &study.plan.axes {
        let lines = study.lines(&cells, &axis.name);
        let several = lines.iter().any(|line| line.cells.len() > 1);
        let carried = cells.iter().all(|c| c.coordinates.contains_key(&axis.name));
        let same = |cells: &[Cell]| {
            let first = cells.first().map(curves).unwrap_or_default();
            let known = first.iter().flatten().any(Option::is_some);
            known && cells.iter().all(|cell| curves(cell) == first)
        };
        if !several || !carried || !lines.iter().all(|line| same(&line.cells)) {
            continue;
        }
        notes.push(format!("The same at every {}.", format::axis(&axis.name)));
        let first = lines.into_iter().filter_map(|line| {
            let cell = line.cells.into_iter().next()?;
            let coordinates = line.others;
            Some(Cell {
                coordinates,
                ..cell
            })
        });
        cells = first.collect();
    }
    cells
}

fn series(study: &Study, metric: &str, slot: usize, cell: &Cell) -> Series {
    let at = |(entry, db)| {
        let measure = study.measure_entry(cell, metric, entry);
        measure.mean.is_some().then_some((db, measure))
    };
    Series {
        slot: slot % palette::slots(),
        label: format::coordinates(&cell.coordinates),
        points: THRESHOLDS_DB.enumerate().filter_map(at).collect(),
    }
}

fn missing(study: &Study, cells: &[Cell], metric: &str) -> String {
    let first = |cell| study.measure_entry(cell, metric, 0);
    let found = cells.iter().map(first).find(|m| m.mean.is_none());
    found.map_or_else(String::new, |m| m.why_missing().to_owned())
}

fn panel(study: &Study, metric: &str, all: &[Series], width: u32) -> Tile {
    let measures = || all.iter().flat_map(|s| &s.points);
    let ends = measures().flat_map(|(_, m)| [m.mean, m.interval.map(|i| i.high)]);
    let high = ends.flatten().fold(0.0, f64::max);
    let low = measures().filter_map(|(_, m)| m.mean).fold(0.0, f64::min);
    let unit = measures().next().map_or("", |(_, m)| &m.unit);
    let name = format::metric_in(metric, unit);
    let (first, last) = (*THRESHOLDS_DB.start(), *THRESHOLDS_DB.end());
    let mut x = Scale::tight(f64::from(first), f64::from(last), 4);
    x.low -= 0.4;
    let frame = Frame {
        width,
        height: 310,
        left: 46,
        x,
        y: Scale::linear(low, high, 5),
        x_name: "threshold (dB)".to_owned(),
        label: format!("{name} against the threshold"),
        grid: true,
    };
    let marked = |s: &Series| {
        let points = s.points.iter().filter(|(db, _)| marked(*db));
        let known = points.filter_map(|(db, m)| Some((f64::from(*db), m.mean?, m.clone())));
        known.collect::<Vec<_>>()
    };
    let hits: Vec<Hit> = all
        .iter()
        .flat_map(|s| marked(s).into_iter().map(move |point| (s, point)))
        .map(|(s, (db, mean, measure))| Hit {
            at: (db, mean),
            title: format!("{} above {db} dB: {}", s.label, text(&measure)),
            href: measure.samples.first().map(|s| task_href(study, s.task)),
        })
        .collect();
    let drawing = chart::draw(&frame, hits, |chart| {
        for series in all {
            let points = series.points.iter();
            let path = points.filter_map(|(db, m)| Some((f64::from(*db), m.mean?)));
            marks::line(chart, series.slot, 2 * FINE.unsigned_abs(), path.collect())?;
        }
        for series in all {
            for (x, mean, measure) in marked(series) {
                if let Some(interval) = measure.interval {
                    let style = colour(series.slot).stroke_width(WHISKER);
                    marks::whisker(chart, style, x, (interval.low, interval.high))?;
                }
                marks::point(chart, series.slot, (x, mean))?;
            }
        }
        Ok(())
    });
    Tile::chart("", &name, drawing)
}

fn table(study: &Study, metric: &str, all: &[Series]) -> Markup {
    let columns = || THRESHOLDS_DB.filter(|db| marked(*db));
    html! {
        div.scroll.fit tabindex="0" {
            table.numbers {
                thead {
                    tr {
                        th.axis scope="col" { (format::metric(metric)) " above" }
                        @for db in columns() { th scope="col" { (db) small { "dB" } } }
                    }
                }
                tbody {
                    @for series in all.iter().filter(|s| !s.points.is_empty()) {
                        tr {
                            th.axis scope="row" { (series.label) }
                            @for db in columns() {
                                td {
                                    @match series.points.iter().find(|(at, _)| *at == db) {
                                        Some((_, measure)) => (measured(study, measure, true)),
                                        None => "—",
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
