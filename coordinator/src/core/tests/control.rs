//! What people and the coordinator itself do about sweeps and workers that
//! fail.

use super::*;

fn paused() -> Hold {
    Hold {
        person: true,
        why: "paused".to_owned(),
    }
}

fn id(sweep: &str) -> SweepId {
    sweep.parse().unwrap()
}

#[test]
fn nothing_of_a_paused_sweep_starts_even_after_a_restart() {
    let mut world = World::new();
    let tasks = chain(3);
    world.submit("s", &tasks);
    world.hello("w", 2, vec![]);
    let first = world.assigned("w");
    world.step(Event::Hold(id("s"), paused()));
    world.commit("w", first);
    assert!(world.acked("w"));
    world.nothing_more();
    assert_eq!(world.status("s").held, Some(paused()));
    world.restart();
    world.hello("w", 2, vec![]);
    world.nothing_more();
    // Another sweep that wants the same tasks is not held by this.
    world.submit("t", &tasks[..2]);
    let second = world.assigned("w");
    assert_eq!(second.task, tasks[1].key);
    world.commit("w", second);
    assert!(world.acked("w"));
    world.nothing_more();
    world.step(Event::Release(id("s")));
    assert_eq!(world.assigned("w").task, tasks[2].key);
}

#[test]
fn tasks_that_fail_the_same_way_hold_their_sweep() {
    let mut world = World::new();
    let tasks: Vec<Task> = (0..9).map(|index| task(index, &[])).collect();
    world.submit("s", &tasks);
    world.hello("w", 1, vec![]);
    for _ in 0..5 {
        let attempt = world.assigned("w");
        world.fail("w", attempt, FailureClass::Bug);
        assert!(world.acked("w"));
    }
    world.nothing_more();
    let held = world.status("s").held.unwrap();
    assert!(!held.person && held.why.contains("5 tasks failed the same way"));
    // Let go on, it counts anew.
    world.step(Event::Release(id("s")));
    let attempt = world.assigned("w");
    world.fail("w", attempt, FailureClass::Bug);
    assert!(world.acked("w"));
    world.assigned("w");
    assert_eq!(world.status("s").held, None);
}

#[test]
fn failed_tasks_and_what_needs_them_are_tried_again_by_class() {
    let mut world = World::new();
    let tasks = chain(2);
    world.submit("s", &tasks);
    world.hello("w", 1, vec![]);
    let attempt = world.assigned("w");
    world.fail("w", attempt, FailureClass::Data);
    assert!(world.acked("w"));
    assert_eq!(world.state("s"), SweepState::Failed);
    world.step(Event::Retry(id("s"), Some(FailureClass::Bug)));
    world.nothing_more();
    world.step(Event::Retry(id("s"), Some(FailureClass::Data)));
    assert_eq!(world.state("s"), SweepState::Running);
    for task in &tasks {
        let attempt = world.assigned("w");
        assert_eq!(attempt.task, task.key);
        world.commit("w", attempt);
        assert!(world.acked("w"));
    }
    assert_eq!(world.state("s"), SweepState::Done);
}

#[test]
fn a_worker_that_fails_everything_is_set_aside_for_a_while() {
    let mut world = World::new();
    let tasks: Vec<Task> = (0..40).map(|index| task(index, &[])).collect();
    world.submit("s", &tasks);
    world.hello("bad", 1, vec![]);
    world.hello("good", 1, vec![]);
    let kept = world.assigned("good");
    // Three attempts at each task: the seventh is at the third.
    for _ in 0..7 {
        let attempt = world.assigned("bad");
        world.fail("bad", attempt, FailureClass::OutOfMemory);
        assert!(world.acked("bad"));
    }
    assert!(world.received("bad").is_none(), "it gets nothing");
    let status = |world: &World| world.core.worker_status(world.now, &worker("bad")).unwrap();
    assert!(status(&world).aside.unwrap().contains("everything failed"));
    for _ in 0..61 {
        world.now += Now::from_secs(1);
        world.beat("good", &[kept]);
        world.beat("bad", &[]);
        world.step(Event::Tick);
    }
    assert_eq!(status(&world).aside, None);
    let attempt = world.assigned("bad");
    world.commit("bad", attempt);
    assert!(world.acked("bad"));
    world.commit("good", kept);
}

#[test]
fn the_only_worker_is_not_set_aside() {
    let mut world = World::new();
    let tasks: Vec<Task> = (0..7).map(|index| task(index, &[])).collect();
    world.submit("s", &tasks);
    world.hello("w", 1, vec![]);
    for _ in 0..6 {
        let attempt = world.assigned("w");
        world.fail("w", attempt, FailureClass::OutOfMemory);
        assert!(world.acked("w"));
    }
    world.assigned("w");
}

#[test]
fn a_drained_worker_gets_nothing_new_and_the_reason_is_told() {
    let mut world = World::new();
    let tasks = chain(2);
    world.submit("s", &tasks);
    world.hello("w", 1, vec![]);
    let attempt = world.assigned("w");
    let drain = |drain| Event::Drain {
        worker: worker("w"),
        drain,
    };
    world.step(drain(true));
    let because = |world: &World, index: usize| {
        let explanation = world.core.explain(world.now, tasks[index].key).unwrap();
        explanation.because.join("; ")
    };
    assert!(because(&world, 0).contains("worker w has it"));
    assert!(because(&world, 1).contains("waits for its after0 `t0` (running)"));
    world.commit("w", attempt);
    assert!(world.acked("w"));
    world.nothing_more();
    let why = because(&world, 1);
    assert!(why.contains("set aside: w (it is being drained)"), "{why}");
    world.step(drain(false));
    assert_eq!(world.assigned("w").task, tasks[1].key);
    let prefix = &tasks[0].key.to_string()[..8];
    assert_eq!(world.core.tasks_with(prefix, 9), [tasks[0].key]);
}
