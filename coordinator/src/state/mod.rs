//! Durable state: batches of facts, appended to SlateDB in the object store.
//!
//! A write is durable only once [`Written::durable`] returned: SlateDB answers
//! a write before the store has it. A newer coordinator on the same store
//! fences this one off; every later write then ends in [`StateError::Fenced`].

mod certain;
mod clock;
mod codec;
mod flusher;
mod snapshot;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ablate_proto::layout;
use bytes::Bytes;
use object_store::ObjectStore;
use slatedb::config::WriteOptions;
use slatedb::{CloseReason, Db, ErrorKind, Settings, WriteBatch, WriteHandle};

use crate::core::Fact;
use certain::Certain;
use clock::Clock;
use flusher::Flusher;

const FACTS: &str = "fact/";
const VERSION_KEY: &str = "version";
/// Of the coordinator that took the state over last.
const EPOCH_KEY: &str = "epoch";
/// Format of the stored facts.
const VERSION: u32 = 2;
/// The format before, which is read, and called [`VERSION`] from then on.
const VERSION_BEFORE: &[u8] = b"1";

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
    #[error(
        "the files of the coordinator's state are damaged: the database broke off while it \
         opened them (above stands where); bring them back from a copy of the store's folder \
         `state`"
    )]
    Damaged,
    #[error("the state says that the last coordinator's epoch was {0:?}: the store is damaged")]
    Epoch(String),
}

/// Why a database closed without being asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    Fenced,
    /// The next write says why.
    Otherwise,
}

/// The log of facts.
pub(crate) struct State {
    db: Arc<Db>,
    clock: Arc<Clock>,
    flusher: Arc<Flusher>,
    next: u64,
    /// The first row of facts that was not deleted.
    first: Arc<AtomicU64>,
    /// Facts since the newest snapshot.
    since: usize,
}

/// How often the database looks for files that its compactor has made. That
/// another coordinator has taken over, a write finds out.
const LOOK_FOR_FILES: Duration = Duration::from_secs(3);

/// How often the state is opened while others write, and how long between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// A batch on its way to the store.
pub(crate) struct Written {
    handle: WriteHandle,
    flusher: Arc<Flusher>,
    /// Nobody waits for it: so long it may wait for more.
    slack: Option<Duration>,
}

