//! Sweeps that are held: nothing of them starts until they are released. A
//! person pauses one, or the coordinator does when its tasks keep failing the
//! same way.

use ablate_proto::failure::Failure;
use ablate_proto::id::{SweepId, TaskKey};
use ablate_proto::status::Hold;

use super::sweep_rows::{End, Sweep};
use super::tables::{State, TaskEntry, TaskIx};
use super::{Core, Effect, Fact, Now};

/// So many tasks that failed the same way are no accident.
const SAME_FAILURES: u32 = 5;

/// Of a cause, what counts for its fingerprint.
const FINGERPRINT: usize = 160;

impl Core {
    pub(super) fn hold(&mut self, now: Now, sweep: SweepId, hold: Hold) {
        let open = |s: &Sweep| s.held.is_none() && !s.all_ended();
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
        if let Some(at) = self.sweeps.find(id) {
            self.queue.leave(at);
            self.sweeps[at].held = Some(hold.clone());
        }
    }

    pub(super) fn apply_release(&mut self, id: &SweepId) {
        if let Some(at) = self.sweeps.find(id) {
            let sweep = &mut self.sweeps[at];
            sweep.held = None;
            sweep.same.clear();
            self.queue_sweep(at);
        }
    }

    /// Whether a sweep that wants the task is not held.
    pub(super) fn may_run(&self, entry: &TaskEntry) -> bool {
        let mut wanted = entry.wanted_by();
        wanted.any(|sweep| self.sweeps[sweep].held.is_none())
    }

    /// Counts a task that was given up, in all that contain it.
    pub(super) fn count_failure(&mut self, ix: TaskIx, failure: &Failure) {
        for sweep in self.tasks[ix].in_sweeps() {
            let same = &mut self.sweeps[sweep].same;
            *same.entry(fingerprint(failure)).or_insert(0) += 1;
        }
    }

    /// Holds the sweeps of a task that was given up, if others were for the
    /// same reason.
    pub(super) fn hold_if_hopeless(&mut self, now: Now, key: TaskKey) {
        let Some(entry) = self.tasks.get(&key) else {
            return;
        };
        let (State::Failed, Some(failure)) = (&entry.state, entry.last_failure().cloned()) else {
            return;
        };
        let print = fingerprint(&failure);
        for at in entry.wanted_by().collect::<Vec<_>>() {
            let sweep = &self.sweeps[at];
            let same = sweep.same.get(&print).copied().unwrap_or_default();
            let id = sweep.id.clone();
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
        let failed = |s: &Sweep| s.counts.failed + s.counts.cancelled > 0;
        if self.sweeps.get(&sweep).is_some_and(failed) {
            self.record(now, Fact::SweepRetried { sweep, class });
        }
    }

    pub(super) fn apply_retry(&mut self, id: &SweepId, class: Option<super::FailureClass>) {
        let Some(at) = self.sweeps.find(id) else {
            return;
        };
        self.queue.leave(at);
        let sweep = &mut self.sweeps[at];
        sweep.cancelled = false;
        sweep.end = End::NotYet;
        sweep.same.clear();
        let mut revived = Vec::new();
        // Parents come before their children.
        for ix in sweep.tasks.clone() {
            // It may have been cancelled: it wants all of its tasks again.
            let entry = &mut self.tasks[ix];
            entry.claim(at);
            let task = entry.task.clone();
            if self.deserves_retry(ix, class) {
                self.adopt(at, &task);
                revived.push(ix);
            }
        }
        self.rank(&revived);
        for ix in revived {
            self.enqueue(ix);
        }
        let tasks = &self.tasks;
        let sweep = &mut self.sweeps[at];
        sweep.ended.retain(|ix| tasks[*ix].state.is_terminal());
        self.queue_sweep(at);
        self.ending.push(at);
        self.effects.push(Effect::ForgetOutcome(id.clone()));
    }

    fn deserves_retry(&self, ix: TaskIx, class: Option<super::FailureClass>) -> bool {
        let entry = &self.tasks[ix];
        match entry.state {
            State::Failed => {
                let last = entry.last_failure().map(|f| f.class);
                class.is_none() || class == last
            }
            State::Cancelled => self.tasks.parents(ix).all(|parent| {
                let state = parent.map(|e| &e.state);
                !matches!(state, Some(State::Failed | State::Cancelled))
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
