//! The rows of sweeps, and the table of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Index, IndexMut};

use ablate_proto::id::SweepId;
use ablate_proto::status::{Hold, TaskState};

use super::tables::{SweepIx, TaskEntry, TaskIx, place};
use crate::policy::{Class, Turn};

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

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) id: SweepId,
    /// Its place in the order of submissions.
    pub(super) submitted: u64,
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
            submitted: 0,
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
                let work = f64::from(entry.work);
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
#[cfg_attr(test, derive(Clone))]
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

    pub(super) fn knows(&self, number: u32) -> bool {
        (number as usize) < self.rows.len()
    }

    pub(super) fn places(&self) -> impl Iterator<Item = SweepIx> + Clone + use<> {
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
