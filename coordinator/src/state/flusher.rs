//! When the log is written out: as soon as somebody waits for it, but no more
//! often than the setting says, since a request may have its price.

use std::sync::Arc;
use std::time::Duration;

use slatedb::Db;
use slatedb::config::{FlushOptions, FlushType};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::{StateError, error};

pub(super) struct Flusher {
    db: Arc<Db>,
    /// Between the starts of two writes.
    apart: Duration,
    /// When the next may start.
    next: Mutex<Instant>,
}

impl Flusher {
    pub(super) fn new(db: Arc<Db>, apart: Duration) -> Self {
        let next = Mutex::new(Instant::now());
        Self { db, apart, next }
    }

    /// Writes out all that was appended before.
    pub(super) async fn flush(&self) -> Result<(), StateError> {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + self.apart;
        drop(next);
        let flush_type = FlushType::Wal;
        let flushed = self.db.flush_with_options(FlushOptions { flush_type });
        flushed.await.map_err(|e| error("writing", e))
    }
}
