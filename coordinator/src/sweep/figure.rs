//! `[[figure]]`: what the report draws. The report holds one renderer for each
//! entry of `FIGURE_KINDS`.

use super::error::{Fault, Hint, Problem};
use super::expect::{self, Listed, Subject, bad_metric, is_metric};
use super::plan::{Figure, Plan};
use super::quoted;
use super::read::{Entry, bad_text};

/// A kind of figure, and what it needs.
#[derive(Debug)]
pub struct FigureKind {
    pub name: &'static str,
    /// One line for the reference.
    pub summary: &'static str,
    /// Needs `x`, an axis.
    pub x: bool,
    /// Needs `metrics`.
    pub metrics: bool,
    /// Needs `file`.
    pub file: bool,
}

/// The figures that a report can draw.
pub const FIGURE_KINDS: &[FigureKind] = &[
    FigureKind {
        name: "curve",
        summary: "metrics against an axis, as lines",
        x: true,
        metrics: true,
        file: false,
    },
    FigureKind {
        name: "bars",
        summary: "metrics for each value of an axis, as bars",
        x: true,
        metrics: true,
        file: false,
    },
    FigureKind {
        name: "training",
        summary: "metrics against training steps; histograms over steps",
        x: false,
        metrics: true,
        file: false,
    },
    FigureKind {
        name: "normalised",
        summary: "metrics against training steps, each from a run's own least to its largest value",
        x: false,
        metrics: true,
        file: false,
    },
    FigureKind {
        name: "thresholds",
        summary: "metrics `…_by_db` against their threshold in dB, a line for each point",
        x: false,
        metrics: true,
        file: false,
    },
    FigureKind {
        name: "images",
        summary: "an image that the stage left, for each of its tasks",
        x: false,
        metrics: false,
        file: true,
    },
];

/// The keys of a figure.
const KEYS: &[&str] = &[
    "kind", "title", "stage", "x", "metrics", "file", "caption", "quoted",
];

/// Reads all `[[figure]]`.
pub(super) fn read(entry: &Entry<'_, '_>) -> Result<Vec<Listed<Figure>>, Fault> {
    for (_, figure) in entry.tables()? {
        let fields = figure.get_ref().as_table().map(|t| entry.scope.entries(t));
        let fields = fields.unwrap_or_default();
        if let Some(rows) = fields.iter().find(|field| field.key == "quoted") {
            quoted::check(rows)?;
        }
    }
    expect::read(entry, KEYS)
}

/// Checks a figure against the plan it belongs to.
pub(super) fn check(plan: &Plan, listed: &Listed<Figure>) -> Result<(), Fault> {
    let figure = &listed.item;
    let refuse = |key: &str, why: String| {
        let title = figure.title.clone();
        Err(Fault::new(
            listed.key(key),
            Problem::BadFigure { title, why },
        ))
    };
    for (key, text) in [
        ("title", Some(&figure.title)),
        ("caption", figure.caption.as_ref()),
    ] {
        if let Some(why) = text.and_then(|text| bad_text(text)) {
            return refuse(key, format!("its {key} {why}"));
        }
    }
    let Some(kind) = FIGURE_KINDS.iter().find(|kind| kind.name == figure.kind) else {
        let hint = Hint::new(&figure.kind, FIGURE_KINDS.iter().map(|kind| kind.name));
        let kind = super::error::Name(&figure.kind);
        return refuse("kind", format!("unknown kind {kind}{hint}"));
    };
    let subject = Subject {
        plan,
        by: format!("figure `{}`", super::error::inert(&figure.title, 80)),
    };
    subject.stage(&figure.stage, listed.key("stage"))?;
    for (key, needed, given) in [
        ("x", kind.x, figure.x.is_some()),
        ("metrics", kind.metrics, !figure.metrics.is_empty()),
        ("file", kind.file, figure.file.is_some()),
    ] {
        let kind = kind.name;
        match (needed, given) {
            (true, false) => {
                return refuse(key, format!("a figure of kind `{kind}` needs `{key}`"));
            }
            (false, true) => {
                return refuse(key, format!("a figure of kind `{kind}` has no `{key}`"));
            }
            (true, true) | (false, false) => {}
        }
    }
    if let Some(axis) = &figure.x {
        subject.axis(&figure.stage, axis, listed.key("x"))?;
    }
    if let Some(metric) = figure.metrics.iter().find(|metric| !is_metric(metric)) {
        return refuse("metrics", bad_metric(metric));
    }
    match &figure.file {
        Some(file) if !is_file_name(file) => {
            let file = super::error::Name(file);
            refuse(
                "file",
                format!("{file} is not a plain file name such as nearest.png"),
            )
        }
        _ => Ok(()),
    }
}

fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.len() <= 120 && name.chars().all(plain) && !name.starts_with('.')
}
