use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;

use ablate_proto::failure::FailureClass;
use ablate_proto::id::AttemptId;
use ablate_proto::stage::{NoopSpec, StageSpec};
use ablate_proto::task::Task;

use super::*;

fn noop(folder: &Path, spec: NoopSpec) -> Job {
    let task = Task::new("noop".into(), StageSpec::from(spec), 0, vec![]);
    let out = folder.join("out");
    std::fs::create_dir_all(&out).unwrap();
    Job {
        attempt: AttemptId {
            task: task.key,
            number: 1,
        },
        task,
        inputs: BTreeMap::new(),
        out,
        checkpoint: None,
    }
}

fn run_with(job: Job, report: Report) -> FromRunner {
    run(job, Arc::default(), Duration::from_secs(60), report)
}

#[test]
fn a_noop_is_done_and_leaves_what_it_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let spec = NoopSpec {
        artifact: true,
        ..NoopSpec::default()
    };
    let last = run_with(noop(dir.path(), spec), Box::new(|_| ()));
    assert!(matches!(last, FromRunner::Done { .. }), "{last:?}");
    assert!(dir.path().join("out/noop.txt").exists());
}

#[test]
fn a_failure_keeps_its_class() {
    let dir = tempfile::tempdir().unwrap();
    let spec = NoopSpec {
        fail: Some(FailureClass::TransientIo),
        ..NoopSpec::default()
    };
    match run_with(noop(dir.path(), spec), Box::new(|_| ())) {
        FromRunner::Failed { failure, .. } => assert_eq!(failure.class, FailureClass::TransientIo),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_panic_is_a_bug_and_costs_the_job_alone() {
    let dir = tempfile::tempdir().unwrap();
    let spec = NoopSpec {
        sleep_ms: 1,
        ..NoopSpec::default()
    };
    let last = run_with(noop(dir.path(), spec), Box::new(|_| panic!("as planned")));
    match last {
        FromRunner::Failed { failure, .. } => {
            assert_eq!(failure.class, FailureClass::Bug);
            assert!(failure.cause.contains("as planned"), "{failure}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stopped_job_is_preempted_with_a_checkpoint_to_go_on_from() {
    let dir = tempfile::tempdir().unwrap();
    let spec = NoopSpec {
        sleep_ms: 200,
        ..NoopSpec::default()
    };
    let mut job = noop(dir.path(), spec);
    let stop = Arc::new(AtomicBool::new(false));
    let (send, received) = std::sync::mpsc::channel();
    let asked = stop.clone();
    let report = move |message| {
        asked.store(true, Ordering::Relaxed);
        send.send(message).unwrap();
    };
    let last = run(job.clone(), stop, Duration::from_secs(60), Box::new(report));
    assert!(
        matches!(&last, FromRunner::Failed { failure, .. }
            if failure.class == FailureClass::Preempted),
        "{last:?}"
    );
    job.checkpoint = received.iter().find_map(|message| match message {
        FromRunner::Checkpoint { path, .. } => Some(path),
        _ => None,
    });
    assert!(job.checkpoint.is_some());
    match run_with(job, Box::new(|_| ())) {
        FromRunner::Done { resumed_from, .. } => assert!(resumed_from.is_some_and(|ms| ms >= 10)),
        other => panic!("{other:?}"),
    }
}
