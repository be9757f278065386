//! The state of a modelled cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};

use super::super::*;
use crate::core::tables::State;
use crate::planted::Bug;

/// What may happen, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) coordinator_crashes: u8,
    pub(super) worker_crashes: u8,
    pub(super) reconnects: u8,
    pub(super) duplicates: u8,
    pub(super) lapses: u8,
}

pub(super) struct Cluster {
    pub(super) tasks: Vec<Task>,
    pub(super) workers: usize,
    pub(super) budget: Budget,
    pub(super) bug: Option<Bug>,
}

/// On its way. Nothing says in which order, or whether, it arrives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Letter {
    Hello(usize, u64, Vec<AttemptId>),
    Gone(usize, u64),
    Commit(usize, AttemptId),
    Assign(usize, AttemptId),
    Drop(usize, AttemptId),
    Ack(usize, AttemptId, bool),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Node {
    NotYet,
    /// What it holds, and whether that is finished.
    Alive(u64, BTreeMap<AttemptId, bool>),
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    Fine,
    /// The coordinator dies before what it decided is durable.
    Lost,
    /// It dies once that is durable, before anybody hears of it.
    Unheard,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Move {
    Connect(usize),
    Crash(usize),
    Finish(usize, AttemptId),
    Deliver(Letter, Fate),
    Duplicate(Letter),
    /// Time passes in which this worker does not renew, and others do.
    Lapse(usize, Fate),
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) core: Core,
    pub(super) now: Now,
    /// Durable, after the submission.
    pub(super) facts: Vec<Fact>,
    pub(super) nodes: Vec<Node>,
    pub(super) post: BTreeSet<Letter>,
    pub(super) sessions: u64,
    pub(super) left: Budget,
    /// Workers that were given an attempt.
    pub(super) given: BTreeMap<AttemptId, BTreeSet<usize>>,
    /// Commits that a worker was told are accepted.
    pub(super) told: BTreeSet<AttemptId>,
}

impl World {
    /// All that matters for what can happen next; times are relative.
    pub(super) fn summary(&self) -> String {
        let mut text = String::new();
        for (_, entry) in self.core.tasks.iter() {
            let state = match &entry.state {
                State::Leased(lease) => format!("{}#{}", lease.worker, lease.attempt),
                State::Delayed { until } => format!("{:?}", until.saturating_sub(self.now)),
                other => format!("{other:?}"),
            };
            let key = entry.task.key.short();
            let trouble = entry.trouble.as_ref();
            let trouble = trouble.map(|t| (&t.failures, &t.failed_on));
            let _ = write!(text, "{key} {state} {} {trouble:?};", entry.attempts);
        }
        for (id, worker) in self.core.workers.iter() {
            let left = worker.deadline.saturating_sub(self.now);
            let (session, held, silence) = (worker.session, &worker.held, worker.silence);
            let _ = write!(text, "{id} {session:?} {left:?} {held:?} {silence:?};");
        }
        text
    }

    pub(super) fn commits(&self) -> impl Iterator<Item = AttemptId> {
        self.facts.iter().filter_map(|fact| match fact {
            Fact::TaskCommitted { attempt, .. } => Some(*attempt),
            _ => None,
        })
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.summary().hash(state);
        let commits: Vec<_> = self.commits().collect();
        (
            commits,
            &self.nodes,
            &self.post,
            self.left,
            &self.given,
            &self.told,
        )
            .hash(state);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.summary() == other.summary()
            && self.nodes == other.nodes
            && self.post == other.post
            && self.left == other.left
            && self.told == other.told
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.summary())?;
        writeln!(f, "{:?}\n{:?}\n{:?}", self.nodes, self.post, self.left)
    }
}
