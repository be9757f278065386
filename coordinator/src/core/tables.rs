//! The rows of the core: tasks, sweeps, workers. Kept small: there may be a
//! million tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use ablate_proto::capacity::Grant;
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, TaskKey, WorkerId};
use ablate_proto::status::TaskState;
use ablate_proto::task::SealedTask;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::Now;
use super::queue::Kin;
use crate::policy::Class;

/// Place of a task in the table, and in the order of submission: parents come
/// before their children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TaskIx(u32);

impl TaskIx {
    /// No task ever stands there.
    pub(super) const UNKNOWN: Self = Self(u32::MAX);
}

/// Place of a sweep in its table. A sweep that is submitted again keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SweepIx(pub(super) u32);

macro_rules! numbered {
    ($name:ident) => {
        impl $name {
            pub(super) fn of(number: u32) -> Self {
                Self(number)
            }

            pub(super) fn number(self) -> u32 {
                self.0
            }
        }
    };
}

numbered!(TaskIx);
numbered!(SweepIx);

pub(super) fn place(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct TaskEntry {
    pub(super) task: Arc<SealedTask>,
    pub(super) class: Class,
    /// As the task says, which is seldom in a cache.
    pub(super) work: f32,
    pub(super) state: State,
    /// Number of the latest attempt; 0 before the first.
    pub(super) attempts: u32,
    /// Milliseconds from its start to the end of the longest chain below it.
    pub(super) rank: u64,
    /// One for each of its inputs.
    pub(super) parents: SmallVec<[TaskIx; 4]>,
    pub(super) children: SmallVec<[TaskIx; 4]>,
    pub(super) claims: SmallVec<[Claim; 2]>,
    /// The worker that computed its result, and so has it in its cache.
    pub(super) home: Option<WorkerId>,
    pub(super) trouble: Option<Box<Trouble>>,
}

/// A sweep that contains a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) sweep: SweepIx,
    /// Unless the sweep was cancelled.
    pub(super) wants: bool,
}

