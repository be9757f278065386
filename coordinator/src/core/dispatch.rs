//! Ready tasks meet free slots.

use std::cmp::Reverse;

use ablate_proto::id::{AttemptId, TaskKey, WorkerId};
use ablate_proto::message::ToWorker;
use ablate_proto::task::Task;

use super::tables::Worker;
use super::{Core, Effect, Fact, Now};
use crate::policy;

impl Core {
    /// Gives out ready tasks, the most urgent first, while anybody has room.
    pub(super) fn dispatch(&mut self, now: Now) {
        while let Some((key, worker)) = self.next_placement(now) {
            let Some(entry) = self.tasks.get(&key) else {
                break;
            };
            let attempt = AttemptId {
                task: key,
                number: entry.attempts + 1,
            };
            self.record(
                now,
                Fact::AttemptStarted {
                    attempt,
                    worker: worker.clone(),
                },
            );
            self.send_assignment(&worker, attempt);
        }
    }

    /// The most urgent task that somebody has room for.
    fn next_placement(&self, now: Now) -> Option<(TaskKey, WorkerId)> {
        let mut heads = self.ready.first();
        heads.find_map(|key| Some((key, self.pick_worker(now, key)?)))
    }

    pub(super) fn send_assignment(&mut self, worker: &WorkerId, attempt: AttemptId) {
        if let Some(entry) = self.tasks.get(&attempt.task) {
            let assign = ToWorker::Assign {
                attempt,
                task: Box::new(entry.task.clone()),
            };
            self.effects.push(Effect::Send(worker.clone(), assign));
        }
    }

    /// The worker with a free slot that has most of the inputs at hand, then
    /// the least busy one; failing that, one that may queue short tasks.
    fn pick_worker(&self, now: Now, key: TaskKey) -> Option<WorkerId> {
        let entry = self.tasks.get(&key)?;
        let kind = entry.task.spec.kind();
        let queue = policy::prefetch(self.durations.estimate(kind));
        let command = entry.is_command();
        let at_hand = |worker: &Worker| {
            let inputs = entry.task.inputs.iter();
            inputs.filter(|i| worker.cached.contains(&i.task)).count()
        };
        self.workers
            .iter()
            // One that misses its heartbeats gets nothing new.
            .filter(|(_, w)| w.commands || !command)
            .filter(|(_, w)| w.takes_tasks() && w.deadline > now + self.settings.lease / 3)
            .filter_map(|(id, worker)| {
                let new = !entry.failed_on.contains(id);
                let slots = worker.slots as usize;
                let held = worker.held.len();
                let room = (slots * (1 + queue)).saturating_sub(held);
                let free = slots.saturating_sub(held);
                (room > 0).then_some(((new, free > 0), at_hand(worker), free, room, Reverse(id)))
            })
            .max()
            .map(|(_, _, _, _, Reverse(id))| id.clone())
    }

    /// Orders these tasks by the longest chain below each.
    pub(super) fn rank(&mut self, tasks: &[Task]) {
        for task in tasks.iter().rev() {
            self.rank_one(task.key);
        }
    }

    /// Ranks everything that is still to run, after an estimate changed.
    pub(super) fn rank_all(&mut self) {
        let mut open: Vec<(u64, TaskKey)> = self
            .tasks
            .iter()
            .filter(|(_, e)| !e.state.is_terminal())
            .map(|(key, e)| (e.order, *key))
            .collect();
        // Parents were submitted before their children.
        open.sort_unstable_by_key(|(order, _)| Reverse(*order));
        for (_, key) in open {
            self.rank_one(key);
        }
    }

    fn rank_one(&mut self, key: TaskKey) {
        let Some(entry) = self.tasks.get(&key) else {
            return;
        };
        let below = entry
            .children
            .iter()
            .filter_map(|child| self.tasks.get(child))
            .filter(|child| !child.state.is_terminal())
            .map(|child| child.rank)
            .max()
            .unwrap_or(0);
        let own = policy::weight(self.durations.estimate(entry.task.spec.kind()));
        let (order, before, rank) = (entry.order, entry.rank, below.saturating_add(own));
        if self.ready.remove(&(Reverse(before), order, key)) {
            self.ready
                .insert((Reverse(rank), order, key), entry.is_command());
        }
        if let Some(entry) = self.tasks.get_mut(&key) {
            entry.rank = rank;
        }
    }
}
