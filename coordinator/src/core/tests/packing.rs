//! Memory, shares of slots, and what waits behind busy ones.

use super::invariants::durable_view;
use super::*;

const GIB: u64 = 1 << 30;

fn capacity(gib: u64, pack: u32) -> Capacity {
    Capacity {
        memory: gib * GIB,
        largest: gib * GIB,
        pack,
        threads: 4,
    }
}

/// Tasks that sleep so long: of one class.
fn tasks(indices: std::ops::Range<u64>, sleep_ms: u64) -> Vec<Task> {
    let task = |index| {
        let spec = NoopSpec {
            index,
            sleep_ms,
            ..NoopSpec::default()
        };
        Task::new(format!("t{index}"), spec.into(), 0, Vec::new())
    };
    indices.map(task).collect()
}

impl World {
    fn committed(&mut self, name: &str, attempt: AttemptId, seconds: f64, used: Used) {
        let commit = Commit {
            seconds,
            used,
            ..done()
        };
        self.step(Event::Commit {
            worker: worker(name),
            attempt,
            commit,
        });
        assert!(self.acked(name));
    }

    /// What a worker was given so far.
    fn given(&mut self, name: &str) -> Vec<AttemptId> {
        let mut given = Vec::new();
        while let Some(message) = self.received(name) {
            match message {
                ToWorker::Assign { attempt, .. } => given.push(attempt),
                other => panic!("{other:?}"),
            }
        }
        given
    }

    fn because(&self, task: &Task) -> String {
        let explained = self.core.explain(self.now, task.key).unwrap();
        explained.because.join("; ")
    }
}

fn used(gib: u64) -> Used {
    Used {
        memory: gib * GIB,
        cores: 4.0,
    }
}

#[test]
fn what_does_not_fit_waits_and_says_why() {
    let mut world = World::new();
    world.hello_with("w", 4, capacity(8, 1));
    let first = tasks(0..1, 60_000);
    world.submit("a", &first);
    let only = world.assigned("w");
    world.committed("w", only, 60.0, used(3));
    let more = tasks(1..5, 60_000);
    world.submit("b", &more);
    // Two of three gibibytes and an eighth fit into eight.
    let given = world.given("w");
    assert_eq!(given.len(), 2);
    let waits = more.iter().find(|t| given.iter().all(|a| a.task != t.key));
    let why = world.because(waits.unwrap());
    assert!(
        why.contains("waits for memory, because it needs about 3.4 GiB"),
        "{why}"
    );
    assert!(why.contains("w has 1.2 GiB of 8.0 GiB free"), "{why}");
    // The same after a restart, and from a snapshot.
    let saved = Core::recover(CoreSettings::default(), world.core.saved());
    assert_eq!(durable_view(&world.core), durable_view(&saved));
    let view = durable_view(&world.core);
    world.restart();
    assert_eq!(view, durable_view(&world.core));
    world.hello_with("w", 4, capacity(8, 1));
    world.given("w");
    assert_eq!(world.because(waits.unwrap()), why);
    world.committed("w", given[0], 60.0, used(3));
    assert_eq!(world.given("w").len(), 1);
}

#[test]
fn running_out_of_memory_is_no_try_until_it_had_all() {
    let mut world = World::new();
    world.hello_with("w", 4, capacity(8, 1));
    let one = tasks(0..1, 10);
    world.submit("s", &one);
    for number in 1..=2 {
        let attempt = world.assigned("w");
        assert_eq!(attempt.number, number);
        world.fail("w", attempt, FailureClass::OutOfMemory);
        assert!(world.acked("w"));
        assert_eq!(world.state("s"), SweepState::Running);
    }
    // 2 GiB, 4 GiB, then all that there is, and after that nothing.
    let last = world.assigned("w");
    let others = tasks(5..6, 60_000);
    world.submit("other", &others);
    world.nothing_more();
    world.fail("w", last, FailureClass::OutOfMemory);
    assert!(world.acked("w"));
    assert_eq!(world.state("s"), SweepState::Failed);
    let row = world.status("s").rows.remove(0);
    let failure = row.failure.unwrap();
    assert!(
        failure.cause.contains("all the memory of w (8.0 GiB)"),
        "{failure}"
    );
    assert_eq!(row.attempt, 3);
    let saved = Core::recover(CoreSettings::default(), world.core.saved());
    assert_eq!(durable_view(&world.core), durable_view(&saved));
    // Its memory is free again.
    assert_eq!(world.given("w").len(), 1);
}

