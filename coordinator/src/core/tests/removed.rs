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
        world.commit("a", next);
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
