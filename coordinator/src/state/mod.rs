//! Durable state: batches of facts, appended to SlateDB in the object store.
//!
//! A write is durable only once [`Written::durable`] returned: SlateDB answers
//! a write before the store has it. A newer coordinator on the same store
//! fences this one off; every later write then ends in [`StateError::Fenced`].

use std::sync::Arc;
use std::time::Duration;

use ablate_proto::layout;
use object_store::ObjectStore;
use slatedb::config::{PutOptions, WriteOptions};
use slatedb::{CloseReason, Db, ErrorKind, Settings, WriteBatch, WriteHandle};

use crate::core::Fact;

const FACTS: &str = "fact/";
const VERSION_KEY: &str = "version";
/// Format of the stored facts.
const VERSION: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(
        "another coordinator has taken over this store; this one stops so that \
         nothing is decided twice"
    )]
    Fenced,
    #[error("{doing} the coordinator's state in the object store failed: {source}")]
    Store {
        doing: &'static str,
        source: slatedb::Error,
    },
    #[error(
        "the state in this store has format {found}, this release reads format {VERSION}: \
         start the release that wrote it; nothing was changed"
    )]
    Version { found: String },
    #[error(
        "fact batch {index} in the state cannot be read ({why}): the store is damaged, \
         or a newer release wrote it; nothing was changed"
    )]
    Corrupt { index: u64, why: String },
}

/// The log of facts.
pub(crate) struct State {
    db: Db,
    next: u64,
}

/// A batch on its way to the store.
pub(crate) struct Written(WriteHandle);

impl State {
    /// Opens the state and fences off whoever had it open before.
    pub(crate) async fn open(
        store: Arc<dyn ObjectStore>,
        flush: Duration,
    ) -> Result<(Self, Vec<Fact>), StateError> {
        let settings = Settings {
            flush_interval: Some(flush),
            ..Settings::default()
        };
        let db = Db::builder(layout::STATE, store)
            .with_settings(settings)
            .build()
            .await
            .map_err(|e| error("opening", e))?;
        let mut state = Self { db, next: 0 };
        state.check_version().await?;
        let facts = state.read_all().await?;
        Ok((state, facts))
    }

    async fn check_version(&self) -> Result<(), StateError> {
        let found = self
            .db
            .get(VERSION_KEY)
            .await
            .map_err(|e| error("reading", e))?;
        match found {
            None => {
                let written = self.db.put(VERSION_KEY, VERSION.to_string()).await;
                let written = written.map_err(|e| error("writing", e))?;
                Written(written).durable().await
            }
            Some(bytes) if bytes == VERSION.to_string().as_bytes() => Ok(()),
            Some(bytes) => Err(StateError::Version {
                found: String::from_utf8_lossy(&bytes).chars().take(20).collect(),
            }),
        }
    }

    async fn read_all(&mut self) -> Result<Vec<Fact>, StateError> {
        let mut rows = self
            .db
            .scan_prefix(FACTS, ..)
            .await
            .map_err(|e| error("reading", e))?;
        let mut facts = Vec::new();
        while let Some(row) = rows.next().await.map_err(|e| error("reading", e))? {
            let corrupt = |why: String| StateError::Corrupt {
                index: self.next,
                why,
            };
            let expected = key(self.next);
            if row.key != expected.as_bytes() {
                return Err(corrupt("it is missing".to_owned()));
            }
            let batch: Vec<Fact> =
                serde_json::from_slice(&row.value).map_err(|e| corrupt(e.to_string()))?;
            facts.extend(batch);
            self.next += 1;
        }
        Ok(facts)
    }

    /// Appends a batch of facts, atomically.
    pub(crate) async fn append(&mut self, facts: &[Fact]) -> Result<Written, StateError> {
        let value = serde_json::to_vec(facts).map_err(|e| StateError::Corrupt {
            index: self.next,
            why: e.to_string(),
        })?;
        let mut batch = WriteBatch::new();
        batch.put_with_options(key(self.next).as_bytes(), &value, &PutOptions::default());
        self.next += 1;
        self.db
            .write_with_options(batch, &WriteOptions::default())
            .await
            .map(Written)
            .map_err(|e| error("writing", e))
    }

    pub(crate) async fn close(&self) -> Result<(), StateError> {
        self.db.close().await.map_err(|e| error("closing", e))
    }
}

impl Written {
    /// Waits until the store has the batch.
    pub(crate) async fn durable(&self) -> Result<(), StateError> {
        let done = self.0.await_durable().await;
        done.map_err(|e| error("writing", e))
    }
}

/// Every fact in the state of a store, for simulations.
///
/// # Errors
/// The state cannot be read.
#[cfg(feature = "simulation")]
pub async fn history(store: Arc<dyn ObjectStore>) -> Result<Vec<Fact>, StateError> {
    let (state, facts) = State::open(store, Duration::from_millis(1)).await?;
    state.close().await?;
    Ok(facts)
}

fn key(index: u64) -> String {
    format!("{FACTS}{index:016x}")
}

fn error(doing: &'static str, source: slatedb::Error) -> StateError {
    match source.kind() {
        ErrorKind::Closed(CloseReason::Fenced) => StateError::Fenced,
        _ => StateError::Store { doing, source },
    }
}

#[cfg(test)]
mod tests;