#[test]
fn the_largest_worker_gets_what_needs_most() {
    let mut world = World::new();
    world.hello_with("small", 1, capacity(2, 1));
    let one = tasks(0..1, 10);
    world.submit("s", &one);
    world.hello_with("large", 2, capacity(16, 1));
    let attempt = world.assigned("small");
    world.fail("small", attempt, FailureClass::OutOfMemory);
    assert!(world.acked("small"));
    // It had all of the small one, and a larger was there by then.
    let given = world.given("large");
    let whole = world.state("s") == SweepState::Failed;
    assert_eq!((given.len(), whole), (0, true));
    world.step(Event::Retry("s".parse().unwrap(), None));
    let attempt = world.assigned("large");
    world.fail("large", attempt, FailureClass::OutOfMemory);
    assert!(world.acked("large"));
    let attempt = world.assigned("large");
    world.committed("large", attempt, 1.0, used(12));
    let next = tasks(1..2, 10);
    world.submit("next", &next);
    assert_eq!(world.given("large").len(), 1);
    world.nothing_more();
}

#[test]
fn small_tasks_do_not_keep_a_large_one_waiting() {
    let mut world = World::new();
    world.hello_with("w", 2, capacity(8, 1));
    world.submit("learn", &tasks(0..1, 60_000));
    let small = world.assigned("w");
    world.committed("w", small, 60.0, used(2));
    world.submit("learn-large", &tasks(0..1, 600_000));
    let large = world.assigned("w");
    world.committed("w", large, 600.0, used(6));
    world.submit("small", &tasks(10..16, 60_000));
    let running = world.given("w");
    assert_eq!(running.len(), 2);
    let big = tasks(20..21, 600_000);
    let submission = Submission {
        priority: 1,
        ..Submission::new("large".parse().unwrap(), 1, &big)
    };
    world.step(Event::Submit(submission));
    world.committed("w", running[0], 60.0, used(2));
    assert_eq!(world.given("w"), [], "a small one went first");
    world.committed("w", running[1], 60.0, used(2));
    assert_eq!(world.assigned("w").task, big[0].key);
    world.nothing_more();
}

#[test]
fn what_uses_a_part_of_a_slot_shares_it() {
    let mut world = World::new();
    world.hello_with("w", 1, capacity(8, 4));
    world.submit("a", &tasks(0..1, 60_000));
    let only = world.assigned("w");
    let used = Used {
        memory: GIB,
        cores: 1.0,
    };
    world.committed("w", only, 60.0, used);
    world.submit("b", &tasks(1..9, 60_000));
    let mut shares = Vec::new();
    while let Some(message) = world.received("w") {
        let ToWorker::Assign { share, .. } = message else {
            panic!("{message:?}");
        };
        shares.push(share);
    }
    // A core and an eighth of four each.
    assert_eq!(shares, [288; 3]);
    let saved = Core::recover(CoreSettings::default(), world.core.saved());
    assert_eq!(durable_view(&world.core), durable_view(&saved));
}

