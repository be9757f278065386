//! The scheduling state machine: `step(now, Event) -> Vec<Effect>`.
//!
//! Owns the truth about sweeps, tasks, leases and workers. Has no runtime,
//! clock, random numbers or log: the driver feeds it events with the time of
//! day, stores the facts it records, and only then performs its effects.
//! Whatever must survive is a [`Fact`]; recovery folds the stored facts
//! through the same [`Core::apply`].

mod apply;
mod attempts;
mod crew;
mod dispatch;
mod explain;
mod fact;
mod holds;
mod packing;
mod queue;
pub mod saved;
mod settings;
mod sweep_rows;
mod sweeps;
mod tables;
mod tail;
mod view;

use std::collections::BTreeSet;
use std::time::Duration;

use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, SweepId, TaskKey, WorkerId};
use ablate_proto::message::{Commit, Hello, Progress, ToWorker};
use ablate_proto::status::Hold;

pub use fact::{Fact, Submission};
pub use settings::CoreSettings;
pub use view::{NEWS, Rows};

use crate::policy::{Durations, Peaks, Service};
use crew::Crew;
use queue::Queue;
use sweep_rows::Sweeps;
use tables::{SweepIx, TaskIx, Tasks};

/// Monotonic time since the coordinator started.
pub type Now = Duration;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    Submit(Submission),
    /// Results that are no longer in the store, parents first.
    ResultsGone(Vec<TaskKey>),
    Cancel(SweepId),
    Hold(SweepId, Hold),
    Release(SweepId),
    /// A sweep goes before others, or after them.
    Prioritise(SweepId, i64),
    /// Failed tasks get another chance: all, or those of a class.
    Retry(SweepId, Option<FailureClass>),
    /// A worker gets nothing new any more, or does again.
    Drain {
        worker: WorkerId,
        drain: bool,
    },
    /// A worker opened a session. The end of an older one is then no news.
    Hello {
        hello: Hello,
        session: u64,
    },
    Heartbeat {
        worker: WorkerId,
        holding: Vec<AttemptId>,
        draining: bool,
    },
    Progress {
        worker: WorkerId,
        attempt: AttemptId,
        progress: Progress,
    },
    Commit {
        worker: WorkerId,
        attempt: AttemptId,
        commit: Commit,
    },
    Fail {
        worker: WorkerId,
        attempt: AttemptId,
        failure: Failure,
    },
    /// A worker's stream ended.
    Gone {
        worker: WorkerId,
        session: u64,
    },
    /// The outcome of an ended sweep is in the store.
    OutcomeStored(SweepId),
    Tick,
}

/// Something to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// To be durable before any later effect is performed.
    Record(Fact),
    Send(WorkerId, ToWorker),
    /// All tasks of a sweep have ended: write down how.
    StoreOutcome(SweepId),
    /// It goes on: how it ended earlier says nothing any more.
    ForgetOutcome(SweepId),
}

/// Reports that were refused, by what was wrong with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refusals {
    /// Of an attempt that is not the current one, or not the worker's.
    pub stale: u64,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub struct Core {
    settings: CoreSettings,
    tasks: Tasks,
    sweeps: Sweeps,
    workers: Crew,
    /// Tasks that could run now.
    queue: Queue,
    /// The queue is made at the end, while facts are replayed.
    queue_is_off: bool,
    service: Service,
    /// Tasks that wait before they are tried again.
    delayed: BTreeSet<(Now, TaskIx)>,
    /// Workers that are set aside for failing, and until when.
    aside: BTreeSet<(Now, WorkerId)>,
    /// Sweeps that may have ended.
    ending: Vec<SweepIx>,
    durations: Durations,
    /// Memory and cores that tasks were seen to use.
    peaks: Peaks,
    /// An estimate has moved since tasks were ranked.
    ranks_are_stale: bool,
    /// Commits since then.
    since_ranked: usize,
    /// How often anything was submitted.
    submissions: u64,
    last_tick: Now,
    refusals: Refusals,
    effects: Vec<Effect>,
}

