//! Checks what the sweep file expects against what was measured.

use ablate_coordinator::sweep::plan::{At, Expectation, STEP, Trend};
use ablate_proto::id::TaskKey;
use serde::Serialize;

use super::format;
use super::stats::Interval;
use super::study::{Cell, Coordinates, Line, Measure, Study};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Pass,
    Fail,
    NotMeasurable,
}

/// An expectation and its outcome. `name`, `value`, `expected` and `why` are
/// free of control characters, fit for a terminal.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    pub name: String,
    pub status: Status,
    /// False also where nothing could be measured.
    pub pass: bool,
    /// What was measured, for people.
    pub value: String,
    pub expected: String,
    /// Why it failed or could not be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paper: Option<String>,
    pub stage: String,
    pub metric: String,
    pub unit: String,
    pub along: Option<String>,
    pub readings: Vec<Reading>,
}

/// One number that a verdict rests on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reading {
    /// Axes other than the one followed.
    pub line: String,
    /// Place on the axis followed.
    pub at: Option<String>,
    #[serde(skip)]
    pub at_value: Option<String>,
    pub coordinates: Coordinates,
    pub mean: Option<f64>,
    pub interval: Option<Interval>,
    pub student: Option<Interval>,
    pub replicates: usize,
    pub tasks: Vec<TaskKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    #[serde(skip)]
    pub measure: Measure,
}

pub(crate) fn verdicts(study: &Study) -> Vec<Verdict> {
    let expectations = &study.plan.expectations;
    expectations.iter().map(|e| check(study, e)).collect()
}

fn check(study: &Study, expectation: &Expectation) -> Verdict {
    let mut cells = study.cells(&expectation.stage);
    cells.retain(|cell| expectation.covers(&cell.coordinates));
    let along = expectation
        .along
        .clone()
        .or_else(|| only_axis(study, &cells));
    let lines: Vec<Vec<Reading>> = match &along {
        Some(axis) if axis == STEP => {
            let of = |cell: &Cell| over_steps(study, expectation, cell);
            cells.iter().map(of).collect()
        }
        Some(axis) => {
            let lines = study.lines(&cells, axis);
            let of = |line: &Line| readings(study, expectation, Some(axis), line);
            lines.iter().map(of).collect()
        }
        None => {
            let others = Coordinates::new();
            let line = Line { others, cells };
            vec![readings(study, expectation, None, &line)]
        }
    };
    let all = || lines.iter().flatten();
    let unit = all()
        .find(|r| r.mean.is_some())
        .map(|r| r.measure.unit.clone())
        .unwrap_or_default();

    let (status, why) = match judge(study, expectation, along.as_deref(), &lines) {
        Ok(()) => (Status::Pass, None),
        Err((status, why)) => (status, Some(format::clean(&why))),
    };
    Verdict {
        name: format::clean(&expectation.name),
        status,
        pass: status == Status::Pass,
        value: words(&lines, &unit),
        expected: expected(expectation, along.as_deref(), &unit),
        why,
        paper: expectation.paper.clone(),
        stage: expectation.stage.clone(),
        metric: expectation.metric.clone(),
        unit,
        along,
        readings: lines.into_iter().flatten().collect(),
    }
}

/// The axis that has to be meant when none is named.
fn only_axis(study: &Study, cells: &[Cell]) -> Option<String> {
    let varies = |name: &str| {
        let value = |cell: &Cell| cell.coordinates.get(name).cloned();
        cells
            .windows(2)
            .any(|pair| value(&pair[0]) != value(&pair[1]))
    };
    let mut axes = study.plan.axes.iter().filter(|axis| varies(&axis.name));
    match (axes.next(), axes.next()) {
        (Some(axis), None) => Some(axis.name.clone()),
        _ => None,
    }
}

fn readings(
    study: &Study,
    expectation: &Expectation,
    along: Option<&str>,
    line: &Line,
) -> Vec<Reading> {
    let cells = line.cells.as_slice();
    let bound_only = expectation.trend.is_none() && expectation.factor.is_none();
    let cells = match expectation.at {
        At::First if bound_only => cells.get(..1).unwrap_or_default(),
        At::Last if bound_only => cells.last().map(std::slice::from_ref).unwrap_or_default(),
        At::All | At::First | At::Last => cells,
    };
    let of = |cell: &Cell| {
        let measure = study.measure(cell, &expectation.metric);
        let at_value = along.and_then(|axis| cell.coordinates.get(axis));
        let at = along.zip(at_value.map(format::value));
        reading(study, cell, &line.others, at, measure)
    };
    cells.iter().map(of).collect()
}

