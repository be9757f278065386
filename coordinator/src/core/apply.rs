//! Facts become state. The only place that changes what must survive.

use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, TaskKey, WorkerId};
use ablate_proto::message::ToWorker;

use super::tables::{Lease, State, Worker};
use super::{Core, Effect, Fact, Now};

impl Core {
    pub(super) fn apply(&mut self, now: Now, fact: &Fact) {
        match fact {
            Fact::SweepSubmitted(submission) => self.apply_submission(submission),
            Fact::SweepCancelled(sweep) => self.apply_cancellation(sweep),
            Fact::SweepHeld { sweep, hold } => self.apply_hold(sweep, hold),
            Fact::SweepReleased(sweep) => self.apply_release(sweep),
            Fact::SweepRetried { sweep, class } => self.apply_retry(sweep, *class),
            Fact::AttemptStarted { attempt, worker } => self.apply_start(now, *attempt, worker),
            Fact::TaskCommitted {
                attempt,
                seconds,
                reused,
                manifest: _,
            } => self.apply_commit(*attempt, *seconds, *reused),
            Fact::AttemptFailed { attempt, failure } => self.apply_failure(now, *attempt, failure),
        }
    }

    fn apply_start(&mut self, now: Now, attempt: AttemptId, worker: &WorkerId) {
        let lease = Lease {
            worker: worker.clone(),
            attempt: attempt.number,
            since: now,
            step: 0,
            total: 0,
        };
        if let Some(entry) = self.tasks.get_mut(&attempt.task) {
            entry.attempts = attempt.number;
        }
        self.set_state(attempt.task, State::Leased(lease));
        let deadline = now + self.settings.lease;
        self.workers
            .entry(worker.clone())
            .or_insert_with(|| Worker::absent(deadline))
            .held
            .insert(attempt);
    }

    fn apply_commit(&mut self, attempt: AttemptId, seconds: f64, reused: bool) {
        let Some(entry) = self.tasks.get_mut(&attempt.task) else {
            return;
        };
        let kind = entry.task.spec.kind();
        let children = entry.children.clone();
        if let State::Leased(lease) = &entry.state {
            let worker = lease.worker.clone();
            if let Some(worker) = self.workers.get_mut(&worker) {
                worker.cached.insert(attempt.task);
            }
        }
        let done = State::Done {
            attempt: attempt.number,
            seconds,
        };
        self.set_state(attempt.task, done);
        for child in children {
            self.parent_done(child);
        }
        if !reused && self.durations.observe(kind, seconds) {
            self.rank_all();
        }
    }

    fn parent_done(&mut self, child: TaskKey) {
        let Some(State::Waiting { missing }) = self.tasks.get(&child).map(|e| &e.state) else {
            return;
        };
        let state = match missing - 1 {
            0 => State::Ready,
            missing => State::Waiting { missing },
        };
        self.set_state(child, state);
    }

    fn apply_failure(&mut self, now: Now, attempt: AttemptId, failure: &Failure) {
        let Some(entry) = self.tasks.get_mut(&attempt.task) else {
            return;
        };
        let count = entry.failures.entry(failure.class).or_insert(0);
        *count += 1;
        let count = *count;
        entry.last_failure = Some(failure.clone());
        let again = failure
            .class
            .attempts_allowed()
            .is_none_or(|allowed| count < allowed);
        let state = match failure.class {
            FailureClass::Cancelled => State::Cancelled,
            FailureClass::TransientIo if again => State::Delayed {
                until: now + backoff(count),
            },
            _ if again => State::Ready,
            _ => State::Failed,
        };
        let given_up = state.is_terminal();
        let failed = state == State::Failed;
        self.set_state(attempt.task, state);
        if failed {
            self.count_failure(attempt.task, failure);
        }
        if given_up {
            self.cancel_descendants(attempt.task);
        }
    }

    /// What needs a result that will never be there cannot run.
    fn cancel_descendants(&mut self, task: TaskKey) {
        let Some(entry) = self.tasks.get(&task) else {
            return;
        };
        let cause = format!("`{}` did not end well", entry.task.label);
        let mut open = entry.children.clone();
        while let Some(key) = open.pop() {
            let Some(entry) = self.tasks.get_mut(&key) else {
                continue;
            };
            if entry.state.is_terminal() {
                continue;
            }
            entry.last_failure = Some(Failure::new(FailureClass::Cancelled, cause.clone()));
            open.extend(entry.children.iter().copied());
            self.set_state(key, State::Cancelled);
        }
    }

    /// Nobody wants the task any more: it ends, and its attempt is dropped.
    pub(super) fn cancel_unwanted(&mut self, key: TaskKey) {
        let Some(entry) = self.tasks.get_mut(&key) else {
            return;
        };
        if !entry.wanted_by.is_empty() || entry.state.is_terminal() {
            return;
        }
        if let State::Leased(lease) = &entry.state {
            let attempt = AttemptId {
                task: key,
                number: lease.attempt,
            };
            let drop = ToWorker::Drop {
                attempt,
                reason: "cancelled".to_owned(),
                now: false,
            };
            self.effects.push(Effect::Send(lease.worker.clone(), drop));
        }
        self.set_state(key, State::Cancelled);
    }

    /// The only way a task changes state: keeps queues, counts and workers'
    /// leases in step with it.
    pub(super) fn set_state(&mut self, key: TaskKey, state: State) {
        let free = self.tasks.get(&key).is_some_and(|e| self.may_run(e));
        let Some(entry) = self.tasks.get_mut(&key) else {
            return;
        };
        let queue_key = entry.place();
        let before = std::mem::replace(&mut entry.state, state);
        match &before {
            State::Ready => {
                self.ready.remove(&queue_key);
            }
            State::Delayed { until } => {
                self.delayed.remove(&(*until, key));
            }
            State::Leased(lease) => {
                let attempt = AttemptId {
                    task: key,
                    number: lease.attempt,
                };
                if let Some(worker) = self.workers.get_mut(&lease.worker) {
                    worker.held.remove(&attempt);
                }
            }
            State::Waiting { .. } | State::Done { .. } | State::Failed | State::Cancelled => {}
        }
        match &entry.state {
            State::Ready if free => {
                self.ready.insert(queue_key, entry.is_command());
            }
            State::Delayed { until } => {
                self.delayed.insert((*until, key));
            }
            State::Waiting { .. }
            | State::Ready
            | State::Leased(_)
            | State::Done { .. }
            | State::Failed
            | State::Cancelled => {}
        }
        let (from, to) = (before.public(), entry.state.public());
        let ended = entry.state.is_terminal();
        for sweep in &entry.in_sweeps {
            if let Some(sweep) = self.sweeps.get_mut(sweep) {
                *sweep.counts.of(from) -= 1;
                *sweep.counts.of(to) += 1;
                if ended {
                    sweep.ended.push(key);
                }
            }
        }
    }
}

/// Seconds before a transient failure is tried again: 1, 2, 4, … at most 60.
fn backoff(failures: u32) -> Now {
    Now::from_secs(1 << failures.saturating_sub(1).min(6)).min(Now::from_secs(60))
}
