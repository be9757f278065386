//! Whose turn it is.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn id(sweep: &str) -> SweepId {
    sweep.parse().unwrap()
}

fn many(from: u64, count: u64) -> Vec<Task> {
    (from..from + count).map(|index| task(index, &[])).collect()
}

/// Runs the one that runs to its end, and says of which of these sweeps it
/// was.
fn run_one(world: &mut World, sweeps: &[(&str, &[Task])]) -> String {
    let attempt = world.assigned("w");
    let of = |(_, tasks): &&(&str, &[Task])| tasks.iter().any(|t| t.key == attempt.task);
    let name = sweeps.iter().find(of).unwrap().0.to_owned();
    world.step(Event::Commit {
        worker: worker("w"),
        attempt,
        commit: Commit {
            seconds: 9.0,
            ..done()
        },
    });
    assert!(world.acked("w"));
    name
}

#[test]
fn equal_sweeps_take_turns_and_a_late_one_is_not_made_to_wait() {
    let mut world = World::new();
    let (a, b, c) = (many(0, 40), many(100, 40), many(200, 40));
    let sweeps: [(&str, &[Task]); 3] = [("a", &a), ("b", &b), ("c", &c)];
    world.hello("w", 1, vec![]);
    world.submit("a", &a);
    for _ in 0..10 {
        assert_eq!(run_one(&mut world, &sweeps), "a");
    }
    world.submit("b", &b);
    let mut turns: Vec<String> = (0..11).map(|_| run_one(&mut world, &sweeps)).collect();
    turns.remove(0);
    assert_eq!(turns.iter().filter(|t| *t == "b").count(), 5, "{turns:?}");
    world.submit("c", &c);
    let turns: Vec<String> = (0..30).map(|_| run_one(&mut world, &sweeps)).collect();
    for name in ["a", "b", "c"] {
        let count = turns.iter().filter(|t| *t == name).count();
        assert!((9..=11).contains(&count), "{turns:?}");
    }
}

#[test]
fn slots_are_shared_whatever_tasks_take() {
    let mut world = World::new();
    world.hello("w", 6, vec![]);
    world.submit("a", &many(0, 20));
    world.submit("b", &many(100, 20));
    world.submit("c", &many(200, 20));
    for _ in 0..6 {
        world.assigned("w");
    }
    // `a` was there first and has all of them; each slot that is free next
    // goes to who has least.
    let held: Vec<AttemptId> = world
        .core
        .workers
        .get(&worker("w"))
        .map(|w| w.held.keys().copied().collect())
        .unwrap();
    for attempt in &held[..4] {
        let commit = Commit {
            seconds: 60.0,
            ..done()
        };
        world.step(Event::Commit {
            worker: worker("w"),
            attempt: *attempt,
            commit,
        });
    }
    let running = |sweep: &str| world.status(sweep).running;
    assert_eq!([running("a"), running("b"), running("c")], [2, 2, 2]);
}

#[test]
fn higher_priority_goes_first_and_survives_a_restart() {
    let mut world = World::new();
    let (a, b) = (many(0, 5), many(100, 5));
    let sweeps: [(&str, &[Task]); 2] = [("a", &a), ("b", &b)];
    world.submit("a", &a);
    world.submit("b", &b);
    world.step(Event::Prioritise(id("b"), 3));
    world.restart();
    assert_eq!(world.status("b").priority, 3);
    world.hello("w", 1, vec![]);
    let turns: Vec<String> = (0..10).map(|_| run_one(&mut world, &sweeps)).collect();
    assert_eq!(turns.concat(), "bbbbbaaaaa");
}

fn naps(from: u64, count: u64) -> Vec<Task> {
    let nap = |index| {
        let spec = NoopSpec {
            index,
            sleep_ms: 60_000,
            ..NoopSpec::default()
        };
        Task::new(format!("nap {index}"), spec.into(), 0, vec![])
    };
    (from..from + count).map(nap).collect()
}

#[test]
fn what_nobody_can_take_now_keeps_nothing_else_waiting() {
    let mut world = World::new();
    world.hello("w", 2, vec![]);
    // What naps and quick ones take is known from here on.
    world.submit("first", &[naps(0, 1), many(0, 1)].concat());
    for seconds in [60.0, 0.01] {
        let attempt = world.assigned("w");
        let commit = Commit { seconds, ..done() };
        let worker = worker("w");
        world.step(Event::Commit {
            worker,
            attempt,
            commit,
        });
    }
    while world.received("w").is_some() {}
    world.submit("long", &naps(10, 3));
    world.submit("quick", &many(100, 3));
    // Two naps fill the slots; the third does not queue behind them.
    assert_eq!(world.status("long").running, 2);
    assert_eq!(world.status("quick").running, 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever durations are: while a sweep waits, none of the others is
    /// served more than it was itself, but for the tasks that were under way
    /// and those that were taken to be shorter than they are.
    #[test]
    fn nobody_starves(
        seconds in prop::collection::vec(0.5..200.0_f64, 3),
        arrivals in prop::collection::vec(0..30_usize, 3),
        slots in 1..4_u32,
    ) {
        let mut world = World::new();
        world.hello("w", slots, vec![]);
        let sweeps: Vec<Vec<Task>> = (0..3).map(|s| many(1000 * s, 60)).collect();
        let owner = |key: TaskKey| sweeps.iter().position(|s| s.iter().any(|t| t.key == key));
        let longest = seconds.iter().copied().fold(0.0, f64::max);
        let mut held: Vec<AttemptId> = Vec::new();
        // Seconds that others were served while a sweep had no slot.
        let mut waited = BTreeMap::new();
        for round in 0..90 {
            for (s, tasks) in sweeps.iter().enumerate() {
                if arrivals[s] == round {
                    world.submit(["x", "y", "z"][s], tasks);
                    waited.insert(s, 0.0);
                }
            }
            while let Some(message) = world.received("w") {
                if let ToWorker::Assign { attempt, .. } = message {
                    held.push(attempt);
                }
            }
            for (s, waited) in &mut waited {
                let status = world.status(["x", "y", "z"][*s]);
                let open = status.tasks - status.done - status.running;
                if open == 0 || held.iter().any(|a| owner(a.task) == Some(*s)) {
                    *waited = 0.0;
                }
                let most = 2.0 * (seconds[*s] + 3.0 * longest);
                prop_assert!(*waited <= most, "{s} waits while others have {waited} s");
            }
            if !held.is_empty() {
                let attempt = held.remove(0);
                let seconds = seconds[owner(attempt.task).unwrap()];
                for waited in waited.values_mut() {
                    *waited += seconds;
                }
                let commit = Commit { seconds, ..done() };
                world.step(Event::Commit { worker: worker("w"), attempt, commit });
            }
        }
    }
}