/// The first and the last value are enough for a bound.
fn over_steps(study: &Study, expectation: &Expectation, cell: &Cell) -> Vec<Reading> {
    let steps: Vec<u64> = study.steps(cell, &expectation.metric).into_iter().collect();
    let steps = match (expectation.trend, expectation.at, steps.as_slice()) {
        (None, At::First, [first, ..]) => vec![*first],
        (None, At::Last, [.., last]) if expectation.factor.is_none() => vec![*last],
        _ => steps,
    };
    let of = |step: u64| {
        let measure = study.measure_at(cell, &expectation.metric, step);
        let at = Some((STEP, step.to_string()));
        reading(study, cell, &cell.coordinates, at, measure)
    };
    steps.into_iter().map(of).collect()
}

fn reading(
    study: &Study,
    cell: &Cell,
    line: &Coordinates,
    at: Option<(&str, String)>,
    measure: Measure,
) -> Reading {
    let tasks = cell.tasks.iter().map(|t| study.plan.tasks[*t].task.key);
    let missing = measure.mean.is_none();
    let named = |(axis, value): &(&str, String)| format!("{} = {value}", format::short_axis(axis));
    Reading {
        line: format::coordinates(line),
        at: at.as_ref().map(named),
        at_value: at.map(|(_, value)| value),
        coordinates: cell.coordinates.clone(),
        mean: measure.mean,
        interval: measure.interval,
        student: measure.student,
        replicates: measure.samples.len(),
        tasks: tasks.collect(),
        missing: missing.then(|| measure.why_missing().to_owned()),
        measure,
    }
}

type Judgement = Result<(), (Status, String)>;

/// A violation decides, whatever is missing; a pass needs every value.
fn judge(
    study: &Study,
    expectation: &Expectation,
    along: Option<&str>,
    lines: &[Vec<Reading>],
) -> Judgement {
    let unmeasurable = |why: String| Err((Status::NotMeasurable, why));
    if study.stage(&expectation.stage).is_none() {
        return unmeasurable(format!("the sweep has no stage “{}”", expectation.stage));
    }
    let bounds = [expectation.above, expectation.below, expectation.factor];
    if expectation.trend.is_none() && bounds.iter().all(Option::is_none) {
        return unmeasurable("it states no trend and no bound".into());
    }
    let spans = expectation.trend.is_some() || expectation.factor.is_some();
    let needs_axis = spans || expectation.at != At::All;
    match along {
        Some(STEP) => {}
        Some(axis) => {
            let carries = |r: &Reading| r.coordinates.contains_key(axis);
            if needs_axis && !lines.iter().flatten().all(carries) {
                let (stage, axis) = (&expectation.stage, format::axis(axis));
                return unmeasurable(format!("no axis “{axis}” enters the stage “{stage}”"));
            }
        }
        None if needs_axis => return unmeasurable("it names no axis to follow".into()),
        None => {}
    }
    if lines.iter().all(Vec::is_empty) {
        return unmeasurable("the stage has no points".into());
    }
    for line in lines {
        violation(expectation, line)?;
    }
    let count = lines.iter().map(Vec::len).sum::<usize>();
    let missing: Vec<&Reading> = lines
        .iter()
        .flatten()
        .filter(|r| r.mean.is_none())
        .collect();
    if let Some(first) = missing.first() {
        let place = match format::coordinates(&first.coordinates) {
            place if place.is_empty() => "the only one".to_owned(),
            place => place,
        };
        let why = first.missing.as_deref().unwrap_or("not measured");
        let points = format::counted(count, "point");
        let has = if missing.len() == 1 { "has" } else { "have" };
        return unmeasurable(format!(
            "{} of {points} {has} no value; {place}: {why}",
            missing.len()
        ));
    }
    if spans && lines.iter().any(|line| line.len() < 2) {
        return unmeasurable("a trend needs two points or more".into());
    }
    Ok(())
}

