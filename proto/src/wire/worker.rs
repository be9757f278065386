//! Conversions of the worker protocol.

use std::sync::Arc;

use super::{
    Ack, AttemptRef, CoordinatorMessage, InvalidMessage, WorkerMessage, coordinator_message,
    failure_class, need, worker_message,
};
use crate::capacity::{Capacity, SLOT, Used};
use crate::failure::Failure;
use crate::id::{AttemptId, TaskKey};
use crate::message::{self, FromWorker, ToWorker};
use crate::task::{InvalidTask, SealedTask};
use crate::{PROTOCOL, task};

impl From<FromWorker> for WorkerMessage {
    fn from(message: FromWorker) -> Self {
        use worker_message::Message as M;
        let message = match message {
            FromWorker::Hello(hello) => M::Hello(super::Hello {
                worker: hello.worker.to_string(),
                protocol: PROTOCOL,
                build: hello.build,
                slots: hello.slots,
                host: hello.host,
                device: hello.device,
                commands: hello.commands,
                memory: hello.capacity.memory,
                largest: hello.capacity.largest,
                pack: hello.capacity.pack,
                threads: hello.capacity.threads,
                holding: attempts_to_wire(hello.holding),
            }),
            FromWorker::Heartbeat { holding, draining } => M::Heartbeat(super::Heartbeat {
                holding: attempts_to_wire(holding),
                draining,
            }),
            FromWorker::Progress(attempt, progress) => M::Progress(super::Progress {
                attempt: Some(attempt.into()),
                step: progress.step,
                total: progress.total,
                points: progress.points.into_iter().map(Into::into).collect(),
            }),
            FromWorker::Commit(attempt, commit) => M::Commit(super::Commit {
                attempt: Some(attempt.into()),
                seconds: commit.seconds,
                manifest: commit.manifest.map(Vec::from).unwrap_or_default().into(),
                reused: commit.reused,
                used_memory: commit.used.memory,
                used_cores: commit.used.cores,
            }),
            FromWorker::Log(attempt, piece) => M::Log(super::Log {
                attempt: Some(attempt.into()),
                from: piece.from,
                text: piece.text.into(),
            }),
            FromWorker::Fail(attempt, failure) => M::Fail(super::Fail {
                attempt: Some(attempt.into()),
                class: super::FailureClass::from(failure.class).into(),
                cause: failure.cause,
            }),
        };
        Self {
            message: Some(message),
        }
    }
}

impl TryFrom<WorkerMessage> for FromWorker {
    type Error = InvalidMessage;

    fn try_from(wire: WorkerMessage) -> Result<Self, InvalidMessage> {
        use worker_message::Message as M;
        Ok(match need(wire.message, "message")? {
            M::Hello(hello) => Self::Hello(hello.try_into()?),
            M::Heartbeat(beat) => Self::Heartbeat {
                holding: attempts_from_wire(beat.holding)?,
                draining: beat.draining,
            },
            M::Progress(progress) => {
                let attempt = need(progress.attempt, "progress.attempt")?.try_into()?;
                let points = progress.points.into_iter().map(Into::into).collect();
                let progress = message::Progress {
                    step: progress.step,
                    total: progress.total,
                    points,
                };
                Self::Progress(attempt, progress)
            }
            M::Commit(commit) => {
                let attempt = need(commit.attempt, "commit.attempt")?.try_into()?;
                if !(0.0..=1e9).contains(&commit.seconds) {
                    return Err(InvalidMessage::Field {
                        field: "commit.seconds",
                        why: format!("{} is not a duration", commit.seconds),
                    });
                }
                let cores = commit.used_cores;
                if !(0.0..=1e6).contains(&cores) {
                    return Err(InvalidMessage::Field {
                        field: "commit.used_cores",
                        why: format!("{cores} is no number of cores"),
                    });
                }
                let manifest = match &commit.manifest[..] {
                    [] => None,
                    bytes => Some(bytes.try_into().map_err(|_| InvalidMessage::Field {
                        field: "commit.manifest",
                        why: format!("{} bytes are not a blake3 digest", bytes.len()),
                    })?),
                };
                let commit = message::Commit {
                    seconds: commit.seconds,
                    manifest,
                    reused: commit.reused,
                    used: Used {
                        memory: commit.used_memory,
                        cores,
                    },
                };
                Self::Commit(attempt, commit)
            }
            M::Log(log) => {
                let attempt = need(log.attempt, "log.attempt")?.try_into()?;
                let (from, text) = (log.from, log.text.into());
                Self::Log(attempt, message::LogPiece { from, text })
            }
            M::Fail(fail) => {
                let class = need(failure_class(fail.class()), "fail.class")?;
                let attempt = need(fail.attempt, "fail.attempt")?.try_into()?;
                Self::Fail(attempt, Failure::new(class, fail.cause))
            }
        })
    }
}

impl TryFrom<super::Hello> for message::Hello {
    type Error = InvalidMessage;

    fn try_from(wire: super::Hello) -> Result<Self, InvalidMessage> {
        if wire.protocol != PROTOCOL {
            return Err(InvalidMessage::Field {
                field: "hello.protocol",
                why: format!(
                    "the worker ({}) speaks protocol {}, this coordinator {PROTOCOL}: \
                     run the same release on both",
                    wire.build, wire.protocol
                ),
            });
        }
        if !(1..=4096).contains(&wire.slots) {
            return Err(InvalidMessage::Field {
                field: "hello.slots",
                why: format!("{} slots; 1 to 4096 are possible", wire.slots),
            });
        }
        Ok(Self {
            worker: wire.worker.parse()?,
            build: wire.build,
            slots: wire.slots,
            host: wire.host,
            device: wire.device,
            commands: wire.commands,
            capacity: Capacity {
                memory: wire.memory,
                largest: wire.largest.min(wire.memory),
                pack: wire.pack.clamp(1, 64),
                threads: wire.threads.clamp(1, 4096),
            },
            holding: attempts_from_wire(wire.holding)?,
        })
    }
}

