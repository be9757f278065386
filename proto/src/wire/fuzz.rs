//! Messages from anybody: whatever the bytes, an error or a message that can
//! be sent on, and never a panic.

use std::sync::Arc;

use proptest::prelude::*;
use prost::Message;

use super::{self as wire, InvalidMessage};
use crate::capacity::{Capacity, SLOT, Used};
use crate::failure::{Failure, FailureClass};
use crate::id::{AttemptId, TaskKey, WorkerId};
use crate::message::{Commit, FromWorker, Hello, MetricPoint, Progress, ToWorker};
use crate::stage::{AutoencoderSpec, NoopSpec};
use crate::status::{ClusterStatus, Explanation, Submitted, SweepStatus, WorkerStatus};
use crate::task::{Input, SealedTask, Task};

/// Decodes and converts the bytes as every message that is read anywhere.
fn read_as_everything(bytes: &[u8]) {
    fn read<W, T>(bytes: &[u8])
    where
        W: Message + Default,
        T: TryFrom<W, Error = InvalidMessage>,
    {
        if let Ok(message) = W::decode(bytes)
            && let Err(error) = T::try_from(message)
        {
            assert!(!error.to_string().is_empty());
        }
    }
    if let Ok(message) = wire::WorkerMessage::decode(bytes)
        && let Ok(message) = FromWorker::try_from(message)
    {
        // What is let in can be sent on, and comes back as it was.
        let again = wire::WorkerMessage::from(message.clone()).encode_to_vec();
        let again = FromWorker::try_from(wire::WorkerMessage::decode(&again[..]).unwrap());
        assert_eq!(format!("{:?}", again.unwrap()), format!("{message:?}"));
    }
    read::<wire::CoordinatorMessage, ToWorker>(bytes);
    // The content of a task is looked at where it is opened.
    if let Ok(task) = wire::Task::decode(bytes)
        && let Ok(sealed) = SealedTask::try_from(task)
    {
        match sealed.open() {
            Ok(task) => assert_eq!(task.key, sealed.key),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    read::<wire::Hello, Hello>(bytes);
    read::<wire::AttemptRef, AttemptId>(bytes);
    read::<wire::StatusReply, ClusterStatus>(bytes);
    read::<wire::SweepStatus, SweepStatus>(bytes);
    read::<wire::WorkerStatus, WorkerStatus>(bytes);
    read::<wire::SubmitReply, Submitted>(bytes);
    read::<wire::Explanation, Explanation>(bytes);
}

fn attempt(byte: u8) -> AttemptId {
    AttemptId {
        task: TaskKey::from_bytes([byte; 32]),
        number: u32::from(byte),
    }
}

/// Sound messages, to be spoilt.
fn sound() -> Vec<Vec<u8>> {
    let hello = Hello {
        worker: WorkerId::generate("box"),
        build: "0.1".into(),
        slots: 2,
        host: "box".into(),
        device: "cpu".into(),
        commands: true,
        capacity: Capacity::default(),
        holding: vec![attempt(1), attempt(2)],
    };
    let point = MetricPoint {
        name: "loss".into(),
        step: 3,
        value: 0.5,
    };
    let progress = Progress {
        step: 3,
        total: 9,
        points: vec![point],
    };
    let commit = Commit {
        seconds: 1.5,
        manifest: Some([1; 32]),
        reused: true,
        used: Used::default(),
    };
    let from_worker = [
        FromWorker::Hello(hello),
        FromWorker::Heartbeat {
            holding: vec![attempt(3)],
            draining: true,
        },
        FromWorker::Progress(attempt(1), progress),
        FromWorker::Commit(attempt(1), commit),
        FromWorker::Fail(attempt(1), Failure::new(FailureClass::Data, "why")),
    ];
    let input = Input {
        role: "after".into(),
        task: TaskKey::from_bytes([9; 32]),
    };
    let tasks = [
        Task::new(
            "ae".into(),
            AutoencoderSpec::default().into(),
            4,
            vec![input],
        ),
        Task::new("noop".into(), NoopSpec::default().into(), 0, vec![]),
    ];
    let mut sound: Vec<Vec<u8>> = from_worker
        .into_iter()
        .map(|message| wire::WorkerMessage::from(message).encode_to_vec())
        .collect();
    for task in tasks {
        let task = Arc::new(SealedTask::from(task));
        sound.push(wire::Task::from(&*task).encode_to_vec());
        let attempt = AttemptId {
            task: task.key,
            number: 1,
        };
        let assign = wire::CoordinatorMessage::from(ToWorker::Assign {
            attempt,
            task,
            share: SLOT,
            bare_inputs: vec![0],
        });
        sound.push(assign.encode_to_vec());
    }
    sound
}

/// Bytes replaced, put in, taken out.
fn spoil(bytes: &mut Vec<u8>, changes: &[(usize, u8, u8)]) {
    for (at, byte, how) in changes {
        let at = at % (bytes.len() + 1);
        match how % 4 {
            0 if at < bytes.len() => bytes[at] = *byte,
            1 => bytes.insert(at, *byte),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn sound_messages_that_are_spoilt(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0..2000usize, any::<u8>(), any::<u8>()), 1..6),
    ) {
        let sound = sound();
        let mut bytes = sound[which.index(sound.len())].clone();
        spoil(&mut bytes, &changes);
        read_as_everything(&bytes);
    }
}
