//! Tables of paired differences: one row a step along an axis, one column a
//! metric.

use maud::{Markup, html};

use super::cell::{ROWS, bounds, students, too_few};
use crate::report::format;
use crate::report::paired::{Difference, Paired, Step};

pub(super) fn table(paired: &Paired) -> Markup {
    let (all, steps) = (
        paired.steps.len(),
        &paired.steps[..paired.steps.len().min(ROWS)],
    );
    let Some(first) = steps.first() else {
        return html! {};
    };
    let others: Vec<&String> = first.others.keys().collect();
    html! {
        h4.paired { "Differences along " (format::axis(&paired.axis)) ", seed by seed" }
        @if steps.len() < all {
            p.empty {
                "Only " (format::count(ROWS)) " of " (format::count(all))
                " rows; differences.csv has all."
            }
        }
        div.scroll.fit tabindex="0" {
            table.numbers {
                thead {
                    tr {
                        @for axis in &others { th.axis scope="col" { (format::axis(axis)) } }
                        th.axis scope="col" { (format::axis(&paired.axis)) }
                        @for (i, difference) in first.differences.iter().enumerate() {
                            th scope="col" title=(format::clean(&difference.metric)) {
                                "Δ " (format::metric(&difference.metric))
                                @let unit = unit(steps, i);
                                @if !unit.is_empty() { small { (format::clean(unit)) } }
                            }
                        }
                    }
                }
                tbody {
                    @for step in steps {
                        tr {
                            @for axis in &others {
                                th.axis scope="row" {
                                    (step.others.get(*axis).map_or_else(String::new, format::value))
                                }
                            }
                            th.axis scope="row" { (between(step)) }
                            @for difference in &step.differences { td { (shown(difference)) } }
                        }
                    }
                }
            }
        }
    }
}

/// `3 → 5`.
pub(in crate::report) fn between(step: &Step) -> String {
    format!(
        "{} → {}",
        format::value(&step.from),
        format::value(&step.to)
    )
}

fn unit(steps: &[Step], metric: usize) -> &str {
    let mut columns = steps.iter().filter_map(|step| step.differences.get(metric));
    columns.find(|d| d.mean.is_some()).map_or("", |d| &d.unit)
}

fn shown(difference: &Difference) -> Markup {
    let why = difference.why.as_deref().map(format::clean);
    if difference.mean.is_none() {
        return html! {
            span.none { "—" }
            @if let Some(why) = &why { span.lost.reason { (why) } }
        };
    }
    let aside = match difference.interval {
        Some(interval) => Some(bounds(interval, &difference.unit)),
        None => too_few(difference.pairs),
    };
    html! {
        span.num { (difference.shown()) }
        @if let Some(aside) = aside { span.interval { (aside) } }
        @if let Some(student) = students(difference.student, &difference.unit) {
            span.interval { (student) }
        }
        span.pairs { (format::counted(difference.pairs, "pair")) }
        @if let Some(why) = &why { span.lost.reason { (why) } }
    }
}
