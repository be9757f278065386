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

/// Tokens; no secret is among them.
pub const AUTH: &str = "auth";

pub fn token(id: &str) -> String {
    format!("{AUTH}/tokens/{id}.json")
}

/// There once the token is revoked.
pub fn revoked_token(id: &str) -> String {
    format!("{AUTH}/revoked/{id}")
}
