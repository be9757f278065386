//! The rows of the core: tasks, sweeps, workers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, SweepId, TaskKey, WorkerId};
use ablate_proto::status::{Hold, TaskState};
use ablate_proto::task::Task;

use super::Now;

#[derive(Debug)]
pub(super) struct TaskEntry {
    pub(super) task: Task,
    pub(super) state: State,
    /// Number of the latest attempt; 0 before the first.
    pub(super) attempts: u32,
    pub(super) failures: BTreeMap<FailureClass, u32>,
    pub(super) last_failure: Option<Failure>,
    pub(super) children: Vec<TaskKey>,
    /// Sweeps that contain it, and those of them that are not cancelled.
    pub(super) in_sweeps: BTreeSet<SweepId>,
    pub(super) wanted_by: BTreeSet<SweepId>,
    /// Milliseconds from its start to the end of the longest chain below it.
    pub(super) rank: u64,
    /// Place in the order of submission.
    pub(super) order: u64,
    /// Workers on which an attempt failed; another is tried first.
    pub(super) failed_on: BTreeSet<WorkerId>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    Waiting {
        missing: usize,
    },
    Ready,
    /// Will be tried again at `until`.
    Delayed {
        until: Now,
    },
    Leased(Lease),
    Done {
        attempt: u32,
        seconds: f64,
    },
    Failed,
    Cancelled,
}

/// Who runs a task, under which number. Valid while the worker is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lease {
    pub(super) worker: WorkerId,
    pub(super) attempt: u32,
    pub(super) since: Now,
    pub(super) step: u64,
    pub(super) total: u64,
}

impl State {
    pub(super) fn public(&self) -> TaskState {
        match self {
            Self::Waiting { .. } => TaskState::Waiting,
            Self::Ready | Self::Delayed { .. } => TaskState::Ready,
            Self::Leased(_) => TaskState::Running,
            Self::Done { .. } => TaskState::Done,
            Self::Failed => TaskState::Failed,
            Self::Cancelled => TaskState::Cancelled,
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        match self {
            Self::Done { .. } | Self::Failed | Self::Cancelled => true,
            Self::Waiting { .. } | Self::Ready | Self::Delayed { .. } | Self::Leased(_) => false,
        }
    }
}

impl TaskEntry {
    /// Whether it runs a program of the author's, which not every worker does.
    pub(super) fn is_command(&self) -> bool {
        self.task.spec.kind().is_open()
    }

    /// Its place among what is ready.
    pub(super) fn place(&self) -> (Reverse<u64>, u64, TaskKey) {
        (Reverse(self.rank), self.order, self.task.key)
    }

    /// The lease, if `worker` holds this very attempt.
    pub(super) fn lease_of(&self, worker: &WorkerId, attempt: AttemptId) -> Option<&Lease> {
        match &self.state {
            State::Leased(lease) if lease.worker == *worker && lease.attempt == attempt.number => {
                Some(lease)
            }
            State::Leased(_)
            | State::Waiting { .. }
            | State::Ready
            | State::Delayed { .. }
            | State::Done { .. }
            | State::Failed
            | State::Cancelled => None,
        }
    }
}

/// Tasks of a sweep by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) waiting: u64,
    pub(super) ready: u64,
    pub(super) running: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
}

impl Counts {
    pub(super) fn of(&mut self, state: TaskState) -> &mut u64 {
        match state {
            TaskState::Waiting => &mut self.waiting,
            TaskState::Ready => &mut self.ready,
            TaskState::Running => &mut self.running,
            TaskState::Done => &mut self.done,
            TaskState::Failed => &mut self.failed,
            TaskState::Cancelled => &mut self.cancelled,
        }
    }
}

#[derive(Debug)]
pub(super) struct Sweep {
    /// Its place in the order of submissions.
    pub(super) submitted: u64,
    pub(super) points: u64,
    pub(super) stages_naive: u64,
    pub(super) tasks: Vec<TaskKey>,
    pub(super) counts: Counts,
    /// Its tasks in the order in which they ended, for those who follow it.
    pub(super) ended: Vec<TaskKey>,
    /// Done before this sweep asked for them.
    pub(super) reused: u64,
    pub(super) cancelled: bool,
    pub(super) held: Option<Hold>,
    /// Tasks given up, by what they have in common.
    pub(super) same: BTreeMap<String, u32>,
    pub(super) end: End,
}

/// How far the end of a sweep has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    NotYet,
    /// Every task ended; the outcome is being stored.
    Storing,
    Stored,
}

impl Sweep {
    /// Nothing of it is to be waited for. Tasks of a cancelled sweep that
    /// another one wants may go on.
    pub(super) fn all_ended(&self) -> bool {
        let Counts {
            waiting,
            ready,
            running,
            ..
        } = self.counts;
        self.cancelled || waiting + ready + running == 0
    }
}

/// Why a worker is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aside {
    /// A person drains it.
    Drained,
    /// Everything failed on it; it is tried again then.
    Failing { until: Now },
}

#[derive(Debug)]
pub(super) struct Worker {
    /// Number of its session; `None` while it has no connection.
    pub(super) session: Option<u64>,
    pub(super) host: String,
    pub(super) device: String,
    pub(super) slots: u32,
    /// Whether it runs programs of users.
    pub(super) commands: bool,
    pub(super) draining: bool,
    /// Gets nothing new: by a person's wish, or after failing everything.
    pub(super) aside: Option<Aside>,
    /// What failed on it since the last that did not.
    pub(super) failed: Vec<TaskKey>,
    pub(super) held: BTreeSet<AttemptId>,
    /// Tasks whose results it computed, and so has in its cache.
    pub(super) cached: HashSet<TaskKey>,
    /// Its leases end then, unless it renews.
    pub(super) deadline: Now,
}

impl Worker {
    /// A worker known only by the leases it holds.
    pub(super) fn absent(deadline: Now) -> Self {
        Self {
            session: None,
            host: String::new(),
            device: String::new(),
            slots: 0,
            commands: false,
            draining: false,
            aside: None,
            failed: Vec::new(),
            held: BTreeSet::new(),
            cached: HashSet::new(),
            deadline,
        }
    }

    pub(super) fn takes_tasks(&self) -> bool {
        self.session.is_some() && !self.draining && self.aside.is_none()
    }
}