impl Core {
    pub fn new(settings: CoreSettings) -> Self {
        Self {
            workers: Crew::new(settings.lease / 3),
            settings,
            tasks: Tasks::default(),
            sweeps: Sweeps::default(),
            queue: Queue::default(),
            queue_is_off: false,
            service: Service::default(),
            delayed: BTreeSet::new(),
            aside: BTreeSet::new(),
            ending: Vec::new(),
            durations: Durations::default(),
            peaks: Peaks::default(),
            ranks_are_stale: false,
            since_ranked: 0,
            submissions: 0,
            last_tick: Now::ZERO,
            refusals: Refusals::default(),
            effects: Vec::new(),
        }
    }

    /// Rebuilds the state from stored facts. Leases that were running get
    /// time to be claimed by the workers that hold them.
    pub fn recover(settings: CoreSettings, facts: impl IntoIterator<Item = Fact>) -> Self {
        let mut core = Self::new(settings);
        core.queue_is_off = true;
        for fact in facts {
            if planted!(HoldsForgotten) && matches!(fact, Fact::SweepHeld { .. }) {
                continue;
            }
            core.apply(Now::ZERO, &fact);
            core.effects.clear();
        }
        core.rank_all();
        core.ending = core.sweeps.places().collect();
        let claim_until = if planted!(NoReclaim) {
            Now::ZERO
        } else {
            core.settings.reclaim()
        };
        core.workers.change_all(|w| w.deadline = claim_until);
        // It may have been killed before it could.
        let open = core.sweeps.iter().filter(|(_, s)| !s.all_ended());
        let forget = open.map(|(id, _)| Effect::ForgetOutcome(id.clone()));
        core.effects = forget.collect();
        core
    }

    /// Takes one event and says what is to be done about it.
    pub fn step(&mut self, now: Now, event: Event) -> Vec<Effect> {
        match event {
            Event::Submit(submission) => self.submit(now, submission),
            Event::ResultsGone(keys) => self.results_gone(now, &keys),
            Event::Cancel(sweep) => self.cancel(now, sweep),
            Event::Hold(sweep, hold) => self.hold(now, sweep, hold),
            Event::Release(sweep) => self.release(now, sweep),
            Event::Prioritise(sweep, priority) => self.prioritise(now, sweep, priority),
            Event::Retry(sweep, class) => self.retry(now, sweep, class),
            Event::Drain { worker, drain } => self.drain(&worker, drain),
            Event::Hello { hello, session } => self.hello(now, hello, session),
            Event::Heartbeat {
                worker,
                holding,
                draining,
            } => self.heartbeat(now, &worker, &holding, draining),
            Event::Progress {
                worker,
                attempt,
                progress,
            } => self.progress(&worker, attempt, &progress),
            Event::Commit {
                worker,
                attempt,
                commit,
            } => self.commit(now, &worker, attempt, &commit),
            Event::Fail {
                worker,
                attempt,
                failure,
            } => self.fail(now, &worker, attempt, failure),
            Event::Gone { worker, session } => self.gone(now, &worker, session),
            Event::OutcomeStored(sweep) => self.outcome_stored(&sweep),
            Event::Tick => self.tick(now),
        }
        self.dispatch(now);
        self.end_sweeps();
        std::mem::take(&mut self.effects)
    }

    /// Makes a fact durable and true.
    fn record(&mut self, now: Now, fact: Fact) {
        // Before whatever its application sends; in the same step, so that
        // nothing is performed until it is durable.
        let at = self.effects.len();
        self.apply(now, &fact);
        self.effects.insert(at, Effect::Record(fact));
    }

    /// Whether nothing runs, could run, or waits for a time to come: all that is
    /// left to happen comes from outside.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.queue.is_empty()
            && self.delayed.is_empty()
            && self.aside.is_empty()
            && self.sweeps.iter().all(|(_, s)| s.counts.running == 0)
    }

    /// After a longer time between ticks, the coordinator itself stood still.
    pub(crate) fn longest_pause(&self) -> Now {
        self.settings.heartbeat
    }

    pub fn refusals(&self) -> Refusals {
        self.refusals
    }
}

#[cfg(test)]
mod tests;