impl State {
    /// Opens the state and fences off whoever had it open before. That one may
    /// be writing at this very moment: then it is tried again.
    pub(crate) async fn open(
        store: Arc<dyn ObjectStore>,
        flush: Duration,
    ) -> Result<(Self, Vec<Fact>), StateError> {
        let mut tries = 1;
        loop {
            match Self::open_once(store.clone(), flush).await {
                Err(StateError::Store { source, .. }) if tries < TRIES && raced(&source) => {
                    tracing::info!(tries, "another coordinator wrote meanwhile; opening again");
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                opened => return opened,
            }
        }
    }

    async fn open_once(
        store: Arc<dyn ObjectStore>,
        flush: Duration,
    ) -> Result<(Self, Vec<Fact>), StateError> {
        // The database panics at some damages of its files, in this task or
        // in one of its own.
        let clock = Arc::new(Clock::new(0));
        match tokio::spawn(Self::open_unguarded(store, flush, clock)).await {
            Ok(Err(StateError::Store { doing, source })) if broke(&source) => {
                tracing::error!(doing, error = %source, "the database broke off");
                Err(StateError::Damaged)
            }
            Ok(opened) => opened,
            Err(_) => Err(StateError::Damaged),
        }
    }

    async fn open_unguarded(
        store: Arc<dyn ObjectStore>,
        flush: Duration,
        clock: Arc<Clock>,
    ) -> Result<(Self, Vec<Fact>), StateError> {
        let settings = Settings {
            // Written out when somebody waits for it (see `Flusher`), so that
            // an idle coordinator does nothing.
            flush_interval: None,
            manifest_poll_interval: LOOK_FOR_FILES,
            ..Settings::default()
        };
        let db = Db::builder(layout::STATE, Arc::new(Certain::new(store)))
            .with_settings(settings)
            .with_system_clock(clock.clone())
            .build()
            .await
            .map_err(|e| error("opening", e))?;
        clock.pass_files(&db.manifest());
        let db = Arc::new(db);
        let flusher = Arc::new(Flusher::new(db.clone(), flush));
        let mut state = Self {
            db,
            clock,
            flusher,
            next: 0,
            first: Arc::default(),
            since: 0,
        };
        let version = state.get(VERSION_KEY).await?;
        if let Some(other) = version.as_deref().filter(|v| !is_known(v)) {
            return Err(StateError::Version {
                found: String::from_utf8_lossy(other).chars().take(20).collect(),
            });
        }
        let facts = state.read_all().await?;
        if version.as_deref() != Some(VERSION.to_string().as_bytes()) {
            let written = state.db.put(VERSION_KEY, VERSION.to_string()).await;
            let written = written.map_err(|e| error("writing", e))?;
            state.written(written).durable().await?;
        }
        Ok((state, facts))
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StateError> {
        let found = self.db.get_key_value(key).await;
        let found = found.map_err(|e| error("reading", e))?;
        Ok(found.map(|row| {
            self.clock.pass(row.create_ts);
            row.value
        }))
    }

    async fn read_all(&mut self) -> Result<Vec<Fact>, StateError> {
        let snapshots = self.find_snapshots().await?;
        let mut facts = Vec::new();
        if let Some(found) = snapshots.intact {
            (self.next, facts) = (found.upto, found.facts);
        }
        self.first.store(self.next, Ordering::Relaxed);
        let saved = facts.len();
        let after = format!("{:016x}", self.next);
        let rows = self.db.scan_prefix(FACTS, after.as_bytes()..);
        let mut rows = rows.await.map_err(|e| error("reading", e))?;
        while let Some(row) = rows.next().await.map_err(|e| error("reading", e))? {
            self.clock.pass(row.create_ts);
            let corrupt = |why: String| StateError::Corrupt {
                index: self.next,
                why,
            };
            let expected = key(self.next);
            if row.key != expected.as_bytes() {
                return Err(corrupt("it is missing".to_owned()));
            }
            facts.extend(codec::decode(&row.value).map_err(corrupt)?);
            self.next += 1;
        }
        if self.next < snapshots.covered {
            let why = snapshots.damage;
            let why = why.unwrap_or_else(|| "it is missing".to_owned());
            let index = self.next;
            return Err(StateError::Corrupt { index, why });
        }
        self.since = facts.len() - saved;
        Ok(facts)
    }

    /// A number above all that coordinators before this one had, and above
    /// `floor`. Durable when this returns, so whoever has it was not fenced
    /// off before; and nobody else gets it.
    pub(crate) async fn claim_epoch(&self, floor: u64) -> Result<u64, StateError> {
        let found = self.get(EPOCH_KEY).await?;
        let last = found.map_or(Ok(0), |bytes| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            text.parse::<u64>().map_err(|_| StateError::Epoch(text))
        })?;
        let epoch = last.max(floor) + 1;
        let written = self.db.put(EPOCH_KEY, epoch.to_string()).await;
        let written = written.map_err(|e| error("writing", e))?;
        self.written(written).durable().await?;
        Ok(epoch)
    }

    /// Resolves when the database has closed by itself: a newer coordinator
    /// has opened it, or it broke. A coordinator without work would not notice
    /// otherwise.
    pub(crate) fn closed(&self) -> impl Future<Output = Closed> + Send + use<> {
        let mut status = self.db.subscribe();
        async move {
            let closed = status.wait_for(|status| status.close_reason.is_some());
            match closed.await.map(|status| status.close_reason) {
                Ok(Some(CloseReason::Fenced)) => Closed::Fenced,
                _ => Closed::Otherwise,
            }
        }
    }

    /// Appends a batch of facts, atomically.
    pub(crate) async fn append(&mut self, facts: &[Fact]) -> Result<Written, StateError> {
        let value = codec::encode(facts);
        let mut batch = WriteBatch::new();
        batch.put_bytes(key(self.next).into(), value.into());
        self.next += 1;
        self.since += facts.len();
        self.db
            .write_with_options(batch, &WriteOptions::default())
            .await
            .map(|handle| self.written(handle))
            .map_err(|e| error("writing", e))
    }

    fn written(&self, handle: WriteHandle) -> Written {
        Written {
            handle,
            flusher: self.flusher.clone(),
            slack: None,
        }
    }

    pub(crate) async fn close(&self) -> Result<(), StateError> {
        self.db.close().await.map_err(|e| error("closing", e))
    }
}

impl Written {
    /// Says that nobody waits for it, for so long. It is durable no less when
    /// [`durable`](Self::durable) returns.
    pub(crate) fn with_slack(self, slack: Option<Duration>) -> Self {
        if slack.is_none() {
            // Of what was appended before, something may take its time.
            self.flusher.hurry();
        }
        Self { slack, ..self }
    }

    /// Waits until the store has the batch; writes it out, and whatever else
    /// is waiting by then.
    pub(crate) async fn durable(&self) -> Result<(), StateError> {
        tokio::select! {
            biased;
            done = self.handle.await_durable() => return done.map_err(|e| error("writing", e)),
            () = std::future::ready(()) => {}
        }
        self.flusher.flush(self.slack).await?;
        let done = self.handle.await_durable().await;
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

fn is_known(version: &[u8]) -> bool {
    version == VERSION_BEFORE || version == VERSION.to_string().as_bytes()
}

fn key(index: u64) -> String {
    format!("{FACTS}{index:016x}")
}

/// It came upon something that it takes for impossible.
fn broke(error: &slatedb::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Internal | ErrorKind::Closed(CloseReason::Panic)
    )
}

fn error(doing: &'static str, source: slatedb::Error) -> StateError {
    match source.kind() {
        ErrorKind::Closed(CloseReason::Fenced) => StateError::Fenced,
        _ => StateError::Store { doing, source },
    }
}

/// Whether somebody else wrote what was about to be written. The database has
/// no kind of error for it.
fn raced(error: &slatedb::Error) -> bool {
    error.to_string().contains("version already exists")
}

#[cfg(test)]
mod tests;