impl From<ToWorker> for CoordinatorMessage {
    fn from(message: ToWorker) -> Self {
        use coordinator_message::Message as M;
        let message = match message {
            ToWorker::Welcome {
                lease_ms,
                heartbeat_ms,
                store,
            } => M::Welcome(super::Welcome {
                protocol: PROTOCOL,
                lease_ms,
                heartbeat_ms,
                store,
            }),
            ToWorker::Assign {
                attempt,
                task,
                share,
                bare_inputs,
            } => M::Assign(super::Assign {
                attempt: attempt.number,
                task: Some((&*task).into()),
                share,
                bare_inputs,
            }),
            ToWorker::Drop {
                attempt,
                reason,
                now,
            } => M::Drop(super::Drop {
                attempt: Some(attempt.into()),
                reason,
                now,
            }),
            ToWorker::TakeBack { most } => M::TakeBack(super::TakeBack { most }),
            ToWorker::Follow { attempt, on } => M::Follow(super::Follow {
                attempt: Some(attempt.into()),
                on,
            }),
            ToWorker::Ack { attempt, accepted } => M::Ack(Ack {
                attempt: Some(attempt.into()),
                accepted,
            }),
        };
        Self {
            message: Some(message),
        }
    }
}

impl TryFrom<CoordinatorMessage> for ToWorker {
    type Error = InvalidMessage;

    fn try_from(wire: CoordinatorMessage) -> Result<Self, InvalidMessage> {
        use coordinator_message::Message as M;
        Ok(match need(wire.message, "message")? {
            M::Welcome(welcome) => Self::Welcome {
                lease_ms: welcome.lease_ms,
                heartbeat_ms: welcome.heartbeat_ms,
                store: welcome.store,
            },
            M::Assign(assign) => {
                let task: SealedTask = need(assign.task, "assign.task")?.try_into()?;
                let task = Arc::new(task);
                let attempt = AttemptId {
                    task: task.key,
                    number: assign.attempt,
                };
                // A worker never starts what would take no share at all.
                let share = assign.share.clamp(1, SLOT);
                Self::Assign {
                    attempt,
                    task,
                    share,
                    bare_inputs: assign.bare_inputs,
                }
            }
            M::Drop(drop) => Self::Drop {
                attempt: need(drop.attempt, "drop.attempt")?.try_into()?,
                reason: drop.reason,
                now: drop.now,
            },
            M::TakeBack(back) => Self::TakeBack { most: back.most },
            M::Follow(follow) => Self::Follow {
                attempt: need(follow.attempt, "follow.attempt")?.try_into()?,
                on: follow.on,
            },
            M::Ack(ack) => Self::Ack {
                attempt: need(ack.attempt, "ack.attempt")?.try_into()?,
                accepted: ack.accepted,
            },
        })
    }
}

impl From<&SealedTask> for super::Task {
    fn from(task: &SealedTask) -> Self {
        let input = |input: &task::Input| super::Input {
            role: input.role.clone(),
            task: input.task.as_bytes().to_vec().into(),
        };
        Self {
            key: task.key.as_bytes().to_vec().into(),
            kind: task.kind.info().name.to_owned(),
            spec_json: task.parameters.to_string(),
            label: task.label.to_string(),
            seed: task.seed,
            inputs: task.inputs.iter().map(input).collect(),
        }
    }
}

impl TryFrom<super::Task> for SealedTask {
    type Error = InvalidMessage;

    /// What is in it shows when it is [opened](SealedTask::open).
    fn try_from(wire: super::Task) -> Result<Self, InvalidMessage> {
        let kind = wire.kind.parse().map_err(|e| InvalidMessage::Field {
            field: "task.kind",
            why: format!("{e}: this worker is too old for it"),
        })?;
        let input = |input: super::Input| {
            let task = TaskKey::try_from(&input.task[..])?;
            let role = input.role;
            Ok::<_, InvalidMessage>(task::Input { role, task })
        };
        Ok(Self {
            key: TaskKey::try_from(&wire.key[..])?,
            label: wire.label.into(),
            kind,
            parameters: wire.spec_json.into(),
            seed: wire.seed,
            inputs: wire
                .inputs
                .into_iter()
                .map(input)
                .collect::<Result<_, _>>()?,
            // Only the coordinator asks for it.
            work: 1.0,
        })
    }
}

impl From<InvalidTask> for InvalidMessage {
    fn from(error: InvalidTask) -> Self {
        let field = match error {
            InvalidTask::Json(_) | InvalidTask::Spec(_) => "task.spec_json",
            InvalidTask::Key { .. } => "task.key",
        };
        let why = error.to_string();
        Self::Field { field, why }
    }
}

impl From<message::MetricPoint> for super::MetricPoint {
    fn from(point: message::MetricPoint) -> Self {
        Self {
            name: point.name,
            step: point.step,
            value: point.value,
        }
    }
}

impl From<super::MetricPoint> for message::MetricPoint {
    fn from(wire: super::MetricPoint) -> Self {
        Self {
            name: wire.name,
            step: wire.step,
            value: wire.value,
        }
    }
}

fn attempts_to_wire(ids: Vec<AttemptId>) -> Vec<AttemptRef> {
    ids.into_iter().map(Into::into).collect()
}

fn attempts_from_wire(refs: Vec<AttemptRef>) -> Result<Vec<AttemptId>, InvalidMessage> {
    refs.into_iter().map(TryInto::try_into).collect()
}
