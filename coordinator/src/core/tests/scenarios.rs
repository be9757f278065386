//! One scene each: what happens, and what is done about it.

use std::time::Duration;

use ablate_proto::status::TaskState;

use super::*;

const LEASE: Duration = Duration::from_secs(5);

#[test]
fn a_chain_runs_parent_before_child_and_the_sweep_ends() {
    let mut world = World::new();
    let tasks = chain(2);
    world.hello("w", 1, vec![]);
    world.submit("s", &tasks);
    let first = world.assigned("w");
    assert_eq!(first, attempt(tasks[0].key, 1));
    world.nothing_more();
    world.commit("w", first);
    assert!(world.acked("w"));
    let second = world.assigned("w");
    assert_eq!(second.task, tasks[1].key);
    assert_eq!(world.state("s"), SweepState::Running);
    world.commit("w", second);
    assert!(world.acked("w"));
    assert_eq!(world.state("s"), SweepState::Done);
    world.nothing_more();
}

#[test]
fn the_attempt_is_durable_before_the_worker_hears_of_it() {
    let mut world = World::new();
    world.hello("w", 1, vec![]);
    let submit = Event::Submit(Submission::new("s".parse().unwrap(), 1, &chain(1)));
    let effects = world.core.step(Now::ZERO, submit);
    let kinds: Vec<bool> = effects
        .iter()
        .map(|e| matches!(e, Effect::Record(_)))
        .collect();
    // Submitted, an older outcome forgotten, leased, sent.
    assert_eq!(kinds, [true, false, true, false], "{effects:?}");
}

#[test]
fn a_silent_workers_task_goes_to_another_and_its_late_commit_is_refused() {
    let mut world = World::new();
    world.hello("a", 1, vec![]);
    world.submit("s", &chain(1));
    let first = world.assigned("a");
    world.pass(Duration::from_secs(4));
    world.hello("b", 1, vec![]);
    world.pass(Duration::from_secs(2));
    let second = world.assigned("b");
    assert_eq!(second, attempt(first.task, 2));
    world.commit("a", first);
    assert!(!world.acked("a"));
    assert_eq!(world.core.refusals().stale, 1);
    world.commit("b", second);
    assert!(world.acked("b"));
    world.nothing_more();
}

#[test]
fn a_coordinator_that_stood_still_takes_nobodys_lease() {
    let mut world = World::new();
    world.hello("a", 1, vec![]);
    world.submit("s", &chain(1));
    let first = world.assigned("a");
    world.pass(Duration::from_secs(1));
    world.beat("a", &[first]);
    world.stall(Duration::from_secs(60));
    assert_eq!(world.status("s").running, 1);
    world.beat("a", &[first]);
    world.commit("a", first);
    assert!(world.acked("a"));
    world.nothing_more();
}

#[test]
fn cancelling_what_has_ended_changes_nothing() {
    let mut world = World::new();
    world.hello("w", 1, vec![]);
    world.submit("s", &chain(1));
    let first = world.assigned("w");
    world.commit("w", first);
    assert!(world.acked("w"));
    world.step(Event::Cancel("s".parse().unwrap()));
    assert_eq!(world.state("s"), SweepState::Done);
    world.restart();
    assert_eq!(
        world
            .core
            .outcome(Now::ZERO, &"s".parse().unwrap())
            .unwrap()
            .state,
        SweepState::Done
    );
}

#[test]
fn durations_out_of_this_world_do_no_harm() {
    let mut world = World::new();
    world.hello("w", 1, vec![]);
    let tasks = chain(3);
    world.submit("s", &tasks);
    let first = world.assigned("w");
    world.step(Event::Commit {
        worker: worker("w"),
        attempt: first,
        commit: Commit {
            seconds: 1e17,
            ..done()
        },
    });
    assert!(world.acked("w"));
    assert_eq!(world.assigned("w").task, tasks[1].key);
}

#[test]
fn renewals_keep_a_lease() {
    let mut world = World::new();
    world.hello("a", 1, vec![]);
    world.submit("s", &chain(1));
    let first = world.assigned("a");
    for _ in 0..20 {
        world.pass(Duration::from_secs(1));
        world.beat("a", &[first]);
    }
    world.commit("a", first);
    assert!(world.acked("a"));
    world.nothing_more();
}

