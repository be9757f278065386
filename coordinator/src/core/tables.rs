//! The rows of the core: tasks, sweeps, workers. Kept small: there may be a
//! million tasks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, SweepId, TaskKey, WorkerId};
use ablate_proto::status::{Hold, TaskState};
use ablate_proto::task::SealedTask;
use smallvec::SmallVec;

use super::Now;
use crate::policy::{Class, Turn};

/// Place of a task in the table, and in the order of submission: parents come
/// before their children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TaskIx(u32);

/// Place of a sweep in its table. A sweep that is submitted again keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SweepIx(u32);

fn place(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[derive(Debug)]
pub(super) struct TaskEntry {
    pub(super) task: Arc<SealedTask>,
    pub(super) class: Class,
    pub(super) state: State,
    /// Number of the latest attempt; 0 before the first.
    pub(super) attempts: u32,
    /// Milliseconds from its start to the end of the longest chain below it.
    pub(super) rank: u64,
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

impl TaskEntry {
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
#[derive(Debug, Default, Clone)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// All tasks, by place and by key.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    rows: Vec<TaskEntry>,
    by_key: HashMap<TaskKey, TaskIx, BuildHasherDefault<KeyHasher>>,
}

impl Tasks {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn find(&self, key: &TaskKey) -> Option<TaskIx> {
        self.by_key.get(key).copied()
    }

    pub(super) fn get(&self, key: &TaskKey) -> Option<&TaskEntry> {
        self.find(key).map(|ix| &self[ix])
    }

    /// The one after the last.
    pub(super) fn next(&self) -> TaskIx {
        TaskIx(place(self.rows.len()))
    }

    pub(super) fn reserve(&mut self, more: usize) {
        self.rows.reserve(more);
        self.by_key.reserve(more);
    }

    pub(super) fn push(&mut self, entry: TaskEntry) -> TaskIx {
        let ix = self.next();
        self.by_key.insert(entry.task.key, ix);
        self.rows.push(entry);
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

/// Tasks of a class that are neither running nor ended, and their work.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Left {
    pub(super) tasks: u64,
    pub(super) work: f64,
}

#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) id: SweepId,
    pub(super) points: u64,
    pub(super) stages_naive: u64,
    pub(super) priority: i64,
    pub(super) tasks: Vec<TaskIx>,
    pub(super) counts: Counts,
    pub(super) running: BTreeSet<TaskIx>,
    /// What has not begun.
    pub(super) left: BTreeMap<Class, Left>,
    /// Its tasks in the order in which they ended, for those who follow it.
    pub(super) ended: Vec<TaskIx>,
    /// Done before this sweep asked for them.
    pub(super) reused: u64,
    pub(super) cancelled: bool,
    pub(super) held: Option<Hold>,
    /// Tasks given up, by what they have in common.
    pub(super) same: BTreeMap<String, u32>,
    pub(super) end: End,
    /// Milliseconds of service, from where it started.
    pub(super) served: u64,
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
    pub(super) fn new(id: SweepId) -> Self {
        Self {
            id,
            points: 0,
            stages_naive: 0,
            priority: 0,
            tasks: Vec::new(),
            counts: Counts::default(),
            running: BTreeSet::new(),
            left: BTreeMap::new(),
            ended: Vec::new(),
            reused: 0,
            cancelled: false,
            held: None,
            same: BTreeMap::new(),
            end: End::NotYet,
            served: 0,
        }
    }

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

    pub(super) fn turn(&self) -> Turn {
        Turn {
            priority: Reverse(self.priority),
            running: self.counts.running,
            served: self.served,
        }
    }

    /// A task of it stands at `state` now; it is one more or one less there.
    pub(super) fn count(&mut self, ix: TaskIx, entry: &TaskEntry, state: TaskState, more: bool) {
        let count = self.counts.of(state);
        *count = if more { *count + 1 } else { *count - 1 };
        match state {
            TaskState::Running if more => {
                self.running.insert(ix);
            }
            TaskState::Running => {
                self.running.remove(&ix);
            }
            TaskState::Waiting | TaskState::Ready => {
                let left = self.left.entry(entry.class).or_default();
                let work = f64::from(entry.task.work);
                (left.tasks, left.work) = match more {
                    true => (left.tasks + 1, left.work + work),
                    false => (left.tasks - 1, left.work - work),
                };
                if left.tasks == 0 {
                    self.left.remove(&entry.class);
                }
            }
            TaskState::Done | TaskState::Failed | TaskState::Cancelled => {
                if more {
                    self.ended.push(ix);
                }
            }
        }
    }
}

/// All sweeps, by place and by name.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    rows: Vec<Sweep>,
    by_id: BTreeMap<SweepId, SweepIx>,
}

impl Sweeps {
    pub(super) fn find(&self, id: &SweepId) -> Option<SweepIx> {
        self.by_id.get(id).copied()
    }

    pub(super) fn get(&self, id: &SweepId) -> Option<&Sweep> {
        self.find(id).map(|ix| &self[ix])
    }

    pub(super) fn get_mut(&mut self, id: &SweepId) -> Option<&mut Sweep> {
        self.find(id).map(|ix| &mut self[ix])
    }

    /// The place of a sweep; an empty one if it is new.
    pub(super) fn enter(&mut self, id: &SweepId) -> SweepIx {
        if let Some(ix) = self.find(id) {
            return ix;
        }
        let ix = SweepIx(place(self.rows.len()));
        self.rows.push(Sweep::new(id.clone()));
        self.by_id.insert(id.clone(), ix);
        ix
    }

    pub(super) fn places(&self) -> impl Iterator<Item = SweepIx> + use<> {
        (0..place(self.rows.len())).map(SweepIx)
    }

    /// By name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&SweepId, &Sweep)> {
        self.by_id.iter().map(|(id, ix)| (id, &self[*ix]))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &SweepId> {
        self.by_id.keys()
    }
}

impl Index<SweepIx> for Sweeps {
    type Output = Sweep;

    fn index(&self, ix: SweepIx) -> &Sweep {
        &self.rows[ix.0 as usize]
    }
}

impl IndexMut<SweepIx> for Sweeps {
    fn index_mut(&mut self, ix: SweepIx) -> &mut Sweep {
        &mut self.rows[ix.0 as usize]
    }
}
