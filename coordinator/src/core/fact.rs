//! What is durable: the facts that the state is folded from.

use std::sync::Arc;

use ablate_proto::capacity::{Grant, Used};
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, SweepId, TaskKey, WorkerId};
use ablate_proto::status::Hold;
use ablate_proto::task::{SealedTask, Task};
use serde::Deserialize;

use super::saved::{SavedDuration, SavedList, SavedSweep, SavedTask};

/// A planned sweep, as far as scheduling is concerned.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Submission {
    pub sweep: SweepId,
    pub points: u64,
    pub stages_naive: u64,
    /// Sweeps of higher priority go first.
    #[serde(default)]
    pub priority: i64,
    /// Parents before children.
    pub tasks: Vec<Arc<SealedTask>>,
}

impl Submission {
    /// A sweep of these tasks, of ordinary priority.
    pub fn new(sweep: SweepId, points: u64, tasks: &[Task]) -> Self {
        let seal = |task: &Task| Arc::new(task.clone().into());
        Self {
            sweep,
            points,
            stages_naive: tasks.len() as u64,
            priority: 0,
            tasks: tasks.iter().map(seal).collect(),
        }
    }
}

/// Something that happened and must not be forgotten.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// A sweep was accepted. The same name again replaces its task list;
    /// its failed and cancelled tasks get another chance.
    SweepSubmitted(Submission),
    /// Results of tasks that no sweep named were found to be removed: they
    /// are to be computed again when a sweep names them.
    ResultsGone(Vec<TaskKey>),
    /// No task of the sweep runs any more, unless another sweep wants it.
    SweepCancelled(SweepId),
    /// Nothing of the sweep starts until it is released.
    SweepHeld {
        sweep: SweepId,
        hold: Hold,
    },
    SweepReleased(SweepId),
    /// Its failed tasks, or those of a class, got another chance.
    SweepRetried {
        sweep: SweepId,
        class: Option<FailureClass>,
    },
    /// It goes before others, or after them.
    SweepPrioritised {
        sweep: SweepId,
        priority: i64,
    },
    /// A lease was given. Durable before the worker hears of it, so that no
    /// attempt number is ever used twice.
    AttemptStarted {
        attempt: AttemptId,
        worker: WorkerId,
        #[serde(default)]
        grant: Grant,
    },
    /// The result counts. Durable before the worker hears of it.
    TaskCommitted {
        attempt: AttemptId,
        seconds: f64,
        #[serde(default)]
        manifest: Option<[u8; 32]>,
        #[serde(default)]
        reused: bool,
        #[serde(default)]
        used: Used,
    },
    /// An attempt ended without a result.
    AttemptFailed {
        attempt: AttemptId,
        failure: Failure,
    },
    /// Facts of a snapshot, which come before all others: its sweeps, their
    /// tasks, which tasks are of which sweep, and durations that were learned.
    #[serde(skip_deserializing)]
    SavedSweep(SavedSweep),
    #[serde(skip_deserializing)]
    SavedTasks(Vec<SavedTask>),
    #[serde(skip_deserializing)]
    SavedList(SavedList),
    #[serde(skip_deserializing)]
    SavedDurations(Vec<SavedDuration>),
}
