//! What a plan amounts to, in numbers and as text.

use std::fmt;

use serde::Serialize;

use super::error::inert;
use super::plan::{Plan, Untested};

/// What a plan amounts to. `Display` is the text of `ablate plan`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanSummary {
    pub sweep: String,
    pub title: String,
    pub question: String,
    pub cost: String,
    pub axes: Vec<AxisSummary>,
    pub replicates: u64,
    pub points: u64,
    /// Stages that would run if no point shared anything.
    pub stages_naive: u64,
    /// Unique tasks.
    pub tasks: u64,
    /// Stages that sharing saves.
    pub shared: u64,
    /// In the order they can run.
    pub stages: Vec<StageSummary>,
    /// Expectations that the profile or an override leaves nothing to test at.
    pub untested: Vec<Untested>,
}

/// How many values an axis has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AxisSummary {
    pub name: String,
    pub values: u64,
}

/// What sharing saves on one stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageSummary {
    pub name: String,
    pub kind: String,
    /// Unique tasks.
    pub tasks: u64,
    /// Without sharing: all of them for each point.
    pub naive: u64,
    /// Shards of its work at each point; 1 where it is one task.
    pub shards: u64,
    /// Axes that enter it, by itself or through its ancestors.
    pub axes: Vec<String>,
}

/// Sums a plan up.
pub fn summary(plan: &Plan) -> PlanSummary {
    summed(plan, plan.points.len(), plan.tasks.len())
}

/// Of a plan that has so many.
pub(super) fn summed(plan: &Plan, points: usize, tasks: usize) -> PlanSummary {
    let (points, tasks) = (points as u64, tasks as u64);
    let axis = |axis: &super::plan::Axis| AxisSummary {
        name: axis.name.clone(),
        values: axis.values.len() as u64,
    };
    let stage = |stage: &super::plan::Stage| StageSummary {
        name: stage.name.clone(),
        kind: stage.kind.clone(),
        tasks: stage.tasks,
        naive: points * stage.at_a_point(),
        shards: stage.shards,
        axes: stage.axes.clone(),
    };
    PlanSummary {
        sweep: plan.sweep.to_string(),
        title: plan.title.clone(),
        question: plan.question.clone(),
        cost: plan.cost.clone(),
        axes: plan.axes.iter().map(axis).collect(),
        replicates: plan.replicates,
        points,
        stages_naive: plan.stages_naive,
        tasks,
        shared: plan.stages_naive.saturating_sub(tasks),
        stages: plan.stages.iter().map(stage).collect(),
        untested: plan.untested.clone(),
    }
}

impl fmt::Display for PlanSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sweep,
            title,
            points,
            tasks,
            shared,
            ..
        } = self;
        writeln!(f, "{sweep}: {}", inert(title, 200))?;
        for (word, text) in [("question", &self.question), ("cost", &self.cost)] {
            if !text.is_empty() {
                writeln!(f, "{word:<9} {}", inert(text, 400))?;
            }
        }
        let mut factors: Vec<String> = self.axes.iter().map(factor).collect();
        if self.replicates > 1 {
            factors.push(format!("replicates {}", self.replicates));
        }
        write!(f, "points    {points}")?;
        match factors.is_empty() {
            true => writeln!(f)?,
            false => writeln!(f, ", from {}", factors.join(", "))?,
        }
        let percent = 100 * shared / self.stages_naive.max(1);
        writeln!(
            f,
            "tasks     {tasks} instead of {}: sharing saves {shared} ({percent} %)",
            self.stages_naive
        )?;
        writeln!(f)?;
        let widest = |cells: &mut dyn Iterator<Item = usize>| cells.max().unwrap_or(0).max(5);
        let name = widest(&mut self.stages.iter().map(|s| s.name.len()));
        let kind = widest(&mut self.stages.iter().map(|s| s.kind.len()));
        writeln!(
            f,
            "{:name$}  {:kind$}  {:>7}  {:>7}  depends on",
            "stage", "kind", "tasks", "naive"
        )?;
        for stage in &self.stages {
            let shards = match stage.shards {
                1 => String::new(),
                shards => format!("  in {shards} shards"),
            };
            let line = format!(
                "{:name$}  {:kind$}  {:>7}  {:>7}  {}{shards}",
                stage.name,
                stage.kind,
                stage.tasks,
                stage.naive,
                stage.axes.join(", ")
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        if !self.untested.is_empty() {
            writeln!(f)?;
        }
        for Untested { name, why } in &self.untested {
            writeln!(f, "not tested here: {} ({why})", inert(name, 200))?;
        }
        Ok(())
    }
}

fn factor(axis: &AxisSummary) -> String {
    format!("{} {}", axis.name, axis.values)
}
