//! Who is given what, and how long it is expected to take.

use super::*;

#[test]
fn a_worker_with_the_inputs_at_hand_is_preferred() {
    let mut world = World::new();
    let parent = task(0, &[]);
    let child = task(1, &[&parent]);
    world.hello("b", 1, vec![]);
    world.submit("s", &[parent, child]);
    let first = world.assigned("b");
    world.hello("a", 1, vec![]);
    world.hello("c", 1, vec![]);
    world.commit("b", first);
    assert!(world.acked("b"));
    world.assigned("b");
    world.nothing_more();
}

#[test]
fn a_draining_worker_gets_nothing_more() {
    let mut world = World::new();
    world.hello("w", 1, vec![]);
    world.step(Event::Heartbeat {
        worker: worker("w"),
        holding: vec![],
        draining: true,
    });
    world.submit("s", &chain(1));
    world.nothing_more();
}

#[test]
fn the_time_left_follows_measured_durations() {
    let mut world = World::new();
    world.hello("w", 1, vec![]);
    let tasks: Vec<Task> = (0..4).map(|index| task(index, &[])).collect();
    world.submit("s", &tasks);
    assert_eq!(world.status("s").eta_seconds, None);
    let first = world.assigned("w");
    world.commit("w", first);
    let eta = world.status("s").eta_seconds.unwrap();
    assert!((eta - 3.0).abs() < 0.01, "{eta}");
}
