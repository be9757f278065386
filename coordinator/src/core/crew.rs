//! The workers, with indexes of who has room and whose lease ends when, so
//! that neither takes a look at all of them.

use std::collections::{BTreeMap, BTreeSet};

use ablate_proto::capacity::{Capacity, Grant};
use ablate_proto::id::{AttemptId, TaskKey, WorkerId};

use super::Now;
use super::packing::Need;
use super::tables::TaskIx;

/// Why a worker is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aside {
    /// A person drains it.
    Drained,
    /// Everything failed on it; it is tried again then.
    Failing { until: Now },
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Worker {
    /// Number of its session; `None` while it has no connection.
    pub(super) session: Option<u64>,
    /// It has said something since it was welcomed.
    pub(super) answered: bool,
    pub(super) host: String,
    pub(super) device: String,
    pub(super) slots: u32,
    /// Whether it runs programs of users.
    pub(super) commands: bool,
    pub(super) capacity: Capacity,
    pub(super) draining: bool,
    /// Gets nothing new: by a person's wish, or after failing everything.
    pub(super) aside: Option<Aside>,
    /// What failed on it since the last that did not.
    pub(super) failed: Vec<TaskKey>,
    /// What it holds; changed by [`Worker::take`] and [`Worker::release`].
    pub(super) held: BTreeMap<AttemptId, Held>,
    /// Of slots, in their unit, that it holds.
    pub(super) shares: u64,
    /// How many of what it holds may take so many bytes.
    pub(super) memories: BTreeMap<u64, u32>,
    /// Attempts that it was asked to hand back, since its last heartbeat.
    pub(super) asked_back: usize,
    /// Its leases end then, unless it renews.
    pub(super) deadline: Now,
    /// What the time has already done about its silence.
    pub(super) silence: Silence,
}

/// An attempt that a worker holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) task: TaskIx,
    /// What it may take.
    pub(super) grant: Grant,
}

/// How long a worker has been silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Silence {
    None,
    /// It misses its heartbeats and gets nothing new.
    Late,
    /// Its leases have ended.
    Over,
}

/// Held tasks a slot, in this unit.
pub(super) const FULL: u64 = 1 << 20;

impl Worker {
    /// A worker known only by the leases it holds.
    pub(super) fn absent(deadline: Now) -> Self {
        Self {
            session: None,
            answered: false,
            host: String::new(),
            device: String::new(),
            slots: 0,
            commands: false,
            capacity: Capacity::default(),
            draining: false,
            aside: None,
            failed: Vec::new(),
            held: BTreeMap::new(),
            shares: 0,
            memories: BTreeMap::new(),
            asked_back: 0,
            deadline,
            silence: Silence::None,
        }
    }

    pub(super) fn takes_tasks(&self) -> bool {
        self.session.is_some() && !self.draining && self.aside.is_none()
    }

    pub(super) fn take(&mut self, attempt: AttemptId, held: Held) {
        let grant = held.grant;
        self.release(&attempt);
        self.held.insert(attempt, held);
        self.shares += u64::from(grant.share);
        *self.memories.entry(grant.memory).or_default() += 1;
    }

    pub(super) fn release(&mut self, attempt: &AttemptId) {
        let Some(Held { grant, .. }) = self.held.remove(attempt) else {
            return;
        };
        self.shares -= u64::from(grant.share);
        if let Some(count) = self.memories.get_mut(&grant.memory) {
            *count -= 1;
            if *count == 0 {
                self.memories.remove(&grant.memory);
            }
        }
    }
}

/// All workers. Rows change through [`Crew::change`] alone, which keeps the
/// indexes true.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Crew {
    rows: BTreeMap<WorkerId, Worker>,
    /// Those that take tasks, the least loaded first.
    loads: BTreeSet<(u64, WorkerId)>,
    /// Those of them that run programs of users.
    bold: BTreeSet<(u64, WorkerId)>,
    /// When the silence of each is to be looked at next.
    alarms: BTreeSet<(Now, WorkerId)>,
    /// One whose lease ends within this gets nothing new.
    margin: Now,
}

/// How urgently a worker is to be given a task.
type Fit = (bool, bool, usize, std::cmp::Reverse<u64>);

impl Crew {
    pub(super) fn new(margin: Now) -> Self {
        Self {
            rows: BTreeMap::new(),
            loads: BTreeSet::new(),
            bold: BTreeSet::new(),
            alarms: BTreeSet::new(),
            margin,
        }
    }

