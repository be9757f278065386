use std::sync::Arc;

use crate::capacity::{Capacity, Used};
use crate::failure::{Failure, FailureClass};
use crate::id::{AttemptId, TaskKey, WorkerId};
use crate::message::{Commit, FromWorker, Hello, Progress, ToWorker};
use crate::stage::{ArvmSpec, StageKind};
use crate::task::{Input, InvalidTask, SealedTask, Task};
use crate::wire;

fn attempt() -> AttemptId {
    AttemptId {
        task: TaskKey::from_bytes([3; 32]),
        number: 2,
    }
}

fn task() -> Task {
    let input = Input {
        role: "codes".into(),
        task: TaskKey::from_bytes([9; 32]),
    };
    Task::new("arvm".into(), ArvmSpec::default().into(), 4, vec![input])
}

#[test]
fn worker_messages_survive_the_wire() {
    let hello = Hello {
        worker: WorkerId::generate("box"),
        build: "0.1".into(),
        slots: 2,
        host: "box".into(),
        device: "cpu".into(),
        commands: true,
        capacity: Capacity {
            memory: 8 << 30,
            largest: 4 << 30,
            pack: 2,
            threads: 3,
        },
        holding: vec![attempt()],
    };
    let commit = Commit {
        seconds: 1.5,
        manifest: Some([1; 32]),
        reused: false,
        used: Used {
            memory: 1 << 30,
            cores: 1.5,
        },
    };
    for message in [
        FromWorker::Hello(hello),
        FromWorker::Heartbeat {
            holding: vec![attempt()],
            draining: true,
        },
        FromWorker::Progress(attempt(), Progress::default()),
        FromWorker::Commit(attempt(), commit),
        FromWorker::Fail(
            attempt(),
            Failure::new(FailureClass::Preempted, "asked to go"),
        ),
    ] {
        let wire = wire::WorkerMessage::from(message.clone());
        assert_eq!(FromWorker::try_from(wire), Ok(message));
    }
}

#[test]
fn coordinator_messages_survive_the_wire() {
    let task = task();
    let sealed = SealedTask {
        work: 1.0,
        ..task.clone().into()
    };
    let attempt = AttemptId {
        task: task.key,
        number: 1,
    };
    for message in [
        ToWorker::Welcome {
            lease_ms: 5000,
            heartbeat_ms: 1000,
            store: "file:///s".into(),
        },
        ToWorker::Assign {
            attempt,
            task: Arc::new(sealed),
            share: 512,
            bare_inputs: vec![1],
        },
        ToWorker::Drop {
            attempt,
            reason: "cancelled".into(),
            now: true,
        },
        ToWorker::TakeBack { most: 3 },
        ToWorker::Ack {
            attempt,
            accepted: true,
        },
    ] {
        let wire = wire::CoordinatorMessage::from(message.clone());
        assert_eq!(ToWorker::try_from(wire), Ok(message));
    }
}

#[test]
fn every_default_task_survives_the_wire() {
    for kind in StageKind::ALL {
        let task = Task::new("t".into(), kind.defaults(), 1, vec![]);
        let wire = wire::Task::from(&SealedTask::from(task.clone()));
        assert_eq!(SealedTask::try_from(wire).unwrap().open(), Ok(task));
    }
}

#[test]
fn a_task_whose_key_is_not_its_own_is_refused() {
    let mut wire = wire::Task::from(&SealedTask::from(task()));
    wire.seed += 1;
    let opened = SealedTask::try_from(wire).unwrap().open();
    assert!(matches!(opened, Err(InvalidTask::Key { .. })));
}

#[test]
fn empty_and_hostile_messages_are_refused() {
    assert!(FromWorker::try_from(wire::WorkerMessage::default()).is_err());
    assert!(ToWorker::try_from(wire::CoordinatorMessage::default()).is_err());
    assert!(Hello::try_from(wire::Hello::default()).is_err());
    let commit = wire::Commit {
        attempt: Some(attempt().into()),
        seconds: f64::NAN,
        ..wire::Commit::default()
    };
    let message = wire::WorkerMessage {
        message: Some(wire::worker_message::Message::Commit(commit)),
    };
    assert!(FromWorker::try_from(message).is_err());
}
