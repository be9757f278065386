//! When the log is written out: as soon as somebody waits for it, but no more
//! often than the setting says, since a request may have its price; and less
//! often while workers have enough to do and nobody waits for an answer, since
//! a synced write costs as much as many tasks.

use std::sync::Arc;
use std::time::Duration;

use slatedb::Db;
use slatedb::config::{FlushOptions, FlushType};
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep_until};

use super::{StateError, error};

/// Timers go by the millisecond, and may take another: what would be over
/// sooner than this is not waited for.
const PRECISION: Duration = Duration::from_micros(250);

pub(super) struct Flusher {
    db: Arc<Db>,
    /// Between the starts of two writes.
    apart: Duration,
    /// When the next may start.
    next: Mutex<Instant>,
    /// Somebody waits: one write that does not take its time.
    hurry: Notify,
}

impl Flusher {
    pub(super) fn new(db: Arc<Db>, apart: Duration) -> Self {
        let next = Mutex::new(Instant::now());
        let hurry = Notify::new();
        Self {
            db,
            apart,
            next,
            hurry,
        }
    }

    pub(super) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Writes out all that was appended before. With `slack`, it may wait for
    /// more until so long after the start of the write before.
    pub(super) async fn flush(&self, slack: Option<Duration>) -> Result<(), StateError> {
        let mut next = self.next.lock().await;
        if next.saturating_duration_since(Instant::now()) > PRECISION {
            sleep_until(*next).await;
        }
        if let Some(slack) = slack {
            let later = *next + slack.saturating_sub(self.apart);
            tokio::select! {
                () = sleep_until(later) => {}
                () = self.hurry.notified() => {}
            }
        }
        *next = Instant::now() + self.apart;
        drop(next);
        let flush_type = FlushType::Wal;
        let flushed = self.db.flush_with_options(FlushOptions { flush_type });
        flushed.await.map_err(|e| error("writing", e))
    }
}
