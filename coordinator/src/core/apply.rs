//! Facts become state. The only place that changes what must survive.

use ablate_proto::capacity::{Grant, Used};
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, WorkerId};
use ablate_proto::message::ToWorker;

use super::crew::{Held, Worker};
use super::tables::{Lease, State, TaskIx};
use super::{Core, Effect, Fact, Now};
use crate::policy;

impl Core {
    pub(super) fn apply(&mut self, now: Now, fact: &Fact) {
        match fact {
            Fact::SweepSubmitted(submission) => self.apply_submission(submission),
            Fact::ResultsGone(keys) => self.apply_results_gone(keys),
            Fact::SweepCancelled(sweep) => self.apply_cancellation(sweep),
            Fact::SweepHeld { sweep, hold } => self.apply_hold(sweep, hold),
            Fact::SweepReleased(sweep) => self.apply_release(sweep),
            Fact::SweepRetried { sweep, class } => self.apply_retry(sweep, *class),
            Fact::SweepPrioritised { sweep, priority } => self.apply_priority(sweep, *priority),
            Fact::AttemptStarted {
                attempt,
                worker,
                grant,
            } => self.apply_start(now, *attempt, worker, *grant),
            Fact::TaskCommitted {
                attempt,
                seconds,
                reused,
                used,
                manifest,
            } => {
                let bare = manifest.is_none() && !reused;
                self.apply_commit(*attempt, (*seconds, bare), *reused, *used);
            }
            Fact::AttemptFailed { attempt, failure } => self.apply_failure(now, *attempt, failure),
            Fact::SavedSweep(sweep) => self.apply_saved_sweep(sweep),
            Fact::SavedTasks(tasks) => {
                self.tasks.reserve(tasks.len());
                for task in tasks {
                    self.apply_saved_task(now, task);
                }
            }
            Fact::SavedList(list) => self.apply_saved_list(list),
            Fact::SavedDurations(durations) => self.apply_saved_durations(durations),
        }
    }

    fn apply_start(&mut self, now: Now, attempt: AttemptId, worker: &WorkerId, grant: Grant) {
        let Some(ix) = self.tasks.find(&attempt.task) else {
            return;
        };
        let entry = &mut self.tasks[ix];
        entry.attempts = attempt.number;
        let lease = Lease {
            worker: worker.clone(),
            attempt: attempt.number,
            since: now,
            grant,
            step: 0,
            total: 0,
            charged: policy::weight(self.durations.typical(entry.class)),
        };
        self.set_state(ix, State::Leased(Box::new(lease)));
        let deadline = now + self.settings.lease;
        let held = Held { task: ix, grant };
        let take = |w: &mut Worker| w.take(attempt, held);
        if self.workers.change(worker, take).is_none() {
            self.workers.enter(worker, deadline);
            self.workers.change(worker, take);
        }
    }

    fn apply_commit(
        &mut self,
        attempt: AttemptId,
        (seconds, bare): (f64, bool),
        reused: bool,
        used: Used,
    ) {
        let Some(ix) = self.tasks.find(&attempt.task) else {
            return;
        };
        let entry = &mut self.tasks[ix];
        let (class, work) = (entry.class, f64::from(entry.work));
        let children = entry.children.clone();
        let mut charged = 0;
        if let State::Leased(lease) = &entry.state {
            entry.home = Some(lease.worker.clone());
            charged = lease.charged;
        }
        let done = State::Done {
            attempt: attempt.number,
            bare,
            seconds,
        };
        self.set_state(ix, done);
        self.recharge(ix, charged, policy::weight(Some(seconds)));
        for child in children {
            self.parent_done(child);
        }
        self.since_ranked += 1;
        self.peaks.observe(class, used);
        if !reused && self.durations.observe(class, work, seconds) {
            self.ranks_are_stale = true;
        }
    }

    /// What a lease took is known now; it was charged with what was expected.
    fn recharge(&mut self, ix: TaskIx, charged: u64, took: u64) {
        for claim in self.tasks[ix].claims.clone() {
            let sweep = &mut self.sweeps[claim.sweep];
            sweep.served = (sweep.served + took).saturating_sub(charged);
            self.queue.turn(claim.sweep, sweep.turn());
        }
    }

    fn parent_done(&mut self, child: TaskIx) {
        let State::Waiting { missing } = self.tasks[child].state else {
            return;
        };
        let state = match missing - 1 {
            0 => State::Ready,
            missing => State::Waiting { missing },
        };
        self.set_state(child, state);
    }

