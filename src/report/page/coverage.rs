//! Which points have all their results, and what keeps the others from it.

use maud::{Markup, html};

use super::cell::{task_href, task_link};
use crate::report::format;
use crate::report::study::Study;

/// Rows of the map; beyond, only points with gaps are shown.
const MAX_ROWS: usize = 200;

pub(super) fn section(study: &Study) -> Markup {
    let gaps: Vec<usize> = (0..study.outcomes.len())
        .filter(|i| study.outcomes[*i].gap.is_some())
        .collect();
    let points = &study.plan.points;
    let complete = points
        .iter()
        .filter(|point| !point.tasks.values().any(|task| gaps.contains(task)))
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
                    " are complete. " (format::counted(gaps.len(), "task")) " without a result:"
                }
                div.scroll tabindex="0" {
                    table.gaps {
                        thead { tr { th { "Task" } th { "Class" } th { "Cause" } } }
                        tbody {
                            @for &task in &gaps {
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

fn map(study: &Study, gaps: &[usize]) -> Markup {
    let plan = &study.plan;
    let lacking = |tasks: &std::collections::BTreeMap<String, usize>| {
        tasks.values().any(|task| gaps.contains(task))
    };
    let many = plan.points.len() > MAX_ROWS;
    let shown = plan.points.iter().filter(|p| !many || lacking(&p.tasks));
    html! {
        @if many { p.empty { "Only points with gaps, at most " (MAX_ROWS) "." } }
        div.scroll tabindex="0" {
            table.map {
                thead {
                    tr {
                        th.axis { "Point" }
                        th { "Seed" }
                        @for stage in &plan.stages { th { (format::clean(&stage.name)) } }
                    }
                }
                tbody {
                    @for point in shown.take(MAX_ROWS) {
                        tr {
                            th.axis scope="row" {
                                @if point.coordinates.is_empty() { "the only one" }
                                (format::coordinates(&point.coordinates))
                            }
                            td { (point.seed) }
                            @for stage in &plan.stages {
                                td { (mark(study, point.tasks.get(&stage.name).copied())) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn mark(study: &Study, task: Option<usize>) -> Markup {
    let Some(task) = task else {
        return html! { span.mark.off title="does not enter this point" { "·" } };
    };
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
