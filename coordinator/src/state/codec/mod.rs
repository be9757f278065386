//! Facts as bytes: protobuf messages, so that fields can be added, with the
//! tasks of a sweep as a [`Table`]. Rows that begin with `[` are of the
//! format before, JSON, and are still read.

mod saved;
mod table;

use ablate_proto::capacity::{Grant, SLOT, Used};
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, TaskKey};
use ablate_proto::status::Hold;
use prost::{Message, Oneof};

use self::table::Table;
use crate::core::{Fact, Submission};

/// What a row of facts begins with.
const PROTOBUF: u8 = 2;
const JSON: u8 = b'[';

pub(super) fn encode(facts: &[Fact]) -> Vec<u8> {
    let batch = Batch {
        facts: facts.iter().map(Row::from).collect(),
    };
    let mut bytes = Vec::with_capacity(1 + batch.encoded_len());
    bytes.push(PROTOBUF);
    // Once: a sweep may be a hundred megabytes.
    batch.encode_raw(&mut bytes);
    bytes
}

/// # Errors
/// What is wrong with them.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Fact>, String> {
    match bytes.split_first() {
        Some((&PROTOBUF, rest)) => {
            let batch = Batch::decode(rest).map_err(|e| e.to_string())?;
            batch.facts.into_iter().map(Fact::try_from).collect()
        }
        Some((&JSON, _)) => serde_json::from_slice(bytes).map_err(|e| e.to_string()),
        Some((other, _)) => Err(format!("it begins with {other}")),
        None => Err("it is empty".to_owned()),
    }
}

#[derive(Clone, PartialEq, Message)]
struct Batch {
    #[prost(message, repeated, tag = "1")]
    facts: Vec<Row>,
}

#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 21, 22, 23")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Submitted(Submitted),
    #[prost(string, tag = "2")]
    Cancelled(String),
    #[prost(message, tag = "3")]
    Held(Held),
    #[prost(string, tag = "4")]
    Released(String),
    #[prost(message, tag = "5")]
    Retried(Retried),
    #[prost(message, tag = "6")]
    Prioritised(Prioritised),
    #[prost(message, tag = "7")]
    Started(Started),
    #[prost(message, tag = "8")]
    Committed(Committed),
    #[prost(message, tag = "9")]
    Failed(Failed),
    #[prost(message, tag = "10")]
    Gone(Gone),
    #[prost(message, tag = "20")]
    SavedSweep(saved::Sweep),
    #[prost(message, boxed, tag = "21")]
    SavedTasks(Box<saved::Tasks>),
    #[prost(message, tag = "22")]
    SavedList(saved::List),
    #[prost(message, tag = "23")]
    SavedDurations(saved::Durations),
}

#[derive(Clone, PartialEq, Message)]
struct Submitted {
    #[prost(string, tag = "1")]
    sweep: String,
    #[prost(uint64, tag = "2")]
    points: u64,
    #[prost(uint64, tag = "3")]
    stages_naive: u64,
    #[prost(sint64, tag = "4")]
    priority: i64,
    #[prost(message, optional, tag = "5")]
    tasks: Option<Table>,
}

#[derive(Clone, PartialEq, Message)]
struct Held {
    #[prost(string, tag = "1")]
    sweep: String,
    #[prost(bool, tag = "2")]
    person: bool,
    #[prost(string, tag = "3")]
    why: String,
}