    pub(super) fn get(&self, id: &WorkerId) -> Option<&Worker> {
        self.rows.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&WorkerId, &Worker)> {
        self.rows.iter()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &WorkerId> {
        self.rows.keys()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Worker> + Clone {
        self.rows.values()
    }

    /// Adds a worker, unless it is known.
    pub(super) fn enter(&mut self, id: &WorkerId, deadline: Now) {
        if !self.rows.contains_key(id) {
            let worker = Worker::absent(deadline);
            let alarm = worker.alarm(self.margin);
            self.alarms.extend(alarm.map(|at| (at, id.clone())));
            self.rows.insert(id.clone(), worker);
        }
    }

    pub(super) fn remove(&mut self, id: &WorkerId) {
        if let Some(worker) = self.rows.remove(id) {
            forget(&mut self.alarms, worker.alarm(self.margin), id);
            forget(&mut self.loads, worker.place(), id);
            forget(&mut self.bold, worker.bold_place(), id);
        }
    }

    pub(super) fn change<T>(
        &mut self,
        id: &WorkerId,
        change: impl FnOnce(&mut Worker) -> T,
    ) -> Option<T> {
        let worker = self.rows.get_mut(id)?;
        let (alarm, place) = (worker.alarm(self.margin), worker.place());
        let bold = worker.bold_place();
        let changed = change(worker);
        let (new_alarm, new_place) = (worker.alarm(self.margin), worker.place());
        let new_bold = worker.bold_place();
        if alarm != new_alarm {
            forget(&mut self.alarms, alarm, id);
            self.alarms.extend(new_alarm.map(|at| (at, id.clone())));
        }
        if place != new_place {
            forget(&mut self.loads, place, id);
            self.loads.extend(new_place.map(|load| (load, id.clone())));
        }
        if bold != new_bold {
            forget(&mut self.bold, bold, id);
            self.bold.extend(new_bold.map(|load| (load, id.clone())));
        }
        Some(changed)
    }

    /// Changes all of them.
    pub(super) fn change_all(&mut self, change: impl Fn(&mut Worker)) {
        let all: Vec<WorkerId> = self.rows.keys().cloned().collect();
        for id in all {
            self.change(&id, &change);
        }
    }

    /// The next worker whose silence has lasted so long that something is to
    /// be done.
    pub(super) fn alarmed(&self, now: Now) -> Option<WorkerId> {
        let (at, id) = self.alarms.first()?;
        (*at <= now).then(|| id.clone())
    }

    /// Whether another than this one takes tasks.
    pub(super) fn others_take(&self, id: &WorkerId) -> bool {
        self.loads.iter().any(|(_, other)| other != id)
    }

    /// What the least loaded worker that takes tasks holds, a slot.
    pub(super) fn least_held(&self) -> Option<u64> {
        self.loads.first().map(|(load, _)| load / FULL)
    }

    /// The least loaded workers with a slot for such a task, the least loaded
    /// first, but for those that are kept for other tasks.
    pub(super) fn with_slot<'a>(
        &'a self,
        now: Now,
        need: &'a Need,
        kept: &'a BTreeSet<WorkerId>,
    ) -> impl Iterator<Item = (u64, &'a WorkerId, &'a Worker)> {
        let takers = if need.command {
            &self.bold
        } else {
            &self.loads
        };
        let least = takers.iter();
        least
            .take_while(move |(load, _)| *load < FULL * (1 + need.queue as u64))
            .filter_map(|(load, id)| Some((*load, id, self.rows.get(id)?)))
            // Between two ticks, one may have become late.
            .filter(move |(_, id, worker)| {
                self.is_heard(now, worker) && worker.has_slot(need) && !kept.contains(*id)
            })
    }

    fn is_heard(&self, now: Now, worker: &Worker) -> bool {
        worker.deadline > now + self.margin
    }

    /// Whole slots that are free, of those that take tasks; of those that run
    /// programs of users, if only they count.
    pub(super) fn free_slots(&self, command: bool) -> usize {
        let takers = if command { &self.bold } else { &self.loads };
        let free = takers.iter().take_while(|(load, _)| *load < FULL);
        let slot = u64::from(ablate_proto::capacity::SLOT);
        let free = free.filter_map(|(_, id)| {
            let worker = self.rows.get(id)?;
            usize::try_from((u64::from(worker.slots) * slot).saturating_sub(worker.shares) / slot)
                .ok()
        });
        free.sum()
    }

    /// The most memory that any worker has for one such task: also one that is
    /// set aside for a while.
    pub(super) fn largest(&self, need: &Need) -> u64 {
        let comes_back = |w: &&Worker| matches!(w.aside, None | Some(Aside::Failing { .. }));
        let here = self
            .rows
            .values()
            .filter(|w| w.session.is_some() && !w.draining);
        let takers = here.filter(comes_back);
        let takers = takers.filter(|w| w.commands || !need.command);
        takers.map(|w| w.capacity.largest).max().unwrap_or(0)
    }

    /// The worker that is kept free for a task whose memory nobody has now:
    /// of those that have enough, or the most, the one with most of it free.
    pub(super) fn to_keep(&self, need: &Need, kept: &BTreeSet<WorkerId>) -> Option<WorkerId> {
        let enough = need.memory.unwrap_or(0).min(self.largest(need));
        let takers = self.rows.iter().filter(|(id, worker)| {
            worker.place().is_some()
                && (worker.commands || !need.command)
                && worker.capacity.largest >= enough
                && !kept.contains(*id)
        });
        let free = |w: &Worker| w.capacity.memory.saturating_sub(w.taken_with(0));
        let most = takers.max_by_key(|(id, worker)| (free(worker), std::cmp::Reverse(*id)));
        most.map(|(id, _)| id.clone())
    }

    /// The worker for a task: one on which it has not failed, with a free
    /// slot, with most of the inputs at hand, and the least load; failing
    /// that, one where it may wait behind others.
    ///
    /// `homes` are the workers that have an input, each once for every input.
    pub(super) fn pick(
        &self,
        now: Now,
        need: &Need,
        kept: &BTreeSet<WorkerId>,
        homes: &[&WorkerId],
        avoid: Option<&BTreeSet<WorkerId>>,
    ) -> Option<(WorkerId, Grant)> {
        let avoided = |id: &WorkerId| avoid.is_some_and(|avoid| avoid.contains(id));
        let fit = |load: u64, id: &WorkerId| -> Fit {
            let inputs = homes.iter().filter(|home| **home == id).count();
            (!avoided(id), load < FULL, inputs, std::cmp::Reverse(load))
        };
        let grant = |worker: &Worker| worker.grant(need, || self.largest(need));
        let mut best: Option<(Fit, &WorkerId, Grant)> = None;
        let mut offer = |load: u64, id, grant| {
            let fit = fit(load, id);
            if best.is_none_or(|(other, ..)| fit > other) {
                best = Some((fit, id, grant));
            }
        };
        // The least loaded, and the least loaded that is not avoided.
        for (load, id, worker) in self.with_slot(now, need, kept) {
            let Some(grant) = grant(worker) else {
                continue;
            };
            offer(load, id, grant);
            if !avoided(id) {
                break;
            }
        }
        for id in homes.iter().filter(|id| !kept.contains(**id)) {
            let worker = self.rows.get(*id);
            let fits = |w: &&Worker| {
                (w.commands || !need.command) && w.has_slot(need) && self.is_heard(now, w)
            };
            if let Some(worker) = worker.filter(fits)
                && let Some(load) = worker.place()
                && let Some(grant) = grant(worker)
            {
                offer(load, id, grant);
            }
        }
        best.map(|(_, id, grant)| (id.clone(), grant))
    }
}

impl Worker {
    /// When its silence is to be looked at next.
    fn alarm(&self, margin: Now) -> Option<Now> {
        match self.silence {
            Silence::None => Some(self.deadline.saturating_sub(margin)),
            Silence::Late => Some(self.deadline),
            Silence::Over => None,
        }
    }

    /// Its place among those that take tasks.
    fn place(&self) -> Option<u64> {
        let heard = self.silence == Silence::None;
        (heard && self.takes_tasks()).then(|| self.load())
    }

    /// The same among those that run programs of users.
    fn bold_place(&self) -> Option<u64> {
        self.place().filter(|_| self.commands)
    }
}

fn forget<T: Ord>(index: &mut BTreeSet<(T, WorkerId)>, at: Option<T>, id: &WorkerId) {
    if let Some(at) = at {
        index.remove(&(at, id.clone()));
    }
}
