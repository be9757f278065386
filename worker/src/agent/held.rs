//! What the worker holds: every attempt it was assigned, until its report is
//! acknowledged or the coordinator drops it. Plain data; no I/O.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ablate_proto::id::AttemptId;
use ablate_proto::message::FromWorker;
use tokio_util::sync::CancellationToken;

use super::attempt::Report;

#[derive(Debug, Default)]
pub(super) struct Held {
    attempts: BTreeMap<AttemptId, State>,
    /// Reports to be sent in this session.
    outbox: VecDeque<AttemptId>,
    /// Reports that were not acknowledged yet, sent or not.
    reported: usize,
    /// Attempts taken on, ever.
    begun: u64,
}

/// Tells an attempt that nobody wants it any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Dropped {
    pub(super) token: CancellationToken,
    /// Killed, instead of asked to stop; set before it is cancelled.
    pub(super) at_once: Arc<AtomicBool>,
    /// Its place in the order of assignments.
    pub(super) order: u64,
    /// It goes back, unless it has begun.
    pub(super) returned: CancellationToken,
    pub(super) begun: Arc<AtomicBool>,
}

#[derive(Debug)]
enum State {
    /// Cancelled when it is dropped.
    Working(Dropped),
    Reported(Report),
}

impl Held {
    /// Takes an attempt on. `None`: it is held already, and goes on.
    pub(super) fn begin(&mut self, attempt: AttemptId) -> Option<Dropped> {
        if self.attempts.contains_key(&attempt) {
            return None;
        }
        // An older attempt at the same task is fenced off by this one.
        let first = AttemptId {
            number: 0,
            ..attempt
        };
        let older: Vec<AttemptId> = self
            .attempts
            .range(first..attempt)
            .map(|(id, _)| *id)
            .collect();
        for attempt in older {
            self.forget(attempt);
        }
        self.begun += 1;
        let dropped = Dropped {
            order: self.begun,
            ..Dropped::default()
        };
        self.attempts
            .insert(attempt, State::Working(dropped.clone()));
        Some(dropped)
    }

    /// An attempt ended. Ignored if it was dropped meanwhile.
    pub(super) fn report(&mut self, attempt: AttemptId, report: Report) {
        if let Some(state) = self.attempts.get_mut(&attempt) {
            let before = std::mem::replace(state, State::Reported(report));
            self.reported += usize::from(matches!(before, State::Working(_)));
            self.outbox.push_back(attempt);
        }
    }

    /// Whether an attempt that is about to be dropped is killed.
    pub(super) fn hurry(&mut self, attempt: AttemptId, now: bool) {
        if let Some(State::Working(dropped)) = self.attempts.get(&attempt) {
            dropped.at_once.store(now, Ordering::Relaxed);
        }
    }

    /// Gives up to so many attempts back that have not begun, the last first;
    /// how many.
    pub(super) fn give_back(&self, most: usize) -> usize {
        let waits = self.attempts.values().filter_map(|state| match state {
            State::Working(dropped) if !dropped.begun.load(Ordering::Relaxed) => Some(dropped),
            State::Working(_) | State::Reported(_) => None,
        });
        let mut waits: Vec<&Dropped> = waits.filter(|d| !d.returned.is_cancelled()).collect();
        waits.sort_unstable_by_key(|dropped| std::cmp::Reverse(dropped.order));
        waits.truncate(most);
        waits.iter().for_each(|dropped| dropped.returned.cancel());
        waits.len()
    }

    /// Drops an attempt, or takes note of its acknowledgement: it is stopped
    /// if it still works, and is held no more.
    pub(super) fn forget(&mut self, attempt: AttemptId) -> bool {
        match self.attempts.remove(&attempt) {
            Some(State::Working(dropped)) => {
                dropped.token.cancel();
                true
            }
            Some(State::Reported(_)) => {
                self.reported -= 1;
                true
            }
            None => false,
        }
    }

    /// A new session: reports without an acknowledgement are sent again.
    pub(super) fn reconnected(&mut self) {
        if planted!(ReportNotRepeated) {
            return;
        }
        let reported = self.attempts.iter();
        let reported = reported.filter(|(_, state)| matches!(state, State::Reported(_)));
        self.outbox = reported.map(|(attempt, _)| *attempt).collect();
    }

    /// The next report to send.
    pub(super) fn next_report(&mut self) -> Option<FromWorker> {
        while let Some(attempt) = self.outbox.pop_front() {
            if let Some(State::Reported(report)) = self.attempts.get(&attempt) {
                return Some(report.message(attempt));
            }
        }
        None
    }

    /// Whether an attempt is at work.
    pub(super) fn has(&self, attempt: AttemptId) -> bool {
        matches!(self.attempts.get(&attempt), Some(State::Working(_)))
    }

    /// Reports to be sent.
    pub(super) fn reports(&self) -> usize {
        self.outbox.len()
    }

    /// Attempts that wait or are at work.
    pub(super) fn working(&self) -> usize {
        self.attempts.len() - self.reported
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.attempts.len()
    }

    pub(super) fn ids(&self) -> Vec<AttemptId> {
        self.attempts.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use ablate_proto::id::TaskKey;

    use super::*;

    fn attempt(task: u8, number: u32) -> AttemptId {
        AttemptId {
            task: TaskKey::from_bytes([task; 32]),
            number,
        }
    }

    #[test]
    fn reports_are_repeated_until_acknowledged() {
        let mut held = Held::default();
        let a = attempt(1, 1);
        assert!(held.begin(a).is_some());
        assert!(held.begin(a).is_none());
        held.report(a, Report::preempted());
        assert_eq!(held.next_report(), Some(Report::preempted().message(a)));
        assert_eq!(held.next_report(), None);
        held.reconnected();
        assert!(held.next_report().is_some());
        assert!(held.forget(a));
        held.reconnected();
        assert_eq!(held.next_report(), None);
        assert!(held.is_empty());
    }

    #[test]
    fn what_has_not_begun_goes_back_the_last_first() {
        let mut held = Held::default();
        let stops: Vec<Dropped> = [4, 2, 3, 1]
            .map(|task| held.begin(attempt(task, 1)).unwrap())
            .into();
        stops[0].begun.store(true, Ordering::Relaxed);
        stops[3].begun.store(true, Ordering::Relaxed);
        let returned = || stops.iter().map(|s| s.returned.is_cancelled());
        assert_eq!(held.give_back(1), 1);
        assert!(returned().eq([false, false, true, false]));
        assert_eq!(held.give_back(9), 1);
        assert!(returned().eq([false, true, true, false]));
        assert_eq!(held.give_back(9), 0);
    }

    #[test]
    fn what_is_dropped_or_overtaken_stops_and_reports_nothing() {
        let mut held = Held::default();
        let (a, b, other) = (attempt(1, 1), attempt(1, 2), attempt(2, 1));
        let first = held.begin(a).unwrap();
        let unrelated = held.begin(other).unwrap();
        let second = held.begin(b).unwrap();
        assert!(
            first.token.is_cancelled()
                && !second.token.is_cancelled()
                && !unrelated.token.is_cancelled()
        );
        held.forget(b);
        assert!(second.token.is_cancelled());
        held.report(b, Report::preempted());
        assert!(held.reports() == 0);
        assert_eq!(held.ids(), [other]);
    }
}