#[derive(Clone, PartialEq, Message)]
struct Retried {
    #[prost(string, tag = "1")]
    sweep: String,
    #[prost(string, optional, tag = "2")]
    class: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Prioritised {
    #[prost(string, tag = "1")]
    sweep: String,
    #[prost(sint64, tag = "2")]
    priority: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Started {
    #[prost(bytes = "vec", tag = "1")]
    task: Vec<u8>,
    #[prost(uint32, tag = "2")]
    number: u32,
    #[prost(string, tag = "3")]
    worker: String,
    #[prost(uint64, tag = "4")]
    memory: u64,
    /// 0: a whole slot.
    #[prost(uint32, tag = "5")]
    share: u32,
    #[prost(bool, tag = "6")]
    whole: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Committed {
    #[prost(bytes = "vec", tag = "1")]
    task: Vec<u8>,
    #[prost(uint32, tag = "2")]
    number: u32,
    #[prost(double, tag = "3")]
    seconds: f64,
    #[prost(bytes = "vec", optional, tag = "4")]
    manifest: Option<Vec<u8>>,
    #[prost(bool, tag = "5")]
    reused: bool,
    #[prost(uint64, tag = "6")]
    used_memory: u64,
    #[prost(float, tag = "7")]
    used_cores: f32,
}

#[derive(Clone, PartialEq, Message)]
struct Failed {
    #[prost(bytes = "vec", tag = "1")]
    task: Vec<u8>,
    #[prost(uint32, tag = "2")]
    number: u32,
    #[prost(string, tag = "3")]
    class: String,
    #[prost(string, tag = "4")]
    cause: String,
}

#[derive(Clone, PartialEq, Message)]
struct Gone {
    #[prost(bytes = "vec", repeated, tag = "1")]
    tasks: Vec<Vec<u8>>,
}

impl From<&Fact> for Row {
    fn from(fact: &Fact) -> Self {
        let kind = match fact {
            Fact::SweepSubmitted(submission) => Kind::Submitted(Submitted {
                sweep: submission.sweep.to_string(),
                points: submission.points,
                stages_naive: submission.stages_naive,
                priority: submission.priority,
                tasks: Some(Table::encode_tasks(&submission.tasks)),
            }),
            Fact::ResultsGone(tasks) => Kind::Gone(Gone {
                tasks: tasks.iter().map(|t| t.as_bytes().to_vec()).collect(),
            }),
            Fact::SweepCancelled(sweep) => Kind::Cancelled(sweep.to_string()),
            Fact::SweepHeld { sweep, hold } => Kind::Held(Held {
                sweep: sweep.to_string(),
                person: hold.person,
                why: hold.why.clone(),
            }),
            Fact::SweepReleased(sweep) => Kind::Released(sweep.to_string()),
            Fact::SweepRetried { sweep, class } => Kind::Retried(Retried {
                sweep: sweep.to_string(),
                class: class.map(|class| class.name().to_owned()),
            }),
            Fact::SweepPrioritised { sweep, priority } => Kind::Prioritised(Prioritised {
                sweep: sweep.to_string(),
                priority: *priority,
            }),
            Fact::AttemptStarted {
                attempt,
                worker,
                grant,
            } => Kind::Started(Started {
                task: attempt.task.as_bytes().to_vec(),
                number: attempt.number,
                worker: worker.to_string(),
                memory: grant.memory,
                share: share(*grant),
                whole: grant.whole,
            }),
            Fact::TaskCommitted {
                attempt,
                seconds,
                manifest,
                reused,
                used,
            } => Kind::Committed(Committed {
                task: attempt.task.as_bytes().to_vec(),
                number: attempt.number,
                seconds: *seconds,
                manifest: manifest.map(Vec::from),
                reused: *reused,
                used_memory: used.memory,
                used_cores: used.cores,
            }),
            Fact::AttemptFailed { attempt, failure } => Kind::Failed(Failed {
                task: attempt.task.as_bytes().to_vec(),
                number: attempt.number,
                class: failure.class.name().to_owned(),
                cause: failure.cause.clone(),
            }),
            Fact::SavedSweep(sweep) => Kind::SavedSweep(sweep.into()),
            Fact::SavedTasks(tasks) => Kind::SavedTasks(Box::new(tasks.into())),
            Fact::SavedList(list) => Kind::SavedList(list.into()),
            Fact::SavedDurations(durations) => Kind::SavedDurations(durations.into()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<Row> for Fact {
    type Error = String;

    fn try_from(row: Row) -> Result<Self, String> {
        Ok(match row.kind.ok_or("a fact is of a kind unknown here")? {
            Kind::Submitted(s) => Self::SweepSubmitted(Submission {
                sweep: id(&s.sweep)?,
                points: s.points,
                stages_naive: s.stages_naive,
                priority: s.priority,
                tasks: s.tasks.unwrap_or_default().decode_tasks()?,
            }),
            Kind::Gone(gone) => {
                let tasks = gone.tasks.iter().map(|task| Ok(attempt(task, 0)?.task));
                Self::ResultsGone(tasks.collect::<Result<_, String>>()?)
            }
            Kind::Cancelled(sweep) => Self::SweepCancelled(id(&sweep)?),
            Kind::Held(held) => Self::SweepHeld {
                sweep: id(&held.sweep)?,
                hold: Hold {
                    person: held.person,
                    why: held.why,
                },
            },
            Kind::Released(sweep) => Self::SweepReleased(id(&sweep)?),
            Kind::Retried(retried) => Self::SweepRetried {
                sweep: id(&retried.sweep)?,
                class: retried.class.as_deref().map(class).transpose()?,
            },
            Kind::Prioritised(p) => Self::SweepPrioritised {
                sweep: id(&p.sweep)?,
                priority: p.priority,
            },
            Kind::Started(started) => Self::AttemptStarted {
                attempt: attempt(&started.task, started.number)?,
                worker: id(&started.worker)?,
                grant: grant(started.memory, started.share, started.whole),
            },
            Kind::Committed(committed) => Self::TaskCommitted {
                attempt: attempt(&committed.task, committed.number)?,
                seconds: committed.seconds,
                manifest: committed.manifest.map(digest).transpose()?,
                reused: committed.reused,
                used: Used {
                    memory: committed.used_memory,
                    cores: committed.used_cores,
                },
            },
            Kind::Failed(failed) => Self::AttemptFailed {
                attempt: attempt(&failed.task, failed.number)?,
                failure: Failure {
                    class: class(&failed.class)?,
                    cause: failed.cause,
                },
            },
            Kind::SavedSweep(sweep) => Self::SavedSweep(sweep.try_into()?),
            Kind::SavedTasks(tasks) => Self::SavedTasks((*tasks).try_into()?),
            Kind::SavedList(list) => Self::SavedList(list.into()),
            Kind::SavedDurations(durations) => Self::SavedDurations(durations.try_into()?),
        })
    }
}

fn id<T: std::str::FromStr<Err = ablate_proto::id::InvalidId>>(name: &str) -> Result<T, String> {
    name.parse().map_err(|e: T::Err| e.to_string())
}

fn attempt(task: &[u8], number: u32) -> Result<AttemptId, String> {
    let task = TaskKey::try_from(task).map_err(|e| e.to_string())?;
    Ok(AttemptId { task, number })
}

fn class(name: &str) -> Result<FailureClass, String> {
    let mut all = FailureClass::ALL.iter();
    let found = all.find(|class| class.name() == name).copied();
    found.ok_or_else(|| format!("`{name}` is no class of failures"))
}

/// A whole slot is not written.
fn share(grant: Grant) -> u32 {
    if grant.share == SLOT { 0 } else { grant.share }
}

fn grant(memory: u64, share: u32, whole: bool) -> Grant {
    let share = match share {
        0 => SLOT,
        share => share.min(SLOT),
    };
    Grant {
        memory,
        share,
        whole,
    }
}

fn digest(bytes: Vec<u8>) -> Result<[u8; 32], String> {
    let length = bytes.len();
    let wrong = |_| format!("a digest has {length} bytes");
    bytes.try_into().map_err(wrong)
}

#[cfg(test)]
mod tests;
