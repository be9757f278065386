//! Snapshots of the log, so that reading it back does not take longer for
//! ever: rows of facts that say what all facts before a certain one amount
//! to, and then a row that says that they are whole.
//!
//! A snapshot without its last row was never finished and is passed over.
//! What it stands for is deleted only after that row is durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use slatedb::config::{PutOptions, WriteOptions};
use slatedb::{Db, WriteBatch};

use super::flusher::Flusher;
use super::{State, StateError, Written, codec, error, key};
use crate::core::Fact;

const SNAPSHOTS: &str = "snapshot/";
/// Sorts behind the numbers of its rows.
const WHOLE: &str = "whole";
/// Fewer facts than this are read back at once.
const WORTH: usize = 50_000;
/// Rows deleted in one batch.
const DELETED: usize = 4096;

/// The last row of a snapshot.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Whole {
    rows: usize,
    /// Of all rows, one after the other.
    blake3: String,
}

/// A snapshot as it was found.
pub(super) struct Found {
    /// Number of the first row of facts after it.
    pub(super) upto: u64,
    pub(super) facts: Vec<Fact>,
}

/// What was found of all snapshots.
pub(super) struct Snapshots {
    /// The newest that is intact.
    pub(super) intact: Option<Found>,
    /// Rows of facts before this one may have been deleted.
    pub(super) covered: u64,
    pub(super) damage: Option<String>,
}

impl State {
    /// Whether so much happened since the newest snapshot that another pays:
    /// as much as it costs to read and write one.
    pub(crate) fn wants_snapshot(&self, tasks: usize) -> bool {
        self.since >= WORTH.max(2 * tasks)
    }

    /// Writes what all facts so far amount to, and then deletes them.
    pub(crate) fn snapshot(
        &mut self,
        facts: Vec<Fact>,
    ) -> impl Future<Output = Result<(), StateError>> + Send + 'static {
        self.since = 0;
        let (upto, first) = (self.next, self.first.clone());
        let (db, flusher) = (self.db.clone(), self.flusher.clone());
        async move {
            let encoded = crate::blocking::run(move || {
                let row = |fact: &Fact| codec::encode(std::slice::from_ref(fact));
                facts.iter().map(row).collect::<Vec<_>>()
            });
            let rows = match encoded.await {
                Ok(rows) => rows,
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            };
            let mut digest = blake3::Hasher::new();
            for row in &rows {
                digest.update(row);
            }
            let whole = Whole {
                rows: rows.len(),
                blake3: digest.finalize().to_hex().to_string(),
            };
            let count = rows.len();
            for (number, row) in rows.into_iter().enumerate() {
                put(&db, &flusher, name(upto, &format!("{number:08x}")), &row)
                    .await?
                    .durable()
                    .await?;
            }
            let bytes = match serde_json::to_vec(&whole) {
                Ok(bytes) => bytes,
                Err(e) => unreachable!("a number and a text serialise: {e}"),
            };
            put(&db, &flusher, name(upto, WHOLE), &bytes)
                .await?
                .durable()
                .await?;
            tracing::info!(upto, rows = count, "snapshot of the state written");
            forget(&db, &first, upto).await
        }
    }

    /// Finds the newest intact snapshot.
    pub(super) async fn find_snapshots(&self) -> Result<Snapshots, StateError> {
        let mut found = Snapshots {
            intact: None,
            covered: 0,
            damage: None,
        };
        let reading = |e| error("reading", e);
        let mut rows = self.db.scan_prefix(SNAPSHOTS, ..).await.map_err(reading)?;
        let (mut of, mut chunks): (u64, Vec<Bytes>) = (0, Vec::new());
        while let Some(row) = rows.next().await.map_err(reading)? {
            self.clock.pass(row.create_ts);
            let Some((upto, part)) = parse(&row.key) else {
                continue;
            };
            if upto != of {
                (of, chunks) = (upto, Vec::new());
            }
            if part != WHOLE {
                chunks.push(row.value);
                continue;
            }
            found.covered = upto;
            match check(&row.value, &std::mem::take(&mut chunks)) {
                Ok(facts) => found.intact = Some(Found { upto, facts }),
                Err(why) => found.damage = Some(format!("snapshot {upto}: {why}")),
            }
        }
        Ok(found)
    }
}

fn check(whole: &[u8], chunks: &[Bytes]) -> Result<Vec<Fact>, String> {
    let whole: Whole = serde_json::from_slice(whole).map_err(|e| e.to_string())?;
    if whole.rows != chunks.len() {
        return Err(format!("{} of {} rows are there", chunks.len(), whole.rows));
    }
    let mut digest = blake3::Hasher::new();
    for chunk in chunks {
        digest.update(chunk);
    }
    if digest.finalize().to_hex().as_str() != whole.blake3 {
        return Err("its digest differs".to_owned());
    }
    let decoded = chunks.iter().map(|chunk| codec::decode(chunk));
    let facts: Vec<Vec<Fact>> = decoded.collect::<Result<_, _>>()?;
    Ok(facts.into_iter().flatten().collect())
}

async fn put(
    db: &Db,
    flusher: &Arc<Flusher>,
    key: String,
    value: &[u8],
) -> Result<Written, StateError> {
    let mut batch = WriteBatch::new();
    batch.put_with_options(key.as_bytes(), value, &PutOptions::default());
    let written = db.write_with_options(batch, &WriteOptions::default()).await;
    let flusher = flusher.clone();
    let written = written.map(|handle| Written {
        handle,
        flusher,
        slack: None,
    });
    written.map_err(|e| error("writing", e))
}

/// Deletes the facts that the snapshot stands for, and the snapshots before.
async fn forget(db: &Db, first: &Arc<AtomicU64>, upto: u64) -> Result<(), StateError> {
    let mut old = Vec::new();
    let reading = |e| error("reading", e);
    let mut rows = db.scan_prefix(SNAPSHOTS, ..).await.map_err(reading)?;
    while let Some(row) = rows.next().await.map_err(reading)? {
        if parse(&row.key).is_none_or(|(of, _)| of != upto) {
            old.push(row.key);
        }
    }
    let facts = (first.load(Ordering::Relaxed)..upto).map(|index| Bytes::from(key(index)));
    old.extend(facts);
    for keys in old.chunks(DELETED) {
        let mut batch = WriteBatch::new();
        for key in keys {
            batch.delete(key);
        }
        let written = db.write_with_options(batch, &WriteOptions::default()).await;
        written.map_err(|e| error("writing", e))?;
    }
    first.store(upto, Ordering::Relaxed);
    Ok(())
}

fn name(upto: u64, part: &str) -> String {
    format!("{SNAPSHOTS}{upto:016x}/{part}")
}

fn parse(key: &[u8]) -> Option<(u64, &str)> {
    let name = std::str::from_utf8(key).ok()?;
    let (upto, part) = name.strip_prefix(SNAPSHOTS)?.split_once('/')?;
    Some((u64::from_str_radix(upto, 16).ok()?, part))
}

#[cfg(test)]
mod tests;
