//! What is durable: the facts that the state is folded from.

use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, SweepId, TaskKey, WorkerId};
use ablate_proto::status::Hold;
use ablate_proto::task::Task;
use serde::{Deserialize, Serialize};

/// A planned sweep, as far as scheduling is concerned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    pub sweep: SweepId,
    pub points: u64,
    pub stages_naive: u64,
    /// Parents before children.
    pub tasks: Vec<Task>,
}

/// Something that happened and must not be forgotten.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
        #[serde(default, skip_serializing_if = "Option::is_none")]
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
