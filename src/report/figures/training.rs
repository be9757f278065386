//! `training`: small multiples over the training step, and histograms as
//! ridges.

use ablate_coordinator::sweep::plan::Figure;
use ablate_proto::artifact::MetricRow;
use maud::html;

use super::chart::{FINE, Frame};
use super::ridges::ridges;
use super::scale::Scale;
use super::tile::Tile;
use super::{Drawn, Kind, Layout, chart, marks, palette};
use crate::report::format;
use crate::report::page::cell::task_link;
use crate::report::study::Study;

pub(super) const KIND: Kind = Kind {
    name: "training",
    draw,
};

/// Ridge panels are large; more tasks than this are not shown.
const MAX_RIDGES: usize = 6;

/// A training run.
struct Run {
    task: usize,
    /// Replicates share their point's colour.
    slot: usize,
    replicate: usize,
    label: String,
}

fn draw(study: &Study, figure: &Figure) -> Result<Drawn, String> {
    if study.stage(&figure.stage).is_none() {
        return Err(format!("the sweep has no stage “{}”", figure.stage));
    }
    let cells = study.cells(&figure.stage);
    let mut runs = Vec::new();
    let mut notes = Vec::new();
    for (slot, cell) in cells.iter().enumerate() {
        for (replicate, &task) in cell.tasks.iter().enumerate() {
            let place = format::coordinates(&cell.coordinates);
            let seed = format!("seed {}", study.seed(task));
            let label = match (place.is_empty(), cell.tasks.len()) {
                (true, _) => seed,
                (false, 1) => place,
                (false, _) => format!("{place}, {seed}"),
            };
            match study.outcomes[task].curves.is_empty() {
                false => runs.push(Run {
                    task,
                    slot: slot % palette::slots(),
                    replicate,
                    label,
                }),
                true => notes.push(format!("No curves of {label}: {}.", why(study, task))),
            }
        }
    }
    if cells.iter().any(|cell| cell.tasks.len() > 1) {
        notes.push("One line a seed.".to_owned());
    }
    let (scalars, vectors) = metrics(study, &runs, &figure.metrics);
    if scalars.is_empty() && vectors.is_empty() {
        let first = notes.first().map_or("no task has curves", String::as_str);
        return Err(first.trim_end_matches('.').to_owned());
    }
    let mut tiles: Vec<Tile> = Vec::new();
    for name in &vectors {
        let first: Vec<&Run> = runs.iter().filter(|run| run.replicate == 0).collect();
        let shown = format::metric(name);
        notes.push(format!("{shown}: heights are square roots of shares."));
        if first.len() > MAX_RIDGES {
            notes.push(format!(
                "{shown}: the first {MAX_RIDGES} of {} points.",
                first.len()
            ));
        }
        for run in first.iter().take(MAX_RIDGES) {
            let rows = rows(study, run.task, name).filter(|row| !row.values.is_empty());
            let label = (runs.len() > 1).then_some(run.label.as_str());
            tiles.extend(ridges(&rows.collect::<Vec<_>>(), name, label));
        }
    }
    tiles.extend(scalars.iter().filter_map(|name| scalar(study, &runs, name)));
    let mut legend: Vec<(usize, String)> = Vec::new();
    for (slot, cell) in cells.iter().enumerate().filter(|_| cells.len() > 1) {
        if runs.iter().any(|run| cell.tasks.contains(&run.task)) {
            let label = format::coordinates(&cell.coordinates);
            legend.push((slot % palette::slots(), label));
        }
    }
    Ok(Drawn {
        tiles,
        layout: Layout::Small,
        legend,
        notes,
        blocks: false,
        values: Some(html! {
            p {
                "Every step of these curves is in " code { "report.json" } ", by task: "
                @for (i, run) in runs.iter().enumerate() {
                    @if i > 0 { ", " }
                    (task_link(study, run.task)) " (" (run.label) ")"
                }
                "."
            }
        }),
    })
}

pub(super) fn why(study: &Study, task: usize) -> String {
    let outcome = &study.outcomes[task];
    match (&outcome.gap, outcome.remarks.first()) {
        (Some(gap), _) => format!("{}: {}", gap.class, gap.cause),
        (None, Some(remark)) => remark.clone(),
        (None, None) => "the task left no metrics.jsonl".to_owned(),
    }
}

pub(super) fn rows<'a>(
    study: &'a Study,
    task: usize,
    name: &'a str,
) -> impl Iterator<Item = &'a MetricRow> {
    let curves = study.outcomes[task].curves.iter();
    curves.filter(move |row| row.name == name && row.step.is_some())
}

/// Scalar and vector metrics to show, in the order asked for.
fn metrics(study: &Study, runs: &[Run], wanted: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut scalars, mut vectors) = (Vec::new(), Vec::new());
    for run in runs {
        for row in &study.outcomes[run.task].curves {
            let names = match row.values.is_empty() {
                true => &mut scalars,
                false => &mut vectors,
            };
            let asked = wanted.is_empty() || wanted.contains(&row.name);
            if row.step.is_some() && asked && !names.contains(&row.name) {
                names.push(row.name.clone());
            }
        }
    }
    if !wanted.is_empty() {
        scalars.sort_by_key(|name| wanted.iter().position(|w| w == name));
    }
    (scalars, vectors)
}

fn scalar(study: &Study, runs: &[Run], name: &str) -> Option<Tile> {
    let paths: Vec<(usize, Vec<(f64, f64)>)> = runs
        .iter()
        .map(|run| {
            let points = rows(study, run.task, name).filter_map(|row| {
                let value = row.value.filter(|v| v.is_finite())?;
                Some((row.step? as f64, value))
            });
            (run.slot, points.collect())
        })
        .collect();
    let unit = runs
        .iter()
        .find_map(|run| rows(study, run.task, name).next())
        .map_or("", |row| row.unit.as_str());
    let all = || paths.iter().flat_map(|(_, path)| path);
    let least = |pick: fn(&(f64, f64)) -> f64| all().map(pick).fold(f64::INFINITY, f64::min);
    let most = |pick: fn(&(f64, f64)) -> f64| all().map(pick).fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = (least(|p| p.1), most(|p| p.1));
    if low > high {
        return None;
    }
    let y = match low > 0.0 && high / low > 100.0 {
        true => Scale::decades(low, high),
        false => Scale::linear(low, high, 4),
    };
    let name = format::metric_in(name, unit);
    let log = y.log;
    let frame = Frame {
        width: 330,
        height: 210,
        left: 44,
        x: Scale::tight(least(|p| p.0).min(0.0), most(|p| p.0), 4),
        y,
        x_name: "step".to_owned(),
        label: format!("{name} over the training steps"),
        grid: true,
    };
    let width = FINE.unsigned_abs() * if runs.len() > 1 { 3 } else { 4 } / 2;
    let drawing = chart::draw(&frame, Vec::new(), |chart| {
        for (slot, path) in &paths {
            let points = path.iter().map(|(x, y)| (*x, frame.y.at(*y))).collect();
            marks::line(chart, *slot, width, points)?;
        }
        Ok(())
    });
    let aside = log.then(|| "log scale".to_owned());
    Some(Tile::chart("", &name, drawing).with_aside(aside))
}
