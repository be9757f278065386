//! What a sweep file amounts to: its points, and the tasks they share.

use std::collections::BTreeMap;

use ablate_proto::id::SweepId;
use ablate_proto::task::Task;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Format of `plan.json`. A reader refuses a number it does not know.
pub const PLAN_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub version: u32,
    pub sweep: SweepId,
    pub title: String,
    /// The question that the sweep answers.
    pub question: String,
    /// What it takes to run, in the author's words.
    #[serde(default)]
    pub cost: String,
    pub profile: Option<String>,
    /// Sweeps of higher priority go first.
    #[serde(default)]
    pub priority: i64,
    pub axes: Vec<Axis>,
    pub replicates: u64,
    pub stages: Vec<Stage>,
    pub points: Vec<Point>,
    /// Stages that would run if no point shared anything.
    pub stages_naive: u64,
    /// Unique tasks, parents before children.
    pub tasks: Vec<PlannedTask>,
    pub expectations: Vec<Expectation>,
    /// Expectations of the file that a profile or an override leaves no point
    /// to test at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untested: Vec<Untested>,
    pub figures: Vec<Figure>,
}

/// An expectation that is not tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Untested {
    pub name: String,
    /// What was taken away.
    pub why: String,
}

/// An axis: a parameter with values. `name` is as written in the file, either
/// a parameter (`gamma`: enters every stage that has it) or a parameter of
/// one stage (`decoder.sigma`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    pub name: String,
    pub values: Vec<Value>,
}

/// A stage of the file, before axes are applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub name: String,
    pub kind: String,
    /// Role → name of the stage that plays it.
    pub inputs: BTreeMap<String, String>,
    /// Axes that enter it, by itself or through its ancestors.
    pub axes: Vec<String>,
    /// Unique tasks of this stage.
    pub tasks: u64,
    /// Tasks that share the work of one; then another puts it together.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub shards: u64,
}

fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_one(n: &u64) -> bool {
    *n == 1
}

impl Stage {
    /// Its tasks at one point.
    pub fn at_a_point(&self) -> u64 {
        match self.shards {
            0 | 1 => 1,
            shards => shards + 1,
        }
    }
}

/// One combination of axis values under one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub coordinates: BTreeMap<String, Value>,
    pub seed: u64,
    /// Stage name → index into `Plan::tasks`.
    pub tasks: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedTask {
    pub task: Task,
    /// The (first) stage it belongs to.
    pub stage: String,
    /// Values of the axes that enter it.
    pub coordinates: BTreeMap<String, Value>,
    /// Points that share it.
    pub points: u64,
}

/// What an expectation follows along instead of an axis.
pub const STEP: &str = "step";

/// A statement about the results that the report checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    pub name: String,
    pub stage: String,
    pub metric: String,
    /// The axis that `trend`, `first` and `last` follow, in the order of the
    /// file; or [`STEP`], the training steps of one task.
    #[serde(default)]
    pub along: Option<String>,
    /// Only where these axes have one of these values.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub only: BTreeMap<String, Value>,
    /// Strictly monotone in the mean over replicates.
    #[serde(default)]
    pub trend: Option<Trend>,
    #[serde(default)]
    pub above: Option<f64>,
    #[serde(default)]
    pub below: Option<f64>,
    /// Which points `above` and `below` bind.
    #[serde(default)]
    pub at: At,
    /// The last value is at least so many times the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// The paper's own number or words, quoted beside ours.
    #[serde(default)]
    pub paper: Option<String>,
}

impl Expectation {
    /// Whether it speaks of points with these coordinates.
    pub fn covers(&self, coordinates: &BTreeMap<String, Value>) -> bool {
        self.only.iter().all(|(axis, wanted)| {
            let value = coordinates.get(axis);
            match wanted {
                Value::Array(any) => value.is_some_and(|v| any.iter().any(|w| same(w, v))),
                one => value.is_some_and(|v| same(one, v)),
            }
        })
    }
}

/// Equal values; 1 and 1.0 are.
fn same(a: &Value, b: &Value) -> bool {
    a == b
        || a.as_f64()
            .zip(b.as_f64())
            .is_some_and(|(a, b)| a.total_cmp(&b).is_eq())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    Increasing,
    Decreasing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum At {
    #[default]
    All,
    First,
    Last,
}

/// A figure of the report. `kind` names an entry of the report's registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    pub kind: String,
    pub title: String,
    pub stage: String,
    /// The axis along x, where the figure has one.
    #[serde(default)]
    pub x: Option<String>,
    #[serde(default)]
    pub metrics: Vec<String>,
    /// Name of an artefact file (`nearest.png`), where the figure shows one.
    #[serde(default)]
    pub file: Option<String>,
    #[serde(default)]
    pub caption: Option<String>,
    /// Rows of papers to show beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quoted: Vec<Quoted>,
}

/// A row of a paper's table: quoted, not measured here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quoted {
    /// What the numbers are of.
    pub name: String,
    /// Paper and table.
    pub source: String,
    /// Column → the number as it is printed there.
    pub values: BTreeMap<String, String>,
}
