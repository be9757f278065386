//! Which points have all their results, and what keeps the others from it.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::cell::{ROWS, task_href, task_link};
use crate::report::format;
use crate::report::study::{Coordinates, Study};

/// Rows of the map; beyond, only points with gaps are shown.
const MAX_ROWS: usize = 200;

pub(super) fn section(study: &Study) -> Markup {
    let gaps: Vec<usize> = (0..study.outcomes.len())
        .filter(|i| study.outcomes[*i].gap.is_some())
        .collect();
    let points = &study.plan.points;
    let complete = points
        .iter()
        .filter(|point| !point.tasks.values().any(|task| lacks(&gaps, task)))
        .count();
    let remarks = study.outcomes.iter().enumerate();
    let remarks: Vec<(usize, &String)> = remarks
        .flat_map(|(i, o)| o.remarks.iter().map(move |remark| (i, remark)))
        .collect();
    html! {
        section id="coverage" {
            h2 { "Coverage" }
            @if gaps.is_empty() {
                p { "All " (format::counted(points.len(), "point")) " are complete: every task has its result." }
            } @else {
                p {
                    (format::count(complete)) " of " (format::counted(points.len(), "point"))
                    " are complete. " (format::counted(gaps.len(), "task")) " without a result"
                    @if gaps.len() > ROWS { ", the first " (format::count(ROWS)) " of them" } ":"
                }
                div.scroll tabindex="0" {
                    table.gaps {
                        thead { tr { th { "Task" } th { "Class" } th { "Cause" } } }
                        tbody {
                            @for &task in gaps.iter().take(ROWS) {
                                @if let Some(gap) = &study.outcomes[task].gap {
                                    tr {
                                        td { (format::clean(&study.plan.tasks[task].task.label)) " " (task_link(study, task)) }
                                        td { span.class { (format::clean(&gap.class)) } }
                                        td.cause { (format::clean(&gap.cause)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if !remarks.is_empty() {
                p { "Files that could not be used:" }
                ul.remarks {
                    @for (task, remark) in remarks {
                        li { (task_link(study, task)) " " (format::clean(remark)) }
                    }
                }
            }
            details open[!gaps.is_empty()] {
                summary { "Map of points and stages" }
                (map(study, &gaps))
            }
        }
    }
}

/// They are in the order of the plan.
fn lacks(gaps: &[usize], task: &usize) -> bool {
    gaps.binary_search(task).is_ok()
}

/// A row of the map: the points that differ in their seed only.
struct Place<'a> {
    coordinates: &'a Coordinates,
    seeds: Vec<u64>,
    /// Stage → tasks in the order of the seeds, each once.
    tasks: BTreeMap<&'a str, Vec<usize>>,
}

fn places(study: &Study) -> Vec<Place<'_>> {
    let mut places: Vec<Place<'_>> = Vec::new();
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    for point in &study.plan.points {
        let id = format!("{:?}", point.coordinates);
        let at = *index.entry(id).or_insert_with(|| {
            places.push(Place {
                coordinates: &point.coordinates,
                seeds: Vec::new(),
                tasks: BTreeMap::new(),
            });
            places.len() - 1
        });
        places[at].seeds.push(point.seed);
        for (stage, task) in &point.tasks {
            let tasks = places[at].tasks.entry(stage).or_default();
            if !tasks.contains(task) {
                tasks.push(*task);
            }
        }
    }
    places
}

fn map(study: &Study, gaps: &[usize]) -> Markup {
    let places = places(study);
    let lacking = |place: &&Place<'_>| {
        let mut tasks = place.tasks.values().flatten();
        places.len() <= MAX_ROWS || tasks.any(|task| lacks(gaps, task))
    };
    let shown: Vec<&Place<'_>> = places.iter().filter(lacking).take(MAX_ROWS).collect();
    html! {
        @if shown.len() < places.len() {
            p.empty { "Only points with gaps, at most " (MAX_ROWS) ", of " (format::count(places.len())) "." }
        }
        div.scroll.fit tabindex="0" {
            table.map {
                thead {
                    tr {
                        th.axis { "Point" }
                        @for stage in &study.plan.stages { th { (format::clean(&stage.name)) } }
                    }
                }
                tbody {
                    @for place in shown {
                        tr {
                            th.axis scope="row" {
                                @if place.coordinates.is_empty() { "the only one" }
                                (format::coordinates(place.coordinates))
                                @if place.seeds.len() > 1 {
                                    small.muted { " " (place.seeds.len()) " seeds" }
                                }
                            }
                            @for stage in &study.plan.stages {
                                td {
                                    @match place.tasks.get(stage.name.as_str()) {
                                        Some(tasks) => { @for task in tasks { (mark(study, *task)) } },
                                        None => span.mark.off title="does not enter this point" { "·" },
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

fn mark(study: &Study, task: usize) -> Markup {
    let (class, glyph, title) = match &study.outcomes[task].gap {
        None => ("done", "●", "has its result".to_owned()),
        Some(gap) => {
            let title = format!("{}: {}", gap.class, gap.cause);
            match gap.class.as_str() {
                "blocked" | "not yet" => ("wait", "○", title),
                _ => ("lack", "✗", title),
            }
        }
    };
    html! {
        a class={ "mark " (class) } href=(task_href(study, task)) title=(format::clean(&title)) { (glyph) }
    }
}
