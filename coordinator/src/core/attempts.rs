//! What workers report of their attempts, and what is believed of it.

use std::collections::BTreeSet;

use ablate_proto::capacity::{Grant, Used, readable};
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, TaskKey, WorkerId};
use ablate_proto::message::{Commit, Hello, Progress, ToWorker};

use super::crew::{Aside, Silence};
use super::tables::{State, TaskEntry};
use super::{Core, Effect, Fact, Now};

/// So many attempts that fail one after the other, at so many tasks, speak
/// against their worker.
const FAILS_EVERYTHING: [usize; 2] = [5, 3];
/// Of those, kept in mind.
const FAILURES: usize = 64;
/// How long such a worker gets nothing.
const SET_ASIDE: Now = Now::from_secs(60);

impl Core {
    /// A worker is here (again). What it holds by our books and forgot is
    /// sent once more; what it holds and should not is dropped.
    pub(super) fn hello(&mut self, now: Now, hello: Hello, session: u64) {
        let id = hello.worker;
        let deadline = now + self.settings.lease;
        self.workers.enter(&id, deadline);
        self.workers.change(&id, |worker| {
            worker.session = Some(session);
            worker.answered = false;
            worker.host = hello.host;
            worker.device = hello.device;
            worker.slots = hello.slots;
            worker.commands = hello.commands;
            worker.capacity = hello.capacity;
            worker.asked_back = 0;
            worker.draining = false;
            worker.deadline = deadline;
            worker.silence = Silence::None;
        });
        let holding: BTreeSet<AttemptId> = hello.holding.into_iter().collect();
        // A worker that is welcome knows that what it was not told to drop
        // is its own.
        self.drop_foreign(&id, holding.iter().copied());
        let millis = |d: Now| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
        let welcome = ToWorker::Welcome {
            lease_ms: millis(self.settings.lease),
            heartbeat_ms: millis(self.settings.heartbeat),
            store: self.settings.store.clone(),
        };
        self.effects.push(Effect::Send(id.clone(), welcome));
        let held = self.workers.get(&id).map(|worker| &worker.held);
        let forgotten: Vec<AttemptId> = held
            .into_iter()
            .flat_map(|held| held.keys())
            .copied()
            .filter(|attempt| !holding.contains(attempt))
            .filter(|_| !planted!(AssignmentLost))
            .collect();
        for attempt in forgotten {
            self.send_assignment(&id, attempt);
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        now: Now,
        id: &WorkerId,
        holding: &[AttemptId],
        draining: bool,
    ) {
        let deadline = now + self.settings.lease;
        let renewed = self.workers.change(id, |worker| {
            if !planted!(LeaseNotRenewed) {
                worker.deadline = deadline;
                worker.silence = Silence::None;
            }
            worker.answered = true;
            worker.draining |= draining;
            worker.asked_back = 0;
        });
        if renewed.is_none() {
            return;
        }
        self.drop_foreign(id, holding.iter().copied());
    }

    /// Tells a worker to stop attempts that are not, or no longer, its own.
    /// One that it already committed is acknowledged again instead.
    fn drop_foreign(&mut self, id: &WorkerId, holding: impl Iterator<Item = AttemptId>) {
        for attempt in holding {
            self.expect(id, &attempt);
            let entry = self.tasks.get(&attempt.task);
            if entry.is_some_and(|e| e.lease_of(id, attempt).is_some()) || planted!(ForeignKept) {
                continue;
            }
            let message = match entry.map(|e| &e.state) {
                Some(State::Done { attempt: done, .. }) if *done == attempt.number => {
                    ToWorker::Ack {
                        attempt,
                        accepted: true,
                    }
                }
                _ => ToWorker::Drop {
                    attempt,
                    reason: "the task was given to another worker, or is no longer wanted"
                        .to_owned(),
                    now: false,
                },
            };
            self.effects.push(Effect::Send(id.clone(), message));
        }
    }

    /// A worker speaks of an attempt: its task is known by what it holds.
    fn expect(&mut self, id: &WorkerId, attempt: &AttemptId) {
        let held = self.workers.get(id).and_then(|w| w.held.get(attempt));
        if let Some(held) = held {
            self.tasks.expect(held.task);
        }
    }

    pub(super) fn progress(&mut self, id: &WorkerId, attempt: AttemptId, progress: &Progress) {
        self.expect(id, &attempt);
        let Some(ix) = self.tasks.find(&attempt.task) else {
            return;
        };
        if let State::Leased(lease) = &mut self.tasks[ix].state
            && lease.worker == *id
            && lease.attempt == attempt.number
        {
            lease.step = progress.step;
            lease.total = progress.total;
        }
    }

    pub(super) fn commit(&mut self, now: Now, id: &WorkerId, attempt: AttemptId, commit: &Commit) {
        self.expect(id, &attempt);
        let entry = self.tasks.get(&attempt.task);
        let accepted = if entry.is_some_and(|e| e.lease_of(id, attempt).is_some()) {
            let worker = self.workers.get(id);
            let most = worker.map_or(0, |w| w.capacity.memory);
            let blamed = worker.is_some_and(|w| !w.failed.is_empty());
            let used = Used {
                memory: commit.used.memory.min(most),
                ..commit.used
            };
            self.record(
                now,
                Fact::TaskCommitted {
                    attempt,
                    seconds: commit.seconds,
                    manifest: commit.manifest,
                    reused: commit.reused,
                    used,
                },
            );
            if blamed {
                self.workers.change(id, |worker| worker.failed.clear());
            }
            true
        } else {
            // The acknowledgement of a commit may have been lost.
            let known = entry.is_some_and(
                |e| matches!(e.state, State::Done { attempt: done, .. } if done == attempt.number),
            );
            self.refusals.stale += u64::from(!known);
            known
        };
        let ack = ToWorker::Ack { attempt, accepted };
        self.effects.push(Effect::Send(id.clone(), ack));
    }

    pub(super) fn fail(&mut self, now: Now, id: &WorkerId, attempt: AttemptId, failure: Failure) {
        self.expect(id, &attempt);
        let entry = self.tasks.get(&attempt.task);
        let mut accepted = entry.is_some_and(|e| e.lease_of(id, attempt).is_some());
        if planted!(DoubleRetry) {
            accepted |= entry.is_some_and(|e| matches!(e.state, State::Leased(_)));
        }
        if accepted {
            let class = failure.class;
            let grant = entry.map(TaskEntry::grant).unwrap_or_default();
            let memory = class == FailureClass::OutOfMemory && grant.memory > 0;
            let failure = match memory {
                true => with_memory(&failure, id, grant),
                false => failure,
            };
            self.record(now, Fact::AttemptFailed { attempt, failure });
            // It was given too little.
            if !memory || grant.whole {
                self.blame(now, id, attempt.task, class);
            }
            self.hold_if_hopeless(now, attempt.task);
        } else {
            self.refusals.stale += 1;
        }
        let ack = ToWorker::Ack { attempt, accepted };
        self.effects.push(Effect::Send(id.clone(), ack));
    }

    /// A task failed on a worker, by no wish of anybody: others are tried
    /// first for it, and a worker on which nothing else succeeds is set aside
    /// for a while, unless there is no other.
    fn blame(&mut self, now: Now, id: &WorkerId, task: TaskKey, class: FailureClass) {
        if matches!(class, FailureClass::Preempted | FailureClass::Cancelled) {
            return;
        }
        if let Some(ix) = self.tasks.find(&task) {
            self.tasks[ix].trouble().failed_on.insert(id.clone());
        }
        let others = self.workers.others_take(id);
        let until = now + SET_ASIDE;
        let hopeless = self.workers.change(id, |worker| {
            worker.failed.push(task);
            let excess = worker.failed.len().saturating_sub(FAILURES);
            worker.failed.drain(..excess);
            let tasks = worker.failed.iter().collect::<BTreeSet<_>>().len();
            let [attempts_most, tasks_most] = FAILS_EVERYTHING;
            let all = worker.failed.len() >= attempts_most && tasks >= tasks_most;
            if others && all {
                worker.failed.clear();
                worker.aside.get_or_insert(Aside::Failing { until });
            }
            others && all
        });
        if hopeless == Some(true) {
            self.aside.insert((until, id.clone()));
        }
    }

    pub(super) fn drain(&mut self, id: &WorkerId, drain: bool) {
        let aside = drain.then_some(Aside::Drained);
        self.workers.change(id, |worker| worker.aside = aside);
    }

    /// A connection broke. Most workers are back within a moment; those that
    /// were killed are not.
    pub(super) fn gone(&mut self, now: Now, id: &WorkerId, session: u64) {
        let back_by = now + self.settings.reconnect;
        let idle = self.workers.change(id, |worker| {
            if worker.session != Some(session) && !planted!(OldGoneBelieved) {
                return false;
            }
            worker.session = None;
            // One that gave up before the welcome arrived does not know that it
            // was there, and pauses before it tries again.
            if worker.answered {
                worker.deadline = worker.deadline.min(back_by);
            }
            worker.held.is_empty()
        });
        if idle == Some(true) {
            self.workers.remove(id);
        }
    }

    /// Ends leases that were not renewed, and waits that are over.
    pub(super) fn tick(&mut self, now: Now) {
        let pause = now.saturating_sub(self.last_tick);
        self.last_tick = now;
        if pause > self.settings.heartbeat {
            // The coordinator itself stood still: renewals may be waiting to
            // be read. Nobody loses a lease by that.
            self.workers.change_all(|worker| {
                worker.deadline += pause;
                if worker.silence == Silence::Late {
                    worker.silence = Silence::None;
                }
            });
        }
        while let Some(id) = self.workers.alarmed(now) {
            let over = self.workers.change(&id, |worker| {
                let over = worker.deadline <= now;
                worker.silence = if over { Silence::Over } else { Silence::Late };
                over
            });
            if over == Some(true) {
                self.expire(now, &id);
            }
        }
        while let Some((until, id)) = self.aside.first().cloned()
            && until <= now
        {
            self.aside.pop_first();
            self.workers.change(&id, |worker| {
                if worker.aside == Some(Aside::Failing { until }) {
                    worker.aside = None;
                }
            });
        }
        while let Some((until, ix)) = self.delayed.first().copied()
            && until <= now
        {
            self.set_state(ix, State::Ready);
        }
        // After a pause, what is said of the time before it is not read yet.
        if pause <= self.settings.heartbeat {
            self.take_back(now);
        }
    }

    fn expire(&mut self, now: Now, id: &WorkerId) {
        let Some(worker) = self.workers.get(id) else {
            return;
        };
        let silence = if worker.session.is_some() {
            "did not renew its lease in time"
        } else {
            "lost its connection and did not come back in time"
        };
        let gone = worker.session.is_none();
        for attempt in worker.held.keys().copied().collect::<Vec<_>>() {
            let cause = format!("worker {id} {silence}");
            let failure = Failure::new(FailureClass::Lost, cause);
            self.record(now, Fact::AttemptFailed { attempt, failure });
            self.hold_if_hopeless(now, attempt.task);
        }
        if gone {
            self.workers.remove(id);
        }
    }
}

/// How much memory it had.
fn with_memory(failure: &Failure, worker: &WorkerId, grant: Grant) -> Failure {
    let memory = readable(grant.memory);
    let had = if grant.whole {
        format!(
            "it had all the memory of {worker} ({memory}) to itself: it needs a smaller batch or \
             model, or a worker with more"
        )
    } else {
        format!("it was expected to need {memory} at most, and is given more")
    };
    Failure::new(failure.class, format!("{had}; {}", failure.cause))
}