    fn apply_failure(&mut self, now: Now, attempt: AttemptId, failure: &Failure) {
        let Some(ix) = self.tasks.find(&attempt.task) else {
            return;
        };
        let grant = self.tasks[ix].grant();
        if failure.class == FailureClass::OutOfMemory && self.raise(ix, failure) {
            return self.set_state(ix, State::Ready);
        }
        let trouble = self.tasks[ix].trouble();
        let count = trouble.failures.entry(failure.class).or_insert(0);
        *count += 1;
        let count = *count;
        trouble.last = Some(failure.clone());
        let alone = failure.class == FailureClass::OutOfMemory && grant.whole;
        let again = !alone
            && failure
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
        self.set_state(ix, state);
        if failed {
            self.count_failure(ix, failure);
        }
        if given_up {
            self.cancel_descendants(ix);
        }
    }

    /// A task ran out of the memory that it was given: it needs twice as much,
    /// and it was no try. False if it had all that there is, or if nobody
    /// knows how much it had.
    fn raise(&mut self, ix: TaskIx, failure: &Failure) -> bool {
        let grant = self.tasks[ix].grant();
        if grant.whole || grant.memory == 0 {
            return false;
        }
        let trouble = self.tasks[ix].trouble();
        let more = u8::try_from(grant.memory.ilog2() + 1).unwrap_or(u8::MAX);
        trouble.raised = trouble.raised.max(more);
        trouble.last = Some(failure.clone());
        true
    }

    /// What needs a result that will never be there cannot run.
    fn cancel_descendants(&mut self, ix: TaskIx) {
        let entry = &self.tasks[ix];
        let cause = format!("`{}` did not end well", entry.task.label);
        let mut open = entry.children.to_vec();
        while let Some(ix) = open.pop() {
            let entry = &mut self.tasks[ix];
            if entry.state.is_terminal() {
                continue;
            }
            entry.trouble().last = Some(Failure::new(FailureClass::Cancelled, cause.clone()));
            open.extend(entry.children.iter().copied());
            self.set_state(ix, State::Cancelled);
        }
    }

    /// Nobody wants the task any more: it ends, and its attempt is dropped.
    pub(super) fn cancel_unwanted(&mut self, ix: TaskIx) {
        let entry = &self.tasks[ix];
        if entry.is_wanted() || entry.state.is_terminal() {
            return;
        }
        if let State::Leased(lease) = &entry.state {
            let attempt = AttemptId {
                task: entry.task.key,
                number: lease.attempt,
            };
            let drop = ToWorker::Drop {
                attempt,
                reason: "cancelled".to_owned(),
                now: false,
            };
            self.effects.push(Effect::Send(lease.worker.clone(), drop));
        }
        self.set_state(ix, State::Cancelled);
    }

    /// The only way a task changes state: keeps queues, counts and workers'
    /// leases in step with it.
    pub(super) fn set_state(&mut self, ix: TaskIx, state: State) {
        self.dequeue(ix);
        let entry = &mut self.tasks[ix];
        let before = std::mem::replace(&mut entry.state, state);
        match &before {
            State::Delayed { until } => {
                self.delayed.remove(&(*until, ix));
            }
            State::Leased(lease) => {
                let attempt = AttemptId {
                    task: entry.task.key,
                    number: lease.attempt,
                };
                self.workers.change(&lease.worker, |w| w.release(&attempt));
            }
            State::Waiting { .. }
            | State::Ready
            | State::Done { .. }
            | State::Failed
            | State::Cancelled => {}
        }
        let mut charge = 0;
        match &self.tasks[ix].state {
            State::Delayed { until } => {
                self.delayed.insert((*until, ix));
            }
            State::Leased(lease) => charge = lease.charged,
            State::Waiting { .. }
            | State::Ready
            | State::Done { .. }
            | State::Failed
            | State::Cancelled => {}
        }
        let entry = &self.tasks[ix];
        let (from, to) = (before.public(), entry.state.public());
        for claim in &entry.claims {
            let sweep = &mut self.sweeps[claim.sweep];
            sweep.count(ix, entry, from, false);
            sweep.count(ix, entry, to, true);
            sweep.served += charge;
            if sweep.all_ended() {
                self.ending.push(claim.sweep);
            }
            if from != to {
                self.queue.turn(claim.sweep, sweep.turn());
            }
        }
        if planted!(ReadyForgotten) && matches!(before, State::Leased(_)) {
            return;
        }
        self.enqueue(ix);
    }
}

/// Seconds before a transient failure is tried again: 1, 2, 4, … at most 60.
fn backoff(failures: u32) -> Now {
    Now::from_secs(1 << failures.saturating_sub(1).min(6)).min(Now::from_secs(60))
}
