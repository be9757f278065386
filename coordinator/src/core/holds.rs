//! Sweeps that are held: nothing of them starts until they are released. A
//! person pauses one, or the coordinator does when its tasks keep failing the
//! same way.

use ablate_proto::failure::Failure;
use ablate_proto::id::{SweepId, TaskKey};
use ablate_proto::status::Hold;

use super::tables::{End, State, TaskEntry};
use super::{Core, Effect, Fact, Now};

/// So many tasks that failed the same way are no accident.
const SAME_FAILURES: u32 = 5;

/// Of a cause, what counts for its fingerprint.
const FINGERPRINT: usize = 160;

impl Core {
    pub(super) fn hold(&mut self, now: Now, sweep: SweepId, hold: Hold) {
        let open = |s: &super::tables::Sweep| s.held.is_none() && !s.all_ended();
        if self.sweeps.get(&sweep).is_some_and(open) {
            self.record(now, Fact::SweepHeld { sweep, hold });
        }
    }

    pub(super) fn release(&mut self, now: Now, sweep: SweepId) {
        if self.sweeps.get(&sweep).is_some_and(|s| s.held.is_some()) {
            self.record(now, Fact::SweepReleased(sweep));
        }
    }

    pub(super) fn apply_hold(&mut self, id: &SweepId, hold: &Hold) {
        if let Some(sweep) = self.sweeps.get_mut(id) {
            sweep.held = Some(hold.clone());
        }
        self.requeue_all(id);
    }

    pub(super) fn apply_release(&mut self, id: &SweepId) {
        if let Some(sweep) = self.sweeps.get_mut(id) {
            sweep.held = None;
            sweep.same.clear();
        }
        self.requeue_all(id);
    }

    /// Whether a sweep that wants the task is not held.
    pub(super) fn may_run(&self, entry: &TaskEntry) -> bool {
        let free = |id: &SweepId| self.sweeps.get(id).is_none_or(|s| s.held.is_none());
        entry.wanted_by.iter().any(free)
    }

    pub(super) fn requeue_all(&mut self, id: &SweepId) {
        let keys = self.sweeps.get(id).map(|sweep| sweep.tasks.clone());
        for key in keys.unwrap_or_default() {
            self.requeue(key);
        }
    }

    /// Puts a ready task in the queue or takes it out, as its sweeps have it.
    pub(super) fn requeue(&mut self, key: TaskKey) {
        let Some(entry) = self.tasks.get(&key) else {
            return;
        };
        let place = entry.place();
        if entry.state == State::Ready && self.may_run(entry) {
            self.ready.insert(place);
        } else {
            self.ready.remove(&place);
        }
    }

    /// Counts a task that was given up, in all that contain it.
    pub(super) fn count_failure(&mut self, key: TaskKey, failure: &Failure) {
        let Some(entry) = self.tasks.get(&key) else {
            return;
        };
        for id in &entry.in_sweeps {
            if let Some(sweep) = self.sweeps.get_mut(id) {
                *sweep.same.entry(fingerprint(failure)).or_insert(0) += 1;
            }
        }
    }

    /// Holds the sweeps of a task that was given up, if others were for the
    /// same reason.
    pub(super) fn hold_if_hopeless(&mut self, now: Now, key: TaskKey) {
        let Some(entry) = self.tasks.get(&key) else {
            return;
        };
        let (State::Failed, Some(failure)) = (&entry.state, entry.last_failure.clone()) else {
            return;
        };
        let print = fingerprint(&failure);
        for id in entry.wanted_by.clone() {
            let same = self.sweeps.get(&id).and_then(|s| s.same.get(&print));
            let same = same.copied().unwrap_or_default();
            if same >= SAME_FAILURES {
                let why = format!("{same} tasks failed the same way: {failure}");
                let person = false;
                self.hold(now, id, Hold { person, why });
            }
        }
    }

    /// Failed tasks, or those of one class, get another chance, and with them
    /// what waited for them.
    pub(super) fn retry(&mut self, now: Now, sweep: SweepId, class: Option<super::FailureClass>) {
        let failed = |s: &super::tables::Sweep| s.counts.failed + s.counts.cancelled > 0;
        if self.sweeps.get(&sweep).is_some_and(failed) {
            self.record(now, Fact::SweepRetried { sweep, class });
        }
    }

    pub(super) fn apply_retry(&mut self, id: &SweepId, class: Option<super::FailureClass>) {
        let Some(sweep) = self.sweeps.get_mut(id) else {
            return;
        };
        sweep.cancelled = false;
        sweep.end = End::NotYet;
        sweep.same.clear();
        let keys = sweep.tasks.clone();
        let mut revived = Vec::new();
        // Parents come before their children.
        for key in &keys {
            // It may have been cancelled: it wants all of its tasks again.
            if let Some(entry) = self.tasks.get_mut(key) {
                entry.wanted_by.insert(id.clone());
            }
            if let Some(entry) = self.tasks.get(key)
                && self.deserves_retry(entry, class)
            {
                let task = entry.task.clone();
                self.adopt(id, &task);
                revived.push(task);
            }
        }
        self.rank(&revived);
        let tasks = &self.tasks;
        if let Some(sweep) = self.sweeps.get_mut(id) {
            let ended = |key: &TaskKey| tasks.get(key).is_some_and(|e| e.state.is_terminal());
            sweep.ended.retain(ended);
        }
        self.requeue_all(id);
        self.effects.push(Effect::ForgetOutcome(id.clone()));
    }

    fn deserves_retry(&self, entry: &TaskEntry, class: Option<super::FailureClass>) -> bool {
        match entry.state {
            State::Failed => {
                let last = entry.last_failure.as_ref().map(|f| f.class);
                class.is_none() || class == last
            }
            State::Cancelled => entry.task.inputs.iter().all(|input| {
                let parent = self.tasks.get(&input.task).map(|e| &e.state);
                !matches!(parent, Some(State::Failed | State::Cancelled))
            }),
            _ => false,
        }
    }
}

/// The class and the cause without its numbers: steps, addresses and sizes
/// differ where the reason is the same.
fn fingerprint(failure: &Failure) -> String {
    let cause = failure.cause.chars().filter(|c| !c.is_numeric());
    let cause: String = cause.take(FINGERPRINT).collect();
    format!("{}: {cause}", failure.class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_tell_failures_apart() {
        let of = |cause: &str| fingerprint(&Failure::bug(cause));
        assert_eq!(of("NaN at step 12"), of("NaN at step 3"));
        assert_ne!(of("NaN at step 12"), of("inf at step 12"));
        assert_ne!(of("x"), fingerprint(&Failure::data("x")));
    }
}