#[test]
fn a_broken_connection_costs_the_task_only_if_the_worker_stays_away() {
    let mut world = World::new();
    let session = world.hello("a", 1, vec![]);
    world.submit("s", &chain(1));
    let first = world.assigned("a");
    let gone = |session| Event::Gone {
        worker: worker("a"),
        session,
    };
    world.step(gone(session));
    world.pass(Duration::from_millis(500));
    let session = world.hello("a", 1, vec![first]);
    world.pass(Duration::from_secs(3));
    // The news of the old session's end may come late.
    world.step(gone(session - 1));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.status("s").running, 1);
    world.step(gone(session));
    world.pass(Duration::from_secs(2));
    assert_eq!(world.status("s").running, 0);
    world.hello("b", 1, vec![]);
    assert_eq!(world.assigned("b").number, 2);
    world.nothing_more();
}

/// After a restart, the welcome may come too late for a worker's patience: the
/// connection that it gives up, and its pause, cost it nothing.
#[test]
fn a_connection_that_breaks_before_the_welcome_arrives_costs_no_lease() {
    let mut world = World::new();
    world.hello("a", 1, vec![]);
    world.submit("s", &chain(1));
    let first = world.assigned("a");
    world.restart();
    let session = world.hello("a", 1, vec![first]);
    let worker = worker("a");
    world.step(Event::Gone { worker, session });
    world.pass(Duration::from_secs(2));
    world.hello("a", 1, vec![first]);
    world.commit("a", first);
    assert!(world.acked("a"));
    world.nothing_more();
}

#[test]
fn a_restart_keeps_what_is_done_and_adopts_what_runs() {
    let mut world = World::new();
    let tasks = chain(3);
    world.hello("w", 1, vec![]);
    world.submit("s", &tasks);
    let first = world.assigned("w");
    world.commit("w", first);
    world.acked("w");
    let second = world.assigned("w");
    world.restart();
    // The worker finished while the coordinator was away.
    world.hello("w", 1, vec![second]);
    world.commit("w", second);
    assert!(world.acked("w"));
    assert_eq!(world.assigned("w"), attempt(tasks[2].key, 1));
    assert_eq!(world.status("s").done, 2);
    world.nothing_more();
}

#[test]
fn a_lost_acknowledgement_is_given_again() {
    let mut world = World::new();
    world.hello("w", 1, vec![]);
    world.submit("s", &chain(1));
    let first = world.assigned("w");
    world.commit("w", first);
    world.restart();
    world.hello("w", 1, vec![first]);
    assert!(world.acked("w"));
    world.commit("w", first);
    assert!(world.acked("w"));
    world.nothing_more();
}

#[test]
fn an_assignment_that_never_arrived_is_sent_again() {
    let mut world = World::new();
    world.hello("w", 1, vec![]);
    world.submit("s", &chain(1));
    let first = world.assigned("w");
    world.hello("w", 1, vec![]);
    assert_eq!(world.assigned("w"), first);
    world.nothing_more();
}

#[test]
fn leases_of_workers_that_never_return_after_a_restart_expire() {
    let mut world = World::new();
    world.hello("w", 1, vec![]);
    world.submit("s", &chain(1));
    world.assigned("w");
    world.restart();
    world.pass(LEASE);
    assert_eq!(world.status("s").running, 1);
    world.pass(LEASE * 2);
    world.hello("x", 1, vec![]);
    assert_eq!(world.assigned("x").number, 2);
    world.nothing_more();
}

#[test]
fn a_bug_is_not_tried_again_and_what_needs_it_is_cancelled() {
    let mut world = World::new();
    let tasks = chain(3);
    world.hello("w", 1, vec![]);
    world.submit("s", &tasks);
    let first = world.assigned("w");
    world.fail("w", first, FailureClass::Bug);
    assert!(world.acked("w"));
    let status = world.status("s");
    assert_eq!(status.state, SweepState::Failed);
    let states: Vec<TaskState> = status.rows.iter().map(|row| row.state).collect();
    assert_eq!(
        states,
        [
            TaskState::Failed,
            TaskState::Cancelled,
            TaskState::Cancelled
        ]
    );
    let cause = &status.rows[2].failure.as_ref().unwrap().cause;
    assert!(cause.contains("t0"), "{cause}");
    world.nothing_more();
}

