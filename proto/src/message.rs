//! What a worker and the coordinator say to each other, as domain types.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::capacity::{Capacity, Used};
use crate::failure::Failure;
use crate::id::{AttemptId, WorkerId};
use crate::task::SealedTask;

/// First message of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Hello {
    pub worker: WorkerId,
    pub build: String,
    pub slots: u32,
    pub host: String,
    pub device: String,
    /// Whether it runs programs of users.
    pub commands: bool,
    pub capacity: Capacity,
    /// Every attempt the worker runs, has queued, or has finished without an
    /// acknowledgement.
    pub holding: Vec<AttemptId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricPoint {
    pub name: String,
    pub step: u64,
    pub value: f64,
}

/// How far an attempt has come.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    pub step: u64,
    pub total: u64,
    pub points: Vec<MetricPoint>,
}

/// A part of the log of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPiece {
    /// Where it begins in the whole log: a gap was left out.
    pub from: u64,
    pub text: Vec<u8>,
}

/// An attempt's result, already in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    pub seconds: f64,
    /// blake3 of the manifest, if the stage left one.
    pub manifest: Option<[u8; 32]>,
    /// The store held a result already; nothing was computed.
    pub reused: bool,
    pub used: Used,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FromWorker {
    Hello(Hello),
    Heartbeat {
        holding: Vec<AttemptId>,
        /// The worker takes no more tasks.
        draining: bool,
    },
    Progress(AttemptId, Progress),
    Commit(AttemptId, Commit),
    Fail(AttemptId, Failure),
    Log(AttemptId, LogPiece),
}

#[derive(Debug, Clone, PartialEq)]
pub enum ToWorker {
    Welcome {
        lease_ms: u32,
        heartbeat_ms: u32,
        /// URL of the object store that holds inputs and takes results.
        store: String,
    },
    Assign {
        attempt: AttemptId,
        task: Arc<SealedTask>,
        /// Of a slot, in units of [`SLOT`](crate::capacity::SLOT).
        share: u32,
        /// Places among the task's inputs of those whose result is bare: there
        /// is nothing to fetch.
        bare_inputs: Vec<u32>,
    },
    /// Stop this attempt without committing it.
    Drop {
        attempt: AttemptId,
        reason: String,
        /// At once, instead of within a few seconds.
        now: bool,
    },
    /// A commit or failure was recorded durably, or refused as out of date.
    Ack { attempt: AttemptId, accepted: bool },
    /// Hand back so many attempts that have not begun, the last ones first:
    /// another worker is free.
    TakeBack { most: u32 },
    /// Send the log of an attempt as it grows, or no more.
    Follow { attempt: AttemptId, on: bool },
}
