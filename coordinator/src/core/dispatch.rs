//! Ready tasks meet free slots.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ablate_proto::capacity::{Grant, SLOT};
use ablate_proto::id::{AttemptId, WorkerId};
use ablate_proto::message::ToWorker;

use super::packing::Need;
use super::queue::{Kin, Place};
use super::tables::{State, SweepIx, TaskEntry, TaskIx};
use super::{Core, Effect, Fact, Now};
use crate::policy;

/// Tasks of a slot that last for a while: only short ones queue like this.
const STOCK: u64 = 8;
/// What is decided meanwhile is written after so long: a quarter of the time
/// that the stock lasts, between these.
const SLACK: [Duration; 2] = [Duration::from_millis(12), Duration::from_millis(25)];

impl Core {
    /// Gives out ready tasks while anybody has room: those of the sweep whose
    /// turn it is, the longest chain first.
    ///
    /// If a worker has a slot for a task but nobody the memory, a worker gets
    /// nothing else until it has: small tasks would keep large ones waiting
    /// for ever.
    pub(super) fn dispatch(&mut self, now: Now) {
        let tasks = self.tasks.len();
        // What it costs is shared out among the commits in between.
        if self.ranks_are_stale && (tasks < 20_000 || self.since_ranked > tasks / 16) {
            self.rank_all();
        }
        let mut kept: BTreeSet<WorkerId> = BTreeSet::new();
        let mut wait: BTreeSet<Kin> = BTreeSet::new();
        while !self.queue.is_empty() {
            let takes = |kin: Kin| {
                let need = self.need(kin);
                !wait.contains(&kin) && self.workers.with_slot(now, &need, &kept).next().is_some()
            };
            let Some((turn, _, ix)) = self.queue.next(takes) else {
                break;
            };
            let entry = &self.tasks[ix];
            let Some((worker, grant)) = self.pick_worker(now, ix, &kept) else {
                let kin = entry.kin();
                kept.extend(self.workers.to_keep(&self.need(kin), &kept));
                wait.insert(kin);
                continue;
            };
            let attempt = AttemptId {
                task: entry.task.key,
                number: entry.attempts + 1,
            };
            self.service.turn(turn);
            self.tasks.expect(ix);
            self.record(
                now,
                Fact::AttemptStarted {
                    attempt,
                    worker: worker.clone(),
                    grant,
                },
            );
            self.send_assignment(&worker, attempt);
        }
    }

    pub(super) fn send_assignment(&mut self, worker: &WorkerId, attempt: AttemptId) {
        if let Some(ix) = self.tasks.find(&attempt.task) {
            let entry = &self.tasks[ix];
            let lease = entry.lease_of(worker, attempt);
            let bare = |parent: Option<&TaskEntry>| parent.is_some_and(TaskEntry::is_bare);
            let assign = ToWorker::Assign {
                attempt,
                task: entry.task.clone(),
                share: lease.map_or(SLOT, |lease| lease.grant.share),
                bare_inputs: (0..)
                    .zip(self.tasks.parents(ix))
                    .filter_map(|(place, parent)| bare(parent).then_some(place))
                    .collect(),
            };
            self.effects.push(Effect::Send(worker.clone(), assign));
        }
    }

    pub(super) fn need(&self, kin: Kin) -> Need {
        let expected = self.peaks.expected(kin.class);
        let raised = (kin.raised > 0).then(|| 1 << kin.raised.min(63));
        Need {
            queue: policy::prefetch(self.durations.typical(kin.class)),
            command: kin.class.kind.is_open(),
            memory: expected.map(|(memory, _)| memory).max(raised),
            cores: expected.map(|(_, cores)| cores),
        }
    }

    /// How long what is decided may wait to be written, as far as workers are
    /// concerned: every one that takes tasks has so many that it does not wait
    /// for the next. `None` if one does.
    pub(crate) fn slack(&self) -> Option<Duration> {
        let held = self.workers.least_held().filter(|held| *held >= STOCK)?;
        let shortest = self.durations.shortest().unwrap_or(0.0);
        let [least, most] = SLACK;
        let part = Duration::try_from_secs_f64(held as f64 * shortest / 4.0);
        Some(part.unwrap_or(least).clamp(least, most))
    }