fn violation(expectation: &Expectation, line: &[Reading]) -> Judgement {
    let known: Vec<(&Reading, f64)> = line.iter().filter_map(|r| Some((r, r.mean?))).collect();
    let show = |(reading, _): &(&Reading, f64)| {
        let value = reading.measure.shown();
        match &reading.at {
            Some(at) => format!("{value} at {at}"),
            None => value,
        }
    };
    let within = |line: &str| match line {
        "" => String::new(),
        line => format!(" ({line})"),
    };
    if let Some(trend) = expectation.trend {
        for pair in known.windows(2) {
            let holds = match trend {
                Trend::Increasing => pair[1].1 > pair[0].1,
                Trend::Decreasing => pair[1].1 < pair[0].1,
            };
            if !holds {
                let (from, to) = (show(&pair[0]), show(&pair[1]));
                let line = within(&pair[0].0.line);
                return Err((Status::Fail, format!("{from}, then {to}{line}")));
            }
        }
    }
    if let (Some(factor), [first, .., last]) = (expectation.factor, known.as_slice()) {
        let whole = known.len() == line.len();
        if whole && last.1 < factor * first.1 {
            let (from, to) = (show(first), show(last));
            let line = within(&first.0.line);
            return Err((Status::Fail, format!("{from}, {to}{line}")));
        }
    }
    let bound: &[(&Reading, f64)] = match expectation.at {
        At::All => &known,
        // The end points count only where they were measured.
        At::First => known
            .first()
            .filter(|(r, _)| line.first().is_some_and(|f| f.at == r.at))
            .map(std::slice::from_ref)
            .unwrap_or_default(),
        At::Last => known
            .last()
            .filter(|(r, _)| line.last().is_some_and(|l| l.at == r.at))
            .map(std::slice::from_ref)
            .unwrap_or_default(),
    };
    for reading in bound {
        let low = expectation.above.is_some_and(|limit| reading.1 <= limit);
        let high = expectation.below.is_some_and(|limit| reading.1 >= limit);
        if low || high {
            let line = within(&reading.0.line);
            return Err((Status::Fail, format!("{}{line}", show(reading))));
        }
    }
    Ok(())
}

fn expected(expectation: &Expectation, along: Option<&str>, unit: &str) -> String {
    let axis = along.map(format::axis);
    let mut parts = Vec::new();
    if let Some(trend) = expectation.trend {
        let word = match trend {
            Trend::Increasing => "strictly increasing",
            Trend::Decreasing => "strictly decreasing",
        };
        parts.push(match &axis {
            Some(axis) => format!("{word} along {axis}"),
            None => word.to_owned(),
        });
    }
    if let Some(factor) = expectation.factor {
        let of = axis.as_ref().map(|axis| format!(" along {axis}"));
        let of = of.unwrap_or_default();
        parts.push(format!("the last at least {factor} times the first{of}"));
    }
    let space = if unit.is_empty() { "" } else { "\u{a0}" };
    let limit = |sign: &str, v: f64| format!("{sign}\u{a0}{v}{space}{}", format::clean(unit));
    let bounds: Vec<String> = [
        expectation.above.map(|v| limit(">", v)),
        expectation.below.map(|v| limit("<", v)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !bounds.is_empty() {
        let of = axis.map(|axis| format!(" {axis}")).unwrap_or_default();
        let place = match expectation.at {
            At::All => " everywhere".to_owned(),
            At::First => format!(" at the first{of}"),
            At::Last => format!(" at the last{of}"),
        };
        parts.push(format!("{}{place}", bounds.join(" and ")));
    }
    if !expectation.only.is_empty() {
        let only: Coordinates = expectation.only.clone();
        parts.push(format!("where {}", format::coordinates(&only)));
    }
    match parts.is_empty() {
        true => "nothing".to_owned(),
        false => parts.join("; "),
    }
}

fn words(lines: &[Vec<Reading>], unit: &str) -> String {
    let line = |readings: &Vec<Reading>| {
        let numbers: Vec<String> = readings.iter().map(|r| r.measure.shown()).collect();
        let label = readings.first().map_or("", |r| &r.line);
        let colon = if label.is_empty() { "" } else { ": " };
        format!("{label}{colon}{}", numbers.join(" → "))
    };
    let text = lines.iter().map(line).collect::<Vec<_>>().join("; ");
    match unit {
        "" => text,
        unit => format!("{text} {}", format::clean(unit)),
    }
}
