//! A worker that lies: reports on what others hold, claims all there is, makes
//! up tasks. What becomes of the others' work is the same as without it.

use proptest::prelude::*;

use super::invariants::{Action, Beliefs, WORKERS, action, durable_view, perform};
use super::*;

const LIAR: &str = "liar";

#[derive(Debug, Clone)]
enum Lie {
    Commit(usize, u32),
    Fail(usize, u32),
    Progress(usize, u32),
    /// It holds everything, under every number.
    Claim,
    Hello,
}

fn lie() -> impl Strategy<Value = Lie> {
    prop_oneof![
        (0..30usize, 0..4u32).prop_map(|(task, number)| Lie::Commit(task, number)),
        (0..30usize, 0..4u32).prop_map(|(task, number)| Lie::Fail(task, number)),
        (0..30usize, 0..4u32).prop_map(|(task, number)| Lie::Progress(task, number)),
        Just(Lie::Claim),
        Just(Lie::Hello),
    ]
}

/// Known tasks and some that nobody ever heard of.
fn key(world: &World, index: usize) -> TaskKey {
    let tasks = world.core.tasks.iter();
    let mut known: Vec<_> = tasks.map(|(_, entry)| entry.task.key).collect();
    known.sort_unstable();
    let made_up = TaskKey::from_bytes([7; 32]);
    known.get(index).copied().unwrap_or(made_up)
}

fn tell(world: &mut World, lie: &Lie) {
    let id = worker(LIAR);
    match lie {
        Lie::Commit(task, number) => {
            let attempt = attempt(key(world, *task), *number);
            let commit = Commit {
                seconds: 1e9,
                manifest: Some([0; 32]),
                reused: false,
                used: done().used,
            };
            world.step(Event::Commit {
                worker: id,
                attempt,
                commit,
            });
        }
        Lie::Fail(task, number) => {
            let attempt = attempt(key(world, *task), *number);
            world.fail(LIAR, attempt, FailureClass::Bug);
        }
        Lie::Progress(task, number) => {
            let attempt = attempt(key(world, *task), *number);
            let progress = Progress {
                step: u64::MAX,
                total: 1,
                points: Vec::new(),
            };
            world.step(Event::Progress {
                worker: id,
                attempt,
                progress,
            });
        }
        Lie::Claim => {
            let all = (0..30).flat_map(|task| (0..4).map(move |number| (task, number)));
            let all: Vec<_> = all.map(|(t, n)| attempt(key(world, t), n)).collect();
            world.beat(LIAR, &all);
        }
        Lie::Hello => {
            let all: Vec<_> = (0..30).map(|task| attempt(key(world, task), 1)).collect();
            world.hello(LIAR, 1, all);
            // It gets no work, so that the others' stays what it was.
            world.step(Event::Drain {
                worker: id,
                drain: true,
            });
        }
    }
    while world.received(LIAR).is_some() {}
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn lies_change_nothing(
        steps in prop::collection::vec((action(), prop::collection::vec(lie(), 0..4)), 1..60),
    ) {
        let (mut honest, mut lied_to) = (World::new(), World::new());
        let (mut with, mut without) = (Beliefs::default(), Beliefs::default());
        // Slots of the liar's are none from the start on.
        lied_to.hello(LIAR, 1, vec![]);
        lied_to.step(Event::Drain { worker: worker(LIAR), drain: true });
        for (action, lies) in &steps {
            if let Action::Restart = action {
                continue;
            }
            perform(&mut honest, &mut without, action);
            perform(&mut lied_to, &mut with, action);
            for lie in lies {
                if !matches!(lie, Lie::Hello) {
                    tell(&mut lied_to, lie);
                }
            }
            prop_assert_eq!(durable_view(&honest.core), durable_view(&lied_to.core));
            prop_assert_eq!(&honest.facts, &lied_to.facts);
            let held = |world: &World| {
                WORKERS.map(|name| world.core.workers.get(&worker(name)).map(|w| w.held.clone()))
            };
            prop_assert_eq!(held(&honest), held(&lied_to));
        }
    }

    /// Whatever it says when it comes.
    #[test]
    fn nobody_talks_their_way_into_a_lease(lies in prop::collection::vec(lie(), 1..30)) {
        let mut world = World::new();
        world.hello("a", 2, vec![]);
        world.submit("s", &chain(3));
        let first = world.assigned("a");
        let before = world.facts.len();
        world.hello(LIAR, 1, vec![first]);
        world.step(Event::Drain { worker: worker(LIAR), drain: true });
        while world.received(LIAR).is_some() {}
        for lie in &lies {
            tell(&mut world, lie);
        }
        prop_assert_eq!(world.facts.len(), before);
        world.commit("a", first);
        prop_assert!(world.acked("a"));
    }
}
