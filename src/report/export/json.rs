//! `report.json`: everything the page shows, and the curves in full.

use ablate_coordinator::sweep::plan::{Figure, Untested};
use ablate_proto::artifact::{Manifest, MetricRow};
use ablate_proto::id::TaskKey;
use ablate_proto::status::SweepState;
use serde::Serialize;

use crate::report::ReportError;
use crate::report::gap::Gap;
use crate::report::paired::{Paired, paired};
use crate::report::stats::Interval;
use crate::report::study::{Coordinates, Study};
use crate::report::verdict::Verdict;

#[derive(Serialize)]
struct Everything<'a> {
    version: u32,
    sweep: &'a str,
    title: &'a str,
    question: &'a str,
    profile: Option<&'a str>,
    /// Absent while the sweep runs.
    state: Option<SweepState>,
    points: usize,
    stages_naive: u64,
    tasks_unique: usize,
    verdicts: &'a [Verdict],
    /// Expectations that were not tested, and why.
    untested: &'a [Untested],
    tables: Vec<Table<'a>>,
    /// As the sweep file asks for them, with rows quoted from papers.
    figures: &'a [Figure],
    tasks: Vec<TaskEntry<'a>>,
    remarks: &'a [String],
    sweep_file: Option<&'a str>,
}

/// Means over replicates, one row a point of a stage.
#[derive(Serialize)]
struct Table<'a> {
    stage: &'a str,
    rows: Vec<Row>,
    /// Between neighbouring values of each axis, seed by seed.
    differences: Vec<Paired>,
}

#[derive(Serialize)]
struct Row {
    coordinates: Coordinates,
    metric: String,
    unit: String,
    mean: Option<f64>,
    interval: Option<Interval>,
    /// Of fewer than twenty replicates, for which the bootstrap is too narrow.
    student: Option<Interval>,
    replicates: usize,
    tasks: Vec<TaskKey>,
    missing: Vec<String>,
}

/// A task with where its result comes from.
#[derive(Serialize)]
struct TaskEntry<'a> {
    task: TaskKey,
    stage: &'a str,
    label: &'a str,
    coordinates: &'a Coordinates,
    seed: u64,
    gap: Option<&'a Gap>,
    /// Attempt, config, inputs, digests, provenance and final metrics.
    manifest: Option<&'a Manifest>,
    curves: &'a [MetricRow],
    remarks: &'a [String],
}

pub(crate) fn everything(study: &Study, verdicts: &[Verdict]) -> Result<Vec<u8>, ReportError> {
    let plan = &study.plan;
    let tasks = plan.tasks.iter().zip(&study.outcomes);
    let everything = Everything {
        version: 1,
        sweep: plan.sweep.as_str(),
        title: &plan.title,
        question: &plan.question,
        profile: plan.profile.as_deref(),
        state: study.status.as_ref().map(|status| status.state),
        points: plan.points.len(),
        stages_naive: plan.stages_naive,
        tasks_unique: plan.tasks.len(),
        verdicts,
        untested: &plan.untested,
        figures: &plan.figures,
        tables: plan.stages.iter().map(|s| table(study, &s.name)).collect(),
        tasks: tasks
            .map(|(planned, outcome)| TaskEntry {
                task: planned.task.key,
                stage: &planned.stage,
                label: &planned.task.label,
                coordinates: &planned.coordinates,
                seed: planned.task.seed,
                gap: outcome.gap.as_ref(),
                manifest: outcome.manifest.as_ref(),
                curves: &outcome.curves,
                remarks: &outcome.remarks,
            })
            .collect(),
        remarks: &study.remarks,
        sweep_file: study.sweep_file.as_deref(),
    };
    Ok(serde_json::to_vec_pretty(&everything)?)
}

fn table<'a>(study: &Study, stage: &'a str) -> Table<'a> {
    let cells = study.cells(stage);
    let metrics = study.metrics(&cells);
    let mut rows = Vec::new();
    for cell in &cells {
        for metric in &metrics {
            let measure = study.measure(cell, metric);
            rows.push(Row {
                coordinates: cell.coordinates.clone(),
                metric: metric.clone(),
                unit: measure.unit,
                mean: measure.mean,
                interval: measure.interval,
                student: measure.student,
                replicates: measure.samples.len(),
                tasks: cell
                    .tasks
                    .iter()
                    .map(|t| study.plan.tasks[*t].task.key)
                    .collect(),
                missing: measure.missing.into_iter().map(|(_, why)| why).collect(),
            });
        }
    }
    Table {
        stage,
        rows,
        differences: paired(study, stage),
    }
}
