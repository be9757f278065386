//! The top of the page: what was expected, what came out, and what sharing
//! saved.

use std::collections::BTreeMap;

use ablate_coordinator::sweep::plan::Untested;
use ablate_proto::status::SweepState;
use maud::{Markup, html};

use super::cell::measured;
use crate::report::format;
use crate::report::study::Study;
use crate::report::verdict::{Reading, Status, Verdict};

/// Chains longer than this lose their middle.
const CHAIN: usize = 9;

pub(super) fn summary(study: &Study, verdicts: &[Verdict]) -> Markup {
    let plan = &study.plan;
    let count = |status| verdicts.iter().filter(|v| v.status == status).count();
    let unique = plan.tasks.len();
    let done = study.outcomes.iter().filter(|o| o.gap.is_none()).count();
    let results = study.outcomes.iter().filter_map(|o| o.manifest.as_ref());
    let rows = study.status.iter().flat_map(|status| &status.rows);
    let bare = rows.filter(|row| row.bare).map(|row| row.seconds);
    let seconds: f64 = results.map(|m| m.provenance.seconds).chain(bare).sum();
    // The sum of nothing is -0.
    let seconds = seconds + 0.0;
    html! {
        dl.summary {
            div {
                dt { "Expectations" }
                dd {
                    strong { (count(Status::Pass)) } " of " (verdicts.len()) " met"
                    @if !plan.untested.is_empty() {
                        small { (plan.untested.len()) " not tested here" }
                    }
                    @if count(Status::NotMeasurable) > 0 {
                        small { (count(Status::NotMeasurable)) " not measurable" }
                    }
                }
            }
            div {
                dt { "Points" }
                dd {
                    strong { (format::count(plan.points.len())) }
                    @if plan.replicates > 1 { small { "with " (plan.replicates) " seeds each" } }
                    @else { small { "one seed: intervals over seeds need more" } }
                }
            }
            div {
                dt { "Results" }
                dd {
                    strong { (format::count(done)) } " of " (format::counted(unique, "task"))
                    small { (format::seconds(seconds)) " of computing; " (state(study)) }
                }
            }
            (saving(study))
        }
    }
}

/// How the sweep ended.
fn state(study: &Study) -> &'static str {
    match study.status.as_ref().map(|status| status.state) {
        None | Some(SweepState::Running) => "the sweep has not ended",
        Some(SweepState::Done) => "all done",
        Some(SweepState::Failed) => "ended with failures",
        Some(SweepState::Cancelled) => "cancelled",
    }
}

/// Naive against unique stages, and the time of the tasks not repeated.
fn saving(study: &Study) -> Markup {
    let plan = &study.plan;
    let unique = plan.tasks.len() as u64;
    let saved = plan.stages_naive.saturating_sub(unique);
    let share = saved as f64 / plan.stages_naive.max(1) as f64;
    let mut uses: BTreeMap<usize, f64> = BTreeMap::new();
    for task in plan.points.iter().flat_map(|point| point.tasks.values()) {
        *uses.entry(*task).or_default() += 1.0;
    }
    let seconds: f64 = uses
        .iter()
        .filter_map(|(task, uses)| {
            let manifest = study.outcomes[*task].manifest.as_ref()?;
            Some(manifest.provenance.seconds * (uses - 1.0))
        })
        .sum();
    html! {
        div.saving {
            dt { "Saved by sharing" }
            dd {
                strong { (format!("{:.0}", share * 100.0)) "\u{202f}%" }
                " of " (plan.stages_naive) " stages"
                span.meter aria-hidden="true" {
                    span style=(format!("width:{:.1}%", (1.0 - share) * 100.0)) {}
                }
                small {
                    (plan.stages_naive) " naive, " (unique) " unique"
                    @if seconds > 0.5 { "; " (format::seconds(seconds)) " not computed again" }
                }
            }
        }
    }
}

pub(super) fn findings(study: &Study, verdicts: &[Verdict]) -> Markup {
    html! {
        section id="findings" {
            h2 { "Findings" }
            @if verdicts.is_empty() && study.plan.untested.is_empty() {
                p.empty { "The sweep file states no expectations." }
            } @else if !verdicts.is_empty() {
                table.findings {
                    thead {
                        tr { th { "Verdict" } th { "Expectation" } th { "Measured" } }
                    }
                    tbody { @for verdict in verdicts { (finding(study, verdict)) } }
                }
            }
            @for Untested { name, why } in &study.plan.untested {
                p.untested {
                    "Not tested here: " strong { (format::clean(name)) }
                    " (" (format::clean(why)) ")."
                }
            }
        }
    }
}

fn finding(study: &Study, verdict: &Verdict) -> Markup {
    let (class, word) = match verdict.status {
        Status::Pass => ("pass", "✓ pass"),
        Status::Fail => ("fail", "✗ fail"),
        Status::NotMeasurable => ("none", "— not measurable"),
    };
    let mut lines: Vec<(&str, Vec<&Reading>)> = Vec::new();
    for reading in &verdict.readings {
        match lines.iter_mut().find(|(label, _)| *label == reading.line) {
            Some((_, readings)) => readings.push(reading),
            None => lines.push((&reading.line, vec![reading])),
        }
    }
    html! {
        tr {
            td { span class={ "verdict " (class) } { (word) } }
            td {
                strong { (format::clean(&verdict.name)) }
                span.expected { (verdict.expected) }
                @if let Some(paper) = &verdict.paper {
                    span.paper { "Paper: " (format::clean(paper)) }
                }
            }
            td {
                span.metric { (format::metric_in(&verdict.metric, &verdict.unit)) }
                @for (label, readings) in &lines {
                    div.chain.loose[verdict.along.is_none()] {
                        @if !label.is_empty() { span.line { (label) } }
                        (chain(study, readings))
                    }
                }
                @if let Some(why) = &verdict.why {
                    span.why {
                        @if verdict.status == Status::Fail { "Against it: " } @else { "Why: " }
                        (format::clean(why)) "."
                    }
                }
            }
        }
    }
}

fn chain(study: &Study, readings: &[&Reading]) -> Markup {
    let hidden = |i: usize| readings.len() > CHAIN && i >= 5 && i < readings.len() - 3;
    html! {
        @for (i, reading) in readings.iter().enumerate() {
            @if hidden(i) {
                @if i == 5 { span.reading { span { "…" } } }
            } @else {
                span.reading {
                    span { (measured(study, &reading.measure, false)) }
                    @let at = if i == 0 { &reading.at } else { &reading.at_value };
                    @if let Some(at) = at { small { (at) } }
                }
            }
        }
    }
}