#[test]
fn transient_failures_are_tried_again_after_a_while_but_not_for_ever() {
    let mut world = World::new();
    world.hello("w", 1, vec![]);
    world.submit("s", &chain(1));
    for number in 1..=5 {
        let attempt = world.assigned("w");
        assert_eq!(attempt.number, number);
        world.fail("w", attempt, FailureClass::TransientIo);
        assert!(world.acked("w"));
        world.nothing_more();
        for _ in 0..20 {
            world.pass(Duration::from_secs(1));
            world.beat("w", &[]);
        }
    }
    assert_eq!(world.state("s"), SweepState::Failed);
}

#[test]
fn preempted_tasks_go_on_elsewhere_however_often() {
    let mut world = World::new();
    world.hello("w", 1, vec![]);
    world.submit("s", &chain(1));
    for number in 1..50 {
        let attempt = world.assigned("w");
        assert_eq!(attempt.number, number);
        world.fail("w", attempt, FailureClass::Preempted);
        assert!(world.acked("w"));
    }
}

#[test]
fn cancelling_drops_running_tasks_but_not_those_another_sweep_wants() {
    let mut world = World::new();
    let (shared, own) = (task(0, &[]), task(1, &[]));
    world.hello("w", 2, vec![]);
    world.submit("s", &[shared.clone(), own.clone()]);
    let first = world.assigned("w");
    let second = world.assigned("w");
    world.submit("other", std::slice::from_ref(&shared));
    world.step(Event::Cancel("s".parse().unwrap()));
    let dropped = world.dropped("w");
    assert_eq!(dropped.task, own.key);
    world.nothing_more();
    // The sweep has ended; what another one wants goes on.
    assert_eq!(world.state("s"), SweepState::Cancelled);
    let kept = if first.task == shared.key {
        first
    } else {
        second
    };
    world.commit("w", kept);
    assert!(world.acked("w"));
    assert_eq!(world.state("other"), SweepState::Done);
    assert_eq!(world.state("s"), SweepState::Cancelled);
}

#[test]
fn submitting_again_reuses_what_is_done_and_retries_what_failed() {
    let mut world = World::new();
    let (good, bad, new) = (task(0, &[]), task(1, &[]), task(2, &[]));
    world.hello("w", 1, vec![]);
    world.submit("s", &[good.clone(), bad.clone()]);
    for _ in 0..2 {
        let next = world.assigned("w");
        if next.task == good.key {
            world.commit("w", next);
        } else {
            world.fail("w", next, FailureClass::Bug);
        }
        world.acked("w");
    }
    assert_eq!(world.state("s"), SweepState::Failed);
    world.submit("s", &[good, bad.clone(), new.clone()]);
    let status = world.status("s");
    assert_eq!((status.reused, status.done, status.tasks), (1, 1, 3));
    let again = world.assigned("w");
    assert_eq!(again, attempt(bad.key, 2));
    // Short tasks may queue behind the one that runs.
    assert_eq!(world.assigned("w"), attempt(new.key, 1));
    world.nothing_more();
}

#[test]
fn the_longest_chain_goes_first() {
    let mut world = World::new();
    let long = chain(3);
    let short = task(9, &[]);
    let mut tasks = vec![short];
    tasks.extend(long.clone());
    world.submit("s", &tasks);
    world.hello("w", 1, vec![]);
    assert_eq!(world.assigned("w").task, long[0].key);
    world.nothing_more();
}

#[test]
fn hostile_reports_change_nothing() {
    let mut world = World::new();
    world.hello("a", 1, vec![]);
    world.hello("b", 1, vec![]);
    world.submit("s", &chain(1));
    let first = world.assigned("a");
    world.commit("b", first);
    assert!(!world.acked("b"));
    world.fail("b", first, FailureClass::Bug);
    assert!(!world.acked("b"));
    world.commit("a", attempt(TaskKey::from_bytes([0; 32]), 1));
    assert!(!world.acked("a"));
    world.commit("stranger", first);
    assert_eq!(world.status("s").running, 1);
}
