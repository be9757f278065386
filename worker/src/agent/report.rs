//! How an attempt ended.

use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::AttemptId;
use ablate_proto::message::{Commit, FromWorker};

/// How an attempt ended; kept and repeated until the coordinator has
/// acknowledged it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Report {
    Commit(Commit),
    Fail(Failure),
}

impl Report {
    pub(super) fn message(&self, attempt: AttemptId) -> FromWorker {
        match self {
            Self::Commit(commit) => FromWorker::Commit(attempt, commit.clone()),
            Self::Fail(failure) => FromWorker::Fail(attempt, failure.clone()),
        }
    }

    pub(super) fn preempted() -> Self {
        Self::Fail(Failure::new(
            FailureClass::Preempted,
            "the worker was asked to go before it had begun this task",
        ))
    }

    pub(super) fn returned() -> Self {
        Self::Fail(Failure::new(
            FailureClass::Preempted,
            "handed back before it had begun, since another worker was free",
        ))
    }
}
