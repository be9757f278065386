//! Why a task is where it is, in sentences.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use ablate_proto::capacity::readable;
use ablate_proto::id::TaskKey;
use ablate_proto::status::Explanation;

use super::crew::{Aside, Worker};
use super::tables::{State, TaskEntry, TaskIx};
use super::{Core, Now};

/// Workers named in one sentence.
const LISTED: usize = 8;

impl Core {
    /// The tasks whose keys begin so, at most `most` of them.
    pub fn tasks_with(&self, prefix: &str, most: usize) -> Vec<TaskKey> {
        let keys = self.tasks.iter().map(|(_, entry)| entry.task.key);
        let mut keys: Vec<_> = keys.filter(|k| k.to_string().starts_with(prefix)).collect();
        keys.sort_unstable();
        keys.truncate(most);
        keys
    }

    pub fn explain(&self, now: Now, key: TaskKey) -> Option<Explanation> {
        let ix = self.tasks.find(&key)?;
        let entry = &self.tasks[ix];
        let mut because = vec![self.because(now, ix)];
        if let (Some(failure), false) = (entry.last_failure(), entry.state.is_terminal()) {
            because.push(format!("its last attempt ended so: {failure}"));
        }
        let failures = entry.trouble.iter().flat_map(|trouble| &trouble.failures);
        for (class, count) in failures {
            let times = if *count == 1 { "time" } else { "times" };
            let allowed = class.attempts_allowed().map_or_else(
                || "any number is allowed".to_owned(),
                |allowed| format!("it is given up at {allowed}"),
            );
            because.push(format!("{count} {times} {class}; {allowed}"));
        }
        Some(Explanation {
            task: key,
            label: entry.task.label.to_string(),
            state: entry.state.public(),
            attempt: entry.attempts,
            sweeps: entry
                .in_sweeps()
                .map(|at| self.sweeps[at].id.clone())
                .collect(),
            because,
        })
    }

    fn because(&self, now: Now, ix: TaskIx) -> String {
        let entry = &self.tasks[ix];
        match &entry.state {
            State::Waiting { .. } => {
                let inputs = entry.task.inputs.iter().zip(self.tasks.parents(ix));
                let open = inputs.filter_map(|(input, parent)| {
                    let parent = parent?;
                    let (role, label) = (&input.role, &parent.task.label);
                    let state = format!("{:?}", parent.state.public()).to_lowercase();
                    let done = matches!(parent.state, State::Done { .. });
                    (!done).then(|| format!("its {role} `{label}` ({state})"))
                });
                format!("it waits for {}", open.collect::<Vec<_>>().join(", "))
            }
            State::Ready => self.why_not_leased(now, ix),
            State::Delayed { until } => {
                let left = until.saturating_sub(now).as_secs_f64();
                format!("it is tried again in {left:.0} s")
            }
            State::Leased(lease) => {
                let since = now.saturating_sub(lease.since).as_secs_f64();
                let (worker, step, total) = (&lease.worker, lease.step, lease.total);
                format!("worker {worker} has it since {since:.0} s, at step {step} of {total}")
            }
            State::Done { seconds, .. } => format!("it was done in {seconds:.1} s"),
            State::Failed | State::Cancelled => match entry.last_failure() {
                Some(failure) => failure.to_string(),
                None => "no sweep wants it any more".to_owned(),
            },
        }
    }

    fn why_not_leased(&self, now: Now, ix: TaskIx) -> String {
        let entry = &self.tasks[ix];
        if !self.may_run(entry) {
            let holds = entry.wanted_by().filter_map(|at| {
                let sweep = &self.sweeps[at];
                let hold = sweep.held.as_ref()?;
                Some(format!("`{}`: {}", sweep.id, hold.why))
            });
            let holds: Vec<_> = holds.collect();
            return format!("its sweep is held: {}", holds.join("; "));
        }
        let connected = self.workers.values().filter(|w| w.session.is_some());
        if connected.clone().count() == 0 {
            return "no worker is connected".to_owned();
        }
        if entry.class.kind.is_open() && !connected.clone().any(|w| w.commands) {
            return "no worker allows commands: start one with --allow-commands".to_owned();
        }
        if let Some(why) = self.waits_for_memory(now, entry) {
            return why;
        }
        let aside = self.workers.iter().filter_map(|(id, worker)| {
            let why = worker.aside_because(now)?;
            Some(format!("{id} ({why})"))
        });
        let aside: Vec<_> = aside.collect();
        let place = (Reverse(entry.rank), ix);
        let before = entry.wanted_by().map(|at| self.queue.before(at, place));
        let before = before.min().unwrap_or(0);
        let mut sentence =
            format!("all slots are taken, and {before} tasks of its sweep are before it");
        if !aside.is_empty() {
            sentence += &format!("; set aside: {}", aside.join(", "));
        }
        sentence
    }
}

impl Core {
    /// If slots are free, but not the memory.
    fn waits_for_memory(&self, now: Now, entry: &TaskEntry) -> Option<String> {
        let kin = entry.kin();
        let (need, kept) = (self.need(kin), BTreeSet::new());
        let mut refuse = Vec::new();
        for (_, id, worker) in self.workers.with_slot(now, &need, &kept) {
            if worker
                .grant(&need, || self.workers.largest(&need))
                .is_some()
            {
                let sentence =
                    "a worker is kept free for a task before it, which needs more memory";
                return (!refuse.is_empty()).then(|| sentence.to_owned());
            }
            let all = worker.capacity.memory;
            let free = all.saturating_sub(worker.taken_with(0));
            refuse.push(format!(
                "{id} has {} of {} free",
                readable(free),
                readable(all)
            ));
        }
        if refuse.is_empty() {
            return None;
        }
        let needs = need.memory.map_or_else(
            || "nothing is known of tasks of its kind yet".to_owned(),
            |bytes| {
                let learned = if kin.raised > 0 {
                    "it ran out of less"
                } else {
                    "as tasks of its kind did"
                };
                format!("it needs about {} ({learned})", readable(bytes))
            },
        );
        refuse.truncate(LISTED);
        Some(format!(
            "it waits for memory, because {needs}, and {}",
            refuse.join(", ")
        ))
    }
}

impl Worker {
    /// Why it gets nothing new, if it does not.
    pub(super) fn aside_because(&self, now: Now) -> Option<String> {
        match self.aside {
            Some(Aside::Drained) => Some("it is being drained".to_owned()),
            Some(Aside::Failing { until }) => {
                let left = until.saturating_sub(now).as_secs_f64();
                Some(format!(
                    "everything failed on it; tried again in {left:.0} s"
                ))
            }
            None if self.draining => Some("it is going".to_owned()),
            None => None,
        }
    }
}
