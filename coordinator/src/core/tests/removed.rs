//! Results that were removed from the store.

use super::*;

#[test]
fn a_removed_result_is_computed_again_and_one_that_a_sweep_names_never() {
    let mut world = World::new();
    let tasks = chain(3);
    world.submit("s", &tasks);
    world.hello("a", 1, vec![]);
    for _ in 0..3 {
        let next = world.assigned("a");
        world.commit_as("a", next, false);
        world.acked("a");
    }
    let keys: Vec<TaskKey> = tasks.iter().map(|task| task.key).collect();
    assert_eq!(world.core.unnamed(&keys), []);
    // The last two are in no sweep any more, and the second is removed.
    world.submit("s", &tasks[..1]);
    assert_eq!(world.core.unnamed(&keys), keys[1..]);
    world.step(Event::ResultsGone(keys[..2].to_vec()));
    world.submit("t", &tasks);
    assert_eq!(world.status("t").reused, 2);
    let next = world.assigned("a");
    assert_eq!(next, attempt(keys[1], 2));
    world.restart();
    assert_eq!(world.status("t").done, 2);
}

#[test]
fn what_left_nothing_cannot_be_removed_and_who_needs_it_is_told() {
    let mut world = World::new();
    let tasks = chain(2);
    let keys: Vec<TaskKey> = tasks.iter().map(|task| task.key).collect();
    world.submit("s", &tasks[..1]);
    world.hello("a", 1, vec![]);
    let first = world.assigned("a");
    world.commit_as("a", first, true);
    world.acked("a");
    assert!(world.status("s").rows[0].bare);
    world.submit("s", &[task(9, &[])]);
    let other = world.assigned("a");
    world.commit_as("a", other, false);
    world.acked("a");
    assert_eq!(world.core.unnamed(&keys), []);
    // Also after a restart, from a snapshot.
    world.core = Core::recover(CoreSettings::default(), world.core.saved());
    world.hello("a", 1, vec![]);
    world.submit("s", &tasks);
    assert_eq!(world.status("s").reused, 1);
    while let Some(message) = world.received("a") {
        if let ToWorker::Assign {
            attempt,
            bare_inputs,
            ..
        } = message
        {
            assert_eq!((attempt.task, bare_inputs), (keys[1], vec![0]));
            return;
        }
    }
    panic!("the second task was not assigned");
}
