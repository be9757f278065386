//! The end of a sweep: what waits behind a busy slot goes to one that is free.

use ablate_proto::failure::FailureClass;
use ablate_proto::id::WorkerId;
use ablate_proto::message::ToWorker;

use super::tables::{State, TaskEntry};
use super::{Core, Effect, Now};

/// What queues at a worker is a tenth of a second's worth; what waits so much
/// longer was expected to begin long ago.
const OVERDUE: Now = Now::from_secs(1);
/// What was handed back so often has no better place.
const OFTEN: u32 = 3;

impl Core {
    /// Asks workers to hand back what waits behind their slots, as much as
    /// others have slots free for and nothing else to run on them. They choose
    /// what has not begun, and report it as preempted.
    pub(super) fn take_back(&mut self, now: Now) {
        // What others were asked for is on its way.
        let asked: usize = self.workers.values().map(|w| w.asked_back).sum();
        let mut free = self.workers.free_slots(false).saturating_sub(asked);
        if free == 0 || !self.queue.is_empty() {
            return;
        }
        let full = self.workers.iter().filter(|(_, w)| {
            let waits = w.held.len().saturating_sub(w.slots as usize);
            w.session.is_some() && waits > w.asked_back
        });
        let full: Vec<WorkerId> = full.map(|(id, _)| id.clone()).collect();
        for id in full {
            let back = self.overdue(now, &id).min(free);
            if back == 0 {
                continue;
            }
            free -= back;
            self.workers.change(&id, |w| w.asked_back += back);
            let most = u32::try_from(back).unwrap_or(u32::MAX);
            let ask = ToWorker::TakeBack { most };
            self.effects.push(Effect::Send(id, ask));
        }
    }

    /// How many of those that a worker holds have waited for too long, at
    /// least, and can begin elsewhere.
    fn overdue(&self, now: Now, id: &WorkerId) -> usize {
        let Some(worker) = self.workers.get(id) else {
            return 0;
        };
        let old = worker.held.keys().filter_map(|attempt| {
            let entry = self.tasks.get(&attempt.task)?;
            let State::Leased(lease) = &entry.state else {
                return None;
            };
            let before = entry.trouble.as_ref().map(|trouble| &trouble.failures);
            let before = before.and_then(|all| all.get(&FailureClass::Preempted));
            let again = before.is_none_or(|times| *times < OFTEN);
            let late = now.saturating_sub(lease.since) > OVERDUE;
            (lease.step == 0 && late && again).then_some(entry)
        });
        let old: Vec<&TaskEntry> = old.collect();
        if old.iter().any(|entry| entry.class.kind.is_open()) && self.workers.free_slots(true) == 0
        {
            return 0;
        }
        // As many as there are places may have begun.
        let places = worker.slots as usize * worker.capacity.pack.max(1) as usize;
        let waits = old.len().min(worker.held.len().saturating_sub(places));
        waits.saturating_sub(worker.asked_back)
    }
}
