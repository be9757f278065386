//! What an agent and its runner say to each other: one JSON object a line,
//! on the runner's standard input and output. Its standard error is the log
//! of the task.
//!
//! A runner whose standard input closes has lost its agent and exits at once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ablate_proto::artifact::MetricRow;
use ablate_proto::capacity::Used;
use ablate_proto::failure::Failure;
use ablate_proto::id::AttemptId;
use ablate_proto::task::Task;
use serde::{Deserialize, Serialize};

/// One attempt, with everything it needs on the local disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub attempt: AttemptId,
    pub task: Task,
    /// Role → folder that holds the parent's artefact files.
    pub inputs: BTreeMap<String, PathBuf>,
    /// Folder for the files of this attempt; exists, and is empty.
    pub out: PathBuf,
    /// Newest intact checkpoint of an earlier attempt at this task.
    pub checkpoint: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToRunner {
    Run(Box<Job>),
    /// Write a checkpoint, end the current attempt as preempted, stay alive.
    Stop,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FromRunner {
    /// Sent once, before anything else.
    Ready { device: String, threads: usize },
    Progress {
        attempt: AttemptId,
        step: u64,
        total: u64,
        rows: Vec<MetricRow>,
    },
    /// A checkpoint was written, whole and synced, at `path` (outside `out`).
    Checkpoint {
        attempt: AttemptId,
        step: u64,
        path: PathBuf,
    },
    /// The process group of the program that the stage runs; none once it has
    /// ended, since its number may soon be another's. Should the runner die,
    /// the agent ends it.
    Program { group: Option<i32> },
    /// What is in the checkpoint that came with the job is not a state of this
    /// task: the stage starts over, and nobody else should try it.
    Unusable { attempt: AttemptId, why: String },
    /// Everything that shall be kept is in `out`.
    Done {
        attempt: AttemptId,
        metrics: Vec<MetricRow>,
        seconds: f64,
        resumed_from: Option<u64>,
        #[serde(default)]
        used: Used,
        /// Nothing shall be kept, and the folders of the attempt are as they
        /// were made.
        #[serde(default)]
        emptied: bool,
    },
    Failed {
        attempt: AttemptId,
        failure: Failure,
    },
}
