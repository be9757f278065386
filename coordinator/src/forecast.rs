//! What a sweep would take on so many slots, from durations of earlier tasks:
//! the coordinator's own list scheduling, in simulation.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ablate_proto::id::TaskKey;
use ablate_proto::stage::StageKind;
use ablate_proto::task::{SealedTask, Task};
use serde::Serialize;

use crate::policy::{self, Class, Durations, Node, Order};

/// Durations of tasks that were done.
#[derive(Debug, Default, Clone)]
pub struct Learned {
    durations: Durations,
    tasks: usize,
}

impl Learned {
    /// Learns from a task that was computed.
    pub fn observe(&mut self, task: &Task, seconds: f64) {
        let sealed = SealedTask::from(task.clone());
        let work = f64::from(sealed.work);
        self.durations.observe(Class::of(&sealed), work, seconds);
        self.tasks += 1;
    }

    /// From how many tasks.
    pub fn tasks(&self) -> usize {
        self.tasks
    }
}

/// What a sweep would take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    pub slots: usize,
    /// Tasks that are still to be done.
    pub tasks: u64,
    /// `None`: nothing can be said, because these kinds were never measured.
    pub seconds: Option<f64>,
    /// Between which `seconds` lies, by how far durations were off before.
    pub range: Option<(f64, f64)>,
    /// Seconds of work on one slot, and along the longest chain.
    pub work: f64,
    pub longest: f64,
    /// Kinds of stages that were never measured.
    pub unknown: BTreeSet<String>,
}

/// Simulates what of `tasks` (parents before children) is not `done`.
pub fn forecast(
    tasks: &[Arc<SealedTask>],
    done: impl Fn(&TaskKey) -> bool,
    learned: &Learned,
    slots: usize,
) -> Forecast {
    let mut places: HashMap<TaskKey, usize> = HashMap::new();
    let mut nodes: Vec<Node> = Vec::new();
    let mut unknown: BTreeSet<StageKind> = BTreeSet::new();
    let mut off = 0.0;
    for task in tasks.iter().filter(|task| !done(&task.key)) {
        let work = f64::from(task.work);
        let estimate = learned.durations.estimate(Class::of(task), work);
        let (seconds, spread) = estimate.unwrap_or_else(|| {
            unknown.insert(task.kind);
            (0.0, 0.0)
        });
        off += seconds * spread;
        let parents = task.inputs.iter().filter_map(|i| places.get(&i.task));
        nodes.push(Node {
            seconds,
            parents: parents.copied().collect(),
        });
        places.insert(task.key, nodes.len() - 1);
    }
    let work: f64 = nodes.iter().map(|node| node.seconds).sum();
    let longest = policy::chains(&nodes).into_iter().fold(0.0, f64::max);
    let seconds = policy::makespan(&nodes, slots, Order::CriticalPath);
    let share = if work > 0.0 {
        (off / work).min(1.0)
    } else {
        0.0
    };
    let known = unknown.is_empty();
    Forecast {
        slots,
        tasks: nodes.len() as u64,
        seconds: known.then_some(seconds),
        range: known.then_some((seconds * (1.0 - share), seconds * (1.0 + share))),
        work,
        longest,
        unknown: unknown.iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use ablate_proto::stage::{NoopSpec, VaeSpec};
    use ablate_proto::task::Input;

    use super::*;

    fn nap(index: u64, after: Option<&Task>) -> Task {
        let spec = NoopSpec {
            index,
            sleep_ms: 1000,
            ..NoopSpec::default()
        };
        let input = after.map(|parent| Input {
            role: "after".to_owned(),
            task: parent.key,
        });
        Task::new("nap".into(), spec.into(), 0, input.into_iter().collect())
    }

    fn sealed(task: Task) -> Arc<SealedTask> {
        Arc::new(task.into())
    }

    #[test]
    fn slots_divide_the_work_and_chains_do_not_shrink() {
        let mut learned = Learned::default();
        for index in 0..30 {
            learned.observe(&nap(100 + index, None), 2.0);
        }
        let first = nap(0, None);
        let second = nap(1, Some(&first));
        let third = nap(2, Some(&second));
        let others = [3, 4, 5].map(|index| nap(index, None));
        let mut tasks = vec![first.clone(), second, third];
        tasks.extend(others);
        let tasks: Vec<_> = tasks.into_iter().map(sealed).collect();
        let on = |slots| {
            forecast(&tasks, |_| false, &learned, slots)
                .seconds
                .unwrap()
        };
        assert!((on(1) - 12.0).abs() < 0.1, "{}", on(1));
        assert!((on(2) - 6.0).abs() < 0.1);
        assert!((on(9) - 6.0).abs() < 0.1);
        let rest = forecast(&tasks, |key| *key == first.key, &learned, 9);
        assert_eq!(rest.tasks, 5);
        assert!((rest.longest - 4.0).abs() < 0.1);
        let (low, high) = rest.range.unwrap();
        assert!(
            low <= 4.0 && 4.0 <= high + 0.1 && high < 4.2,
            "{low} {high}"
        );
    }

    #[test]
    fn what_was_never_measured_is_said_and_not_guessed() {
        let learned = Learned::default();
        let vae = Task::new("v".into(), VaeSpec::default().into(), 0, vec![]);
        let unknown = forecast(&[sealed(vae)], |_| false, &learned, 4);
        assert_eq!(unknown.seconds, None);
        assert_eq!(Vec::from_iter(unknown.unknown), ["vae"]);
    }
}
