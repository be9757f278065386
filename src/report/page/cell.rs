//! A number on the page: its digits, its interval, and the links to the
//! tasks it comes from.

use maud::{Markup, html};

use crate::report::bootstrap::FEWEST;
use crate::report::format;
use crate::report::stats::{Interval, Method};
use crate::report::study::{Measure, Study};

/// Tasks that the page lists; `report.json` has all.
pub(crate) const LISTED: usize = 2000;
/// Rows of one of its tables; `report.csv` has all.
pub(crate) const ROWS: usize = 1000;

/// Name of a task's place on the page.
pub(crate) fn task_anchor(study: &Study, task: usize) -> String {
    let key = study.plan.tasks[task].task.key.to_string();
    format!("t-{}", &key[..16])
}

pub(crate) fn task_href(study: &Study, task: usize) -> String {
    match task < LISTED {
        true => format!("#{}", task_anchor(study, task)),
        // It says where the others are.
        false => "#provenance".to_owned(),
    }
}

/// Where a task's result comes from, in a line.
fn source(study: &Study, task: usize) -> String {
    let key = study.plan.tasks[task].task.key.short();
    let seed = study.seed(task);
    match &study.outcomes[task].manifest {
        Some(manifest) => {
            let attempt = manifest.attempt.number;
            format!("task {key}, attempt {attempt}, seed {seed}")
        }
        None if study.outcomes[task].gap.is_none() => {
            format!("task {key}, seed {seed}: done, left nothing")
        }
        None => format!("task {key}, seed {seed}: no result"),
    }
}

/// A task by the first digits of its key.
pub(crate) fn task_link(study: &Study, task: usize) -> Markup {
    let key = study.plan.tasks[task].task.key.short();
    html! { a.task href=(task_href(study, task)) title=(source(study, task)) { (key) } }
}

/// A measurement as text: mean and interval.
pub(crate) fn text(measure: &Measure) -> String {
    match measure.interval {
        Some(i) => format!("{} {}", measure.shown(), bounds(i, &measure.unit)),
        None => measure.shown(),
    }
}

pub(crate) fn bounds(interval: Interval, unit: &str) -> String {
    let half = interval.half();
    let bound = |v: f64| match interval.method {
        Method::Wilson => format!("{v:.3}"),
        Method::Bootstrap | Method::Student => format::known_within(v, half, unit),
    };
    match half > 0.0 {
        true => format!("[{}, {}]", bound(interval.low), bound(interval.high)),
        // A width of zero would claim that the mean is known.
        false => "all equal".to_owned(),
    }
}

/// Student's interval beside another, unless all values are equal.
pub(crate) fn students(interval: Option<Interval>, unit: &str) -> Option<String> {
    let interval = interval.filter(|interval| interval.half() > 0.0)?;
    Some(format!("t {}", bounds(interval, unit)))
}

/// Why several values have no interval.
pub(crate) fn too_few(values: usize) -> Option<String> {
    let several = (2..FEWEST).contains(&values);
    several.then(|| format!("{values} seeds: no interval"))
}

/// A measurement with its links. `intervals`: whether there is room for them.
pub(crate) fn measured(study: &Study, measure: &Measure, intervals: bool) -> Markup {
    if measure.mean.is_none() {
        let why = format::clean(measure.why_missing());
        let first = measure.missing.first().map(|(task, _)| *task);
        return html! {
            @match first {
                Some(task) => a.none href=(task_href(study, task)) title=(why) { "—" },
                None => span.none title=(why) { "—" },
            }
        };
    }
    let samples = measure.samples.as_slice();
    let Some(first) = samples.first() else {
        return html! { span.none { "—" } };
    };
    let lost = measure.missing.len();
    let mut title = source(study, first.task);
    if let Some(n) = first.n {
        title = format!("{title}, n = {n}");
    }
    if let (Some(interval), false) = (measure.interval, intervals) {
        let bounds = bounds(interval, &measure.unit);
        title = format!("{title}; {} {bounds}", interval.method.words());
    }
    let aside = match measure.interval {
        Some(interval) => Some(bounds(interval, &measure.unit)),
        None => too_few(samples.len()),
    };
    let aside = aside.filter(|_| intervals);
    let student = students(measure.student, &measure.unit).filter(|_| intervals);
    html! {
        a.num href=(task_href(study, first.task)) title=(title) { (measure.shown()) }
        @if let Some(aside) = aside { span.interval { (aside) } }
        @if let Some(student) = student { span.interval { (student) } }
        @if samples.len() > 1 && intervals {
            span.seeds {
                @for sample in samples {
                    a href=(task_href(study, sample.task)) title={
                        (source(study, sample.task)) ": "
                        (format::number(sample.value, &measure.unit))
                    } { (study.seed(sample.task)) }
                }
            }
        }
        @if lost > 0 {
            span.lost title=(format::clean(measure.why_missing())) {
                @if intervals { (lost) " of " (lost + samples.len()) " seeds missing" }
                @else { (samples.len()) " of " (lost + samples.len()) " seeds" }
            }
        }
    }
}
