//! What is durable: the facts that the state is folded from.

use std::sync::Arc;

use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, SweepId, WorkerId};
use ablate_proto::status::Hold;
use ablate_proto::task::{SealedTask, Task};
use serde::Deserialize;

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
    },
    /// The result counts. Durable before the worker hears of it.
    TaskCommitted {
        attempt: AttemptId,
        seconds: f64,
        #[serde(default)]
        manifest: Option<[u8; 32]>,
        #[serde(default)]
        reused: bool,
    },
    /// An attempt ended without a result.
    AttemptFailed {
        attempt: AttemptId,
        failure: Failure,
    },
}
