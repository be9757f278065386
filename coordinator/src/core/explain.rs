//! Why a task is where it is, in sentences.

use ablate_proto::id::TaskKey;
use ablate_proto::status::Explanation;

use super::tables::{Aside, State, TaskEntry, Worker};
use super::{Core, Now};

impl Core {
    /// The tasks whose keys begin so, at most `most` of them.
    pub fn tasks_with(&self, prefix: &str, most: usize) -> Vec<TaskKey> {
        let begins = |key: &&TaskKey| key.to_string().starts_with(prefix);
        let mut keys: Vec<_> = self.tasks.keys().filter(begins).copied().collect();
        keys.sort_unstable();
        keys.truncate(most);
        keys
    }

    pub fn explain(&self, now: Now, key: TaskKey) -> Option<Explanation> {
        let entry = self.tasks.get(&key)?;
        let mut because = vec![self.because(now, entry)];
        if let (Some(failure), false) = (&entry.last_failure, entry.state.is_terminal()) {
            because.push(format!("its last attempt ended so: {failure}"));
        }
        for (class, count) in &entry.failures {
            let times = if *count == 1 { "time" } else { "times" };
            let allowed = class.attempts_allowed().map_or_else(
                || "any number is allowed".to_owned(),
                |allowed| format!("it is given up at {allowed}"),
            );
            because.push(format!("{count} {times} {class}; {allowed}"));
        }
        Some(Explanation {
            task: key,
            label: entry.task.label.clone(),
            state: entry.state.public(),
            attempt: entry.attempts,
            sweeps: entry.in_sweeps.iter().cloned().collect(),
            because,
        })
    }

    fn because(&self, now: Now, entry: &TaskEntry) -> String {
        match &entry.state {
            State::Waiting { .. } => {
                let open = entry.task.inputs.iter().filter_map(|input| {
                    let parent = self.tasks.get(&input.task)?;
                    let (role, label) = (&input.role, &parent.task.label);
                    let state = format!("{:?}", parent.state.public()).to_lowercase();
                    let done = matches!(parent.state, State::Done { .. });
                    (!done).then(|| format!("its {role} `{label}` ({state})"))
                });
                format!("it waits for {}", open.collect::<Vec<_>>().join(", "))
            }
            State::Ready => self.why_not_leased(now, entry),
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
            State::Failed | State::Cancelled => match &entry.last_failure {
                Some(failure) => failure.to_string(),
                None => "no sweep wants it any more".to_owned(),
            },
        }
    }

    fn why_not_leased(&self, now: Now, entry: &TaskEntry) -> String {
        if !self.may_run(entry) {
            let holds = entry.wanted_by.iter().filter_map(|id| {
                let hold = self.sweeps.get(id)?.held.as_ref()?;
                Some(format!("`{id}`: {}", hold.why))
            });
            let holds: Vec<_> = holds.collect();
            return format!("its sweep is held: {}", holds.join("; "));
        }
        let connected = self.workers.values().filter(|w| w.session.is_some());
        if connected.clone().count() == 0 {
            return "no worker is connected".to_owned();
        }
        if entry.is_command() && !connected.clone().any(|w| w.commands) {
            return "no worker allows commands: start one with --allow-commands".to_owned();
        }
        let aside = self.workers.iter().filter_map(|(id, worker)| {
            let why = worker.aside_because(now)?;
            Some(format!("{id} ({why})"))
        });
        let aside: Vec<_> = aside.collect();
        let before = self.ready.before(entry.place());
        let mut sentence = format!("all slots are taken, and {before} tasks are before it");
        if !aside.is_empty() {
            sentence += &format!("; set aside: {}", aside.join(", "));
        }
        sentence
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