#[test]
fn what_waits_behind_a_busy_slot_goes_to_a_free_one() {
    let mut world = World::new();
    world.hello("busy", 1, vec![]);
    world.submit("learn", &tasks(0..1, 50));
    let first = world.assigned("busy");
    world.committed("busy", first, 0.05, Used::default());
    world.submit("s", &tasks(1..4, 50));
    let held = world.given("busy");
    assert_eq!(held.len(), 3);
    world.hello("idle", 1, vec![]);
    world.pass(Now::from_millis(500));
    world.nothing_more();
    for _ in 0..2 {
        world.beat("busy", &held);
        world.beat("idle", &[]);
        world.pass(Now::from_millis(500));
    }
    let back = ToWorker::TakeBack { most: 1 };
    assert_eq!(world.received("busy"), Some(back));
    world.pass(Now::from_millis(100));
    world.nothing_more();
    world.fail("busy", held[2], FailureClass::Preempted);
    assert!(world.acked("busy"));
    let moved = world.assigned("idle");
    assert_eq!(moved, attempt(held[2].task, 2));
    world.nothing_more();
}

/// Nobody is given more than they have, and no history ends with tasks that
/// wait for nothing.
fn packs(capacities: &[(u64, u32, u32)], fates: &[(usize, u8, u64)]) {
    let mut world = World::new();
    let name = |at: usize| format!("w{at}");
    for (at, (gib, slots, pack)) in capacities.iter().enumerate() {
        world.hello_with(&name(at), *slots, capacity(*gib, *pack));
    }
    for (at, sleep_ms) in [10, 600, 60_000].into_iter().enumerate() {
        let some = tasks(20 * at as u64..20 * at as u64 + 8, sleep_ms);
        world.submit(&format!("s{at}"), &some);
    }
    let mut turn = 0;
    loop {
        let mut held = Vec::new();
        for (id, worker) in world.core.workers.iter() {
            let taken = worker.taken_with(0);
            assert!(taken <= worker.capacity.memory, "{id} has {taken}");
            let shares = worker.held.values().map(|h| u64::from(h.grant.share));
            assert_eq!(shares.sum::<u64>(), worker.shares);
            held.extend(
                worker
                    .held
                    .iter()
                    .map(|(a, held)| (id.clone(), *a, held.grant)),
            );
        }
        if held.is_empty() {
            let aside = world.core.workers.iter().any(|(_, w)| w.aside.is_some());
            if !aside {
                break;
            }
            // Set aside for failing everything, for a minute.
            for _ in 0..122 {
                for at in 0..capacities.len() {
                    world.beat(&name(at), &[]);
                }
                world.pass(Now::from_millis(500));
            }
            for at in 0..capacities.len() {
                while world.received(&name(at)).is_some() {}
            }
            turn += 1;
            continue;
        }
        let (which, fate, gib) = fates.get(turn).copied().unwrap_or((0, 9, 1));
        turn += 1;
        assert!(turn < 2000, "it does not end");
        let (id, attempt, grant) = held[which % held.len()].clone();
        match fate {
            0..=2 => world.fail(id.as_str(), attempt, FailureClass::OutOfMemory),
            3 => world.fail(id.as_str(), attempt, FailureClass::Preempted),
            _ => {
                let used = Used {
                    memory: gib * GIB / 2,
                    cores: grant.share as f32 / 512.0,
                };
                let commit = Commit { used, ..done() };
                let worker = id.clone();
                world.step(Event::Commit {
                    worker,
                    attempt,
                    commit,
                });
            }
        }
        while world.received(id.as_str()).is_some() {}
        let again = Core::recover(CoreSettings::default(), world.facts.clone());
        assert_eq!(durable_view(&world.core), durable_view(&again));
    }
    for at in 0..3 {
        let status = world.status(&format!("s{at}"));
        // Held: too much has failed the same way.
        assert!(status.state != SweepState::Running || status.held.is_some());
    }
    let saved = Core::recover(CoreSettings::default(), world.core.saved());
    assert_eq!(durable_view(&world.core), durable_view(&saved));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 48, ..Default::default() })]

    #[test]
    fn nobody_is_given_more_than_they_have(
        capacities in proptest::collection::vec((1..16_u64, 1..5_u32, 1..4_u32), 1..4),
        fates in proptest::collection::vec((0..64_usize, 0..10_u8, 1..40_u64), 0..60),
    ) {
        packs(&capacities, &fates);
    }
}
