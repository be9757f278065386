//! What can be asked about sweeps, tasks and workers.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::id::{SweepId, TaskKey, WorkerId};
use crate::message::MetricPoint;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepState {
    Running,
    Done,
    Failed,
    Cancelled,
}

impl SweepState {
    pub fn is_terminal(self) -> bool {
        self != Self::Running
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// For a parent.
    Waiting,
    /// For a slot.
    Ready,
    Running,
    Done,
    Failed,
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskStatus {
    pub key: TaskKey,
    pub label: String,
    pub kind: String,
    pub state: TaskState,
    /// Of the latest attempt; 0 before the first.
    pub attempt: u32,
    pub worker: Option<WorkerId>,
    pub step: u64,
    pub total: u64,
    pub seconds: f64,
    /// Of the latest failed attempt.
    pub failure: Option<Failure>,
    /// The latest metrics of a task that runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latest: Vec<MetricPoint>,
    /// It is done and left nothing, so that it has no manifest either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare: bool,
}

/// Why nothing of a sweep starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Whether a person paused it; else its tasks kept failing.
    pub person: bool,
    pub why: String,
}

/// Why a task is where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub task: TaskKey,
    pub label: String,
    pub state: TaskState,
    /// Number of the latest attempt; 0 before the first.
    pub attempt: u32,
    pub sweeps: Vec<SweepId>,
    /// Sentences.
    pub because: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepStatus {
    pub sweep: SweepId,
    pub state: SweepState,
    /// Its place in the order of submissions: the largest was the last.
    #[serde(default)]
    pub submitted: u64,
    pub points: u64,
    pub tasks: u64,
    pub done: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub running: u64,
    /// Done before this sweep asked for them.
    pub reused: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Hold>,
    /// Sweeps of higher priority go first.
    #[serde(default)]
    pub priority: i64,
    pub eta_seconds: Option<f64>,
    /// Between which it lies, by how far durations were off before.
    #[serde(default)]
    pub eta_range: Option<(f64, f64)>,
    /// Empty where only totals were asked for.
    pub rows: Vec<TaskStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    pub worker: WorkerId,
    pub host: String,
    pub device: String,
    pub slots: u32,
    pub running: u32,
    pub connected: bool,
    /// Why it gets nothing new, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    pub sweeps: Vec<SweepStatus>,
    pub workers: Vec<WorkerStatus>,
    /// Reports of attempts that were no longer their worker's, since the
    /// coordinator started.
    pub refused: u64,
}

/// What a submit answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    pub sweep: SweepId,
    pub points: u64,
    pub stages_naive: u64,
    pub tasks: u64,
    pub reused: u64,
    /// Sentences about weights that the sweep names and the store does not
    /// have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}