    fn pick_worker(
        &self,
        now: Now,
        ix: TaskIx,
        kept: &BTreeSet<WorkerId>,
    ) -> Option<(WorkerId, Grant)> {
        let entry = &self.tasks[ix];
        let parents = self.tasks.parents(ix);
        let homes: Vec<&WorkerId> = parents.filter_map(|p| p?.home.as_ref()).collect();
        let avoid = entry.trouble.as_ref().map(|trouble| &trouble.failed_on);
        let need = self.need(entry.kin());
        self.workers.pick(now, &need, kept, &homes, avoid)
    }

    fn place(&self, ix: TaskIx) -> Place {
        (Reverse(self.tasks[ix].rank), ix)
    }

    /// Puts a ready task in the queue of every sweep that wants it and is not
    /// held.
    pub(super) fn enqueue(&mut self, ix: TaskIx) {
        let entry = &self.tasks[ix];
        if entry.state != State::Ready || self.queue_is_off {
            return;
        }
        let (kin, place) = (entry.kin(), self.place(ix));
        for claim in entry.claims.clone() {
            if claim.wants && self.sweeps[claim.sweep].held.is_none() {
                self.arrive(claim.sweep);
                let turn = self.sweeps[claim.sweep].turn();
                self.queue.insert(kin, claim.sweep, turn, place);
            }
        }
    }

    /// Takes a task out of all queues. To be called before anything that its
    /// place in them depends on changes.
    pub(super) fn dequeue(&mut self, ix: TaskIx) {
        let entry = &self.tasks[ix];
        if entry.state != State::Ready || self.queue_is_off {
            return;
        }
        let place = self.place(ix);
        for sweep in entry.in_sweeps() {
            self.queue.remove(entry.kin(), sweep, place);
        }
    }

    /// A sweep that had nothing to run is served from where the others are.
    fn arrive(&mut self, ix: SweepIx) {
        let sweep = &mut self.sweeps[ix];
        if sweep.counts.running == 0 && !self.queue.has(ix) {
            sweep.served = sweep.served.max(self.service.start(sweep.priority));
        }
    }

    /// Puts all ready tasks of a sweep in its queue, which is cheaper at once
    /// than one by one.
    pub(super) fn queue_sweep(&mut self, at: SweepIx) {
        if self.queue_is_off || self.sweeps[at].held.is_some() {
            return;
        }
        let mut places: BTreeMap<Kin, Vec<Place>> = BTreeMap::new();
        for ix in &self.sweeps[at].tasks {
            let entry = &self.tasks[*ix];
            if entry.state == State::Ready && entry.wanted_by().any(|sweep| sweep == at) {
                let of = places.entry(entry.kin()).or_default();
                of.push((Reverse(entry.rank), *ix));
            }
        }
        for (kin, places) in places {
            self.arrive(at);
            let turn = self.sweeps[at].turn();
            self.queue.extend(kin, at, turn, places);
        }
    }

    /// Orders these tasks, parents before children, by the longest chain
    /// below each. They must not be in the queue.
    pub(super) fn rank(&mut self, tasks: &[TaskIx]) {
        for ix in tasks.iter().rev() {
            self.tasks[*ix].rank = self.rank_of(*ix);
        }
    }

    /// Ranks everything that is still to run, after an estimate changed, and
    /// makes the queues anew.
    pub(super) fn rank_all(&mut self) {
        self.ranks_are_stale = false;
        self.since_ranked = 0;
        for ix in self.tasks.places().rev() {
            if !self.tasks[ix].state.is_terminal() {
                self.tasks[ix].rank = self.rank_of(ix);
            }
        }
        self.queue_is_off = false;
        for at in self.sweeps.places() {
            // What waits keeps its turn.
            let served = self.sweeps[at].served;
            let waited = self.queue.has(at);
            self.queue.leave(at);
            self.queue_sweep(at);
            if waited {
                self.sweeps[at].served = served;
                self.queue.turn(at, self.sweeps[at].turn());
            }
        }
    }

    fn rank_of(&self, ix: TaskIx) -> u64 {
        let entry = &self.tasks[ix];
        let open = entry.children.iter().map(|child| &self.tasks[*child]);
        let open = open.filter(|child| !child.state.is_terminal());
        let below = open.map(|child| child.rank).max().unwrap_or(0);
        let own = self.durations.estimate(entry.class, f64::from(entry.work));
        below.saturating_add(policy::weight(own.map(|(seconds, _)| seconds)))
    }
}
