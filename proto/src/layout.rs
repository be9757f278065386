//! Where things lie below the root of the store. Keys only; no I/O.

use crate::id::{AttemptId, SweepId, TaskKey};

/// The coordinator's database.
pub const STATE: &str = "state";

pub fn task_dir(task: &TaskKey) -> String {
    format!("tasks/{task}")
}

/// Create-if-absent: the result of a task.
pub fn manifest(task: &TaskKey) -> String {
    format!("tasks/{task}/manifest.json")
}

pub fn attempt_file(attempt: &AttemptId, name: &str) -> String {
    format!("tasks/{}/{}/{name}", attempt.task, attempt.number)
}

/// A file that travels with sweeps, by the blake3 of its content.
pub fn travelling_file(blake3: &str) -> String {
    format!("files/{blake3}")
}

pub fn sweep_file(sweep: &SweepId) -> String {
    format!("sweeps/{sweep}/sweep.toml")
}

pub fn plan(sweep: &SweepId) -> String {
    format!("sweeps/{sweep}/plan.json")
}

/// How a sweep ended: every task's state, with class and cause of failures.
pub fn outcome(sweep: &SweepId) -> String {
    format!("sweeps/{sweep}/outcome.json")
}

pub fn report_file(sweep: &SweepId, name: &str) -> String {
    format!("sweeps/{sweep}/report/{name}")
}
