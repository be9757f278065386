//! Where things lie below the root of the store. Keys only; no I/O.

use crate::id::{AttemptId, SweepId, TaskKey};

/// The coordinator's database.
pub const STATE: &str = "state";

/// Objects that the start of a coordinator writes to try the store.
pub const PROBE: &str = "probe";

/// What `ablate gc` is about to remove.
pub const GC: &str = "gc";

pub const TASKS: &str = "tasks";

pub const SWEEPS: &str = "sweeps";

/// Which coordinator serves; see [`crate::current`].
pub const COORDINATOR: &str = "coordinator";

/// The coordinator of this epoch; written by it alone.
pub fn coordinator(epoch: u64) -> String {
    format!("{COORDINATOR}/{epoch:016x}.json")
}

/// Create-if-absent: who takes over from the coordinator of this epoch. A
/// later round is for the case that the one who said so never did.
pub fn takeover(epoch: u64, round: u32) -> String {
    format!("{COORDINATOR}/{epoch:016x}.takeover-{round}")
}

/// The epoch in the name of an object of [`coordinator`].
pub fn epoch(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    let known = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    known.then(|| u64::from_str_radix(digits, 16).ok())?
}

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

/// Files that travel with sweeps.
pub const FILES: &str = "files";

/// A file that travels with sweeps, by the blake3 of its content.
pub fn travelling_file(blake3: &str) -> String {
    format!("{FILES}/{blake3}")
}

/// Imported data sets.
pub const DATA: &str = "data";

pub const DATA_NAMES: &str = "data/names";

pub const DATA_SHARDS: &str = "data/shards";

/// What a data set is; see [`crate::dataset`].
pub fn dataset_meta(digest: &str) -> String {
    format!("{DATA}/{digest}/meta.json")
}

pub fn dataset_shard(blake3: &str) -> String {
    format!("{DATA_SHARDS}/{blake3}")
}

pub fn dataset_name(name: &str) -> String {
    format!("{DATA_NAMES}/{name}.json")
}

/// Weights of networks that metrics use.
pub const WEIGHTS: &str = "weights";

pub const WEIGHTS_NAMES: &str = "weights/names";

/// Weights, by the blake3 of their file.
pub fn weights(blake3: &str) -> String {
    format!("{WEIGHTS}/{blake3}")
}

/// What a name stands for; see [`crate::weights`].
pub fn weights_name(name: &str) -> String {
    format!("{WEIGHTS_NAMES}/{name}.json")
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
