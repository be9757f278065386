//! The facts of a snapshot as messages.

use ablate_proto::failure::Failure;
use ablate_proto::id::WorkerId;
use ablate_proto::status::Hold;
use prost::Message;

use super::table::{Names, Table};
use super::{class, grant, id, share};
use crate::core::saved::{SavedDuration, SavedList, SavedState, SavedSweep, SavedTask};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Sweep {
    #[prost(string, tag = "1")]
    sweep: String,
    #[prost(uint64, tag = "2")]
    points: u64,
    #[prost(uint64, tag = "3")]
    stages_naive: u64,
    #[prost(sint64, tag = "4")]
    priority: i64,
    #[prost(uint64, tag = "5")]
    reused: u64,
    #[prost(bool, tag = "6")]
    cancelled: bool,
    #[prost(message, optional, tag = "7")]
    held: Option<super::Held>,
    #[prost(message, repeated, tag = "8")]
    same: Vec<Counted>,
    #[prost(uint64, tag = "9")]
    submitted: u64,
}

/// How often.
#[derive(Clone, PartialEq, Message)]
struct Counted {
    #[prost(string, tag = "1")]
    what: String,
    #[prost(uint32, tag = "2")]
    count: u32,
}

/// Columns, as long as the table.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Tasks {
    #[prost(message, optional, tag = "1")]
    table: Option<Table>,
    #[prost(bytes = "vec", tag = "2")]
    states: Vec<u8>,
    #[prost(uint32, repeated, tag = "3")]
    attempts: Vec<u32>,
    /// Of those that are done, one after the other: the attempt that counted
    /// and its seconds.
    #[prost(uint32, repeated, tag = "4")]
    done_by: Vec<u32>,
    #[prost(double, repeated, tag = "5")]
    seconds: Vec<f64>,
    #[prost(string, repeated, tag = "6")]
    workers: Vec<String>,
    /// Of those that are leased: number of the worker.
    #[prost(uint32, repeated, tag = "7")]
    leased_by: Vec<u32>,
    /// Number of the worker that has the result, after 0 for nobody.
    #[prost(uint32, repeated, tag = "8")]
    homes: Vec<u32>,
    /// Of each, how many sweeps; and of all, one after the other: twice the
    /// number of the sweep, and one more if it wants the task.
    #[prost(uint32, repeated, tag = "9")]
    claim_counts: Vec<u32>,
    #[prost(uint32, repeated, tag = "10")]
    claims: Vec<u32>,
    #[prost(message, repeated, tag = "11")]
    troubles: Vec<Trouble>,
    /// Of those that are leased: bytes, and twice the share of a slot, and
    /// one more if it has the worker to itself.
    #[prost(uint64, repeated, tag = "12")]
    memories: Vec<u64>,
    #[prost(uint32, repeated, tag = "13")]
    shares: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct Trouble {
    /// Place of the task in the table.
    #[prost(uint32, tag = "1")]
    task: u32,
    #[prost(message, repeated, tag = "2")]
    failures: Vec<Counted>,
    #[prost(string, optional, tag = "3")]
    class: Option<String>,
    #[prost(string, tag = "4")]
    cause: String,
    #[prost(uint32, tag = "5")]
    raised: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct List {
    #[prost(uint32, tag = "1")]
    sweep: u32,
    #[prost(uint32, repeated, tag = "2")]
    tasks: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    ended: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Durations {
    #[prost(message, repeated, tag = "1")]
    durations: Vec<Duration>,
}

#[derive(Clone, PartialEq, Message)]
struct Duration {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(sint32, tag = "2")]
    scale: i32,
    #[prost(double, tag = "3")]
    seconds: f64,
    #[prost(double, tag = "4")]
    work: f64,
    #[prost(double, tag = "5")]
    spread: f64,
    #[prost(double, tag = "6")]
    memory: f64,
    #[prost(double, tag = "7")]
    cores: f64,
}

const OPEN: u8 = 0;
const LEASED: u8 = 1;
const DONE: u8 = 2;
const FAILED: u8 = 3;
const CANCELLED: u8 = 4;
const BARE: u8 = 5;

impl From<&SavedSweep> for Sweep {
    fn from(saved: &SavedSweep) -> Self {
        let same = saved.same.iter().map(|(what, count)| Counted {
            what: what.clone(),
            count: *count,
        });
        Self {
            sweep: saved.sweep.to_string(),
            points: saved.points,
            stages_naive: saved.stages_naive,
            priority: saved.priority,
            reused: saved.reused,
            submitted: saved.submitted,
            cancelled: saved.cancelled,
            held: saved.held.as_ref().map(|hold| super::Held {
                sweep: String::new(),
                person: hold.person,
                why: hold.why.clone(),
            }),
            same: same.collect(),
        }
    }
}

impl TryFrom<Sweep> for SavedSweep {
    type Error = String;

    fn try_from(row: Sweep) -> Result<Self, String> {
        Ok(Self {
            sweep: id(&row.sweep)?,
            points: row.points,
            stages_naive: row.stages_naive,
            priority: row.priority,
            reused: row.reused,
            submitted: row.submitted,
            cancelled: row.cancelled,
            held: row.held.map(|held| Hold {
                person: held.person,
                why: held.why,
            }),
            same: row.same.into_iter().map(|s| (s.what, s.count)).collect(),
        })
    }
}

impl From<&Vec<SavedTask>> for Tasks {
    fn from(saved: &Vec<SavedTask>) -> Self {
        let tasks: Vec<_> = saved.iter().map(|saved| saved.task.clone()).collect();
        let mut rows = Self {
            table: Some(Table::encode_tasks(&tasks)),
            ..Self::default()
        };
        let mut workers = Names::default();
        for (at, saved) in saved.iter().enumerate() {
            rows.states.push(match &saved.state {
                SavedState::Open => OPEN,
                SavedState::Leased(worker, grant) => {
                    rows.memories.push(grant.memory);
                    rows.shares.push(2 * share(*grant) + u32::from(grant.whole));
                    rows.leased_by.push(workers.number(worker.as_str()));
                    LEASED
                }
                SavedState::Done {
                    attempt,
                    bare,
                    seconds,
                } => {
                    rows.done_by.push(*attempt);
                    rows.seconds.push(*seconds);
                    if *bare { BARE } else { DONE }
                }
                SavedState::Failed => FAILED,
                SavedState::Cancelled => CANCELLED,
            });
            rows.attempts.push(saved.attempts);
            let home = saved.home.as_ref();
            let home = home.map_or(0, |home| 1 + workers.number(home.as_str()));
            rows.homes.push(home);
            rows.claim_counts.push(length(saved.claims.len()));
            let claims = saved.claims.iter();
            rows.claims
                .extend(claims.map(|(sweep, wants)| 2 * sweep + u32::from(*wants)));
            if !saved.failures.is_empty() || saved.last_failure.is_some() || saved.raised > 0 {
                let last = saved.last_failure.as_ref();
                let counted = saved.failures.iter().map(|(class, count)| Counted {
                    what: class.name().to_owned(),
                    count: *count,
                });
                rows.troubles.push(Trouble {
                    task: length(at),
                    failures: counted.collect(),
                    class: last.map(|failure| failure.class.name().to_owned()),
                    cause: last.map_or_else(String::new, |failure| failure.cause.clone()),
                    raised: saved.raised.into(),
                });
            }
        }
        rows.workers = workers.into_names();
        rows
    }
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl TryFrom<Tasks> for Vec<SavedTask> {
    type Error = String;

    fn try_from(rows: Tasks) -> Result<Self, String> {
        let short = || "its columns differ in length".to_owned();
        let tasks = rows.table.unwrap_or_default().decode_tasks()?;
        let workers = rows.workers.iter().map(|name| id(name));
        let workers: Vec<WorkerId> = workers.collect::<Result<_, _>>()?;
        let worker = |number: u32| workers.get(number as usize).cloned().ok_or_else(short);
        let (mut done_by, mut seconds) = (rows.done_by.into_iter(), rows.seconds.into_iter());
        let mut leased_by = rows.leased_by.into_iter();
        // Written since memory is counted.
        let mut memories = rows.memories.into_iter();
        let mut shares = rows.shares.into_iter();
        let mut claims = rows.claims.into_iter();
        let mut all = Vec::with_capacity(tasks.len());
        for (at, task) in tasks.into_iter().enumerate() {
            let of = |column: &[u32]| column.get(at).copied().ok_or_else(short);
            let state = match *rows.states.get(at).ok_or_else(short)? {
                OPEN => SavedState::Open,
                LEASED => {
                    let share = shares.next().unwrap_or(0);
                    let memory = memories.next().unwrap_or(0);
                    SavedState::Leased(
                        worker(leased_by.next().ok_or_else(short)?)?,
                        grant(memory, share / 2, share % 2 == 1),
                    )
                }
                done @ (DONE | BARE) => SavedState::Done {
                    attempt: done_by.next().ok_or_else(short)?,
                    bare: done == BARE,
                    seconds: seconds.next().ok_or_else(short)?,
                },
                FAILED => SavedState::Failed,
                CANCELLED => SavedState::Cancelled,
                other => return Err(format!("{other} is no state of a task")),
            };
            let home = match of(&rows.homes)? {
                0 => None,
                number => Some(worker(number - 1)?),
            };
            let count = of(&rows.claim_counts)? as usize;
            let own: Vec<(u32, bool)> = claims
                .by_ref()
                .take(count)
                .map(|claim| (claim / 2, claim % 2 == 1))
                .collect();
            if own.len() != count {
                return Err(short());
            }
            all.push(SavedTask {
                task,
                state,
                attempts: of(&rows.attempts)?,
                claims: own,
                home,
                failures: Vec::new(),
                raised: 0,
                last_failure: None,
            });
        }
        for trouble in rows.troubles {
            let saved = all.get_mut(trouble.task as usize).ok_or_else(short)?;
            for counted in trouble.failures {
                saved.failures.push((class(&counted.what)?, counted.count));
            }
            saved.raised = u8::try_from(trouble.raised).unwrap_or(0);
            if let Some(name) = trouble.class {
                let class = class(&name)?;
                let cause = trouble.cause;
                saved.last_failure = Some(Failure { class, cause });
            }
        }
        Ok(all)
    }
}

impl From<&SavedList> for List {
    fn from(saved: &SavedList) -> Self {
        Self {
            sweep: saved.sweep,
            tasks: saved.tasks.clone(),
            ended: saved.ended.clone(),
        }
    }
}

impl From<List> for SavedList {
    fn from(row: List) -> Self {
        Self {
            sweep: row.sweep,
            tasks: row.tasks,
            ended: row.ended,
        }
    }
}

impl From<&Vec<SavedDuration>> for Durations {
    fn from(saved: &Vec<SavedDuration>) -> Self {
        let durations = saved.iter().map(|saved| Duration {
            kind: saved.kind.info().name.to_owned(),
            scale: saved.scale.into(),
            seconds: saved.seconds,
            work: saved.work,
            spread: saved.spread,
            memory: saved.memory,
            cores: saved.cores,
        });
        Self {
            durations: durations.collect(),
        }
    }
}

impl TryFrom<Durations> for Vec<SavedDuration> {
    type Error = String;

    fn try_from(rows: Durations) -> Result<Self, String> {
        let row = |row: Duration| {
            Ok(SavedDuration {
                kind: row.kind.parse().map_err(|e| format!("{e}"))?,
                scale: i8::try_from(row.scale).map_err(|_| "a scale is too large")?,
                seconds: row.seconds,
                work: row.work,
                spread: row.spread,
                memory: row.memory,
                cores: row.cores,
            })
        };
        rows.durations.into_iter().map(row).collect()
    }
}