/// What few tasks have.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble {
    pub(super) failures: BTreeMap<FailureClass, u32>,
    pub(super) last: Option<Failure>,
    /// Workers on which an attempt failed; another is tried first.
    pub(super) failed_on: BTreeSet<WorkerId>,
    /// Binary logarithm of the bytes that it needs at least, after it ran out
    /// of less; else 0.
    pub(super) raised: u8,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    Waiting {
        missing: u32,
    },
    Ready,
    /// Will be tried again at `until`.
    Delayed {
        until: Now,
    },
    Leased(Box<Lease>),
    Done {
        attempt: u32,
        /// Without a manifest: it left nothing.
        bare: bool,
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
    pub(super) grant: Grant,
    pub(super) step: u64,
    pub(super) total: u64,
    /// Milliseconds of service that its sweeps were charged for it.
    pub(super) charged: u64,
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

impl Lease {
    /// Whether it is of this worker, under this number.
    fn is(&self, worker: &WorkerId, attempt: u32) -> bool {
        if planted!(NoFencing) {
            return true;
        }
        let current = self.attempt == attempt;
        self.worker == *worker && (current || planted!(StaleAttempt))
    }
}

impl TaskEntry {
    /// The lease, if `worker` holds this very attempt.
    pub(super) fn lease_of(&self, worker: &WorkerId, attempt: AttemptId) -> Option<&Lease> {
        match &self.state {
            State::Leased(lease) if lease.is(worker, attempt.number) => Some(lease),
            State::Leased(_)
            | State::Waiting { .. }
            | State::Ready
            | State::Delayed { .. }
            | State::Done { .. }
            | State::Failed
            | State::Cancelled => None,
        }
    }

    /// Whether it is done and left nothing.
    pub(super) fn is_bare(&self) -> bool {
        matches!(self.state, State::Done { bare: true, .. })
    }

    /// What its lease may take of its worker.
    pub(super) fn grant(&self) -> Grant {
        match &self.state {
            State::Leased(lease) => lease.grant,
            State::Waiting { .. }
            | State::Ready
            | State::Delayed { .. }
            | State::Done { .. }
            | State::Failed
            | State::Cancelled => Grant::default(),
        }
    }

    pub(super) fn kin(&self) -> Kin {
        Kin {
            class: self.class,
            raised: self.trouble.as_ref().map_or(0, |trouble| trouble.raised),
        }
    }

    pub(super) fn in_sweeps(&self) -> impl Iterator<Item = SweepIx> {
        self.claims.iter().map(|claim| claim.sweep)
    }

    pub(super) fn wanted_by(&self) -> impl Iterator<Item = SweepIx> {
        let wants = self.claims.iter().filter(|claim| claim.wants);
        wants.map(|claim| claim.sweep)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.claims.iter().any(|claim| claim.wants)
    }

    pub(super) fn claim(&mut self, sweep: SweepIx) {
        match self.claims.iter_mut().find(|claim| claim.sweep == sweep) {
            Some(claim) => claim.wants = true,
            None => self.claims.push(Claim { sweep, wants: true }),
        }
    }

    pub(super) fn last_failure(&self) -> Option<&Failure> {
        self.trouble.as_ref()?.last.as_ref()
    }

    pub(super) fn trouble(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }
}

/// Keys are hashes already.
fn hash(key: &TaskKey) -> u64 {
    key.as_bytes()
        .first_chunk()
        .map_or(0, |first| u64::from_le_bytes(*first))
}

/// All tasks, by place and by key.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
pub(super) struct Tasks {
    rows: Vec<TaskEntry>,
    /// Places by key; the keys stand in the rows.
    by_key: HashTable<TaskIx>,
    /// Whose key is probably asked for next.
    at_hand: TaskIx,
}

impl Tasks {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The key of this one is asked for next: it is found without a look into
    /// the table, which is large and seldom in a cache.
    pub(super) fn expect(&mut self, ix: TaskIx) {
        self.at_hand = ix;
    }

    pub(super) fn find(&self, key: &TaskKey) -> Option<TaskIx> {
        let at_hand = self.rows.get(self.at_hand.0 as usize);
        if at_hand.is_some_and(|entry| entry.task.key == *key) {
            return Some(self.at_hand);
        }
        let is = |ix: &TaskIx| self[*ix].task.key == *key;
        self.by_key.find(hash(key), is).copied()
    }

    pub(super) fn get(&self, key: &TaskKey) -> Option<&TaskEntry> {
        self.find(key).map(|ix| &self[ix])
    }

    /// The parents of a task, as its inputs name them; `None` for one that is
    /// not known.
    pub(super) fn parents(&self, ix: TaskIx) -> impl Iterator<Item = Option<&TaskEntry>> {
        let parents = self[ix].parents.iter();
        parents.map(|parent| self.rows.get(parent.0 as usize))
    }

    /// The one after the last.
    pub(super) fn next(&self) -> TaskIx {
        TaskIx(place(self.rows.len()))
    }

    pub(super) fn reserve(&mut self, more: usize) {
        self.rows.reserve(more);
        let rows = &self.rows;
        let hashed = |ix: &TaskIx| hash(&rows[ix.0 as usize].task.key);
        self.by_key.reserve(more, hashed);
    }

    pub(super) fn push(&mut self, entry: TaskEntry) -> TaskIx {
        let ix = self.next();
        let hash_of = hash(&entry.task.key);
        self.rows.push(entry);
        let rows = &self.rows;
        let hashed = |ix: &TaskIx| hash(&rows[ix.0 as usize].task.key);
        self.by_key.insert_unique(hash_of, ix, hashed);
        ix
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (TaskIx, &TaskEntry)> {
        let rows = self.rows.iter().enumerate();
        rows.map(|(at, entry)| (TaskIx(place(at)), entry))
    }

    /// Every place, parents before children.
    pub(super) fn places(&self) -> impl DoubleEndedIterator<Item = TaskIx> + use<> {
        (0..place(self.rows.len())).map(TaskIx)
    }
}

impl Index<TaskIx> for Tasks {
    type Output = TaskEntry;

    fn index(&self, ix: TaskIx) -> &TaskEntry {
        &self.rows[ix.0 as usize]
    }
}

impl IndexMut<TaskIx> for Tasks {
    fn index_mut(&mut self, ix: TaskIx) -> &mut TaskEntry {
        &mut self.rows[ix.0 as usize]
    }
}
