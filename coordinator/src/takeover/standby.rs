//! A standby: waits until the active coordinator is gone, without touching
//! the state, which would fence that one off.

use std::sync::Arc;
use std::time::Duration;

use ablate_proto::current::Current;
use ablate_proto::layout;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Newest, newest};

/// Beats that the active one may miss, whatever this standby was told.
const BEATS: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standby {
    /// How often the store is looked at.
    pub poll: Duration,
    /// Takes over when nothing has changed for so long, by the clock of this
    /// process alone.
    pub after: Duration,
}

/// Whom a standby follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// There never was a coordinator.
    Nobody,
    /// It ended in good order.
    Stopped(Option<Current>),
    /// It gave no sign of life any more.
    Silent(Option<Current>),
}

/// Resolves when it is this process's turn to serve the store. Of several
/// standbys one is let through.
pub async fn stand_by(store: Arc<dyn ObjectStore>, standby: Standby) -> Followed {
    let mut watch = Watch::new();
    loop {
        let seen = match newest(&store).await {
            Ok(seen) => watch.look(seen, standby),
            Err(error) => {
                // It says nothing of the other one, who may not reach the
                // store either.
                tracing::warn!(%error, "the store does not answer; looking on");
                watch.blind();
                None
            }
        };
        if let Some((epoch, followed)) = seen {
            match claim(&store, epoch, watch.round).await {
                Ok(true) => return followed,
                Ok(false) => watch.lost(),
                Err(error) => tracing::warn!(%error, "taking over failed; trying again"),
            }
        }
        tokio::time::sleep(standby.poll).await;
    }
}

/// What was seen last, and since when.
struct Watch {
    seen: Option<Newest>,
    since: Instant,
    /// Claims that others made, who did not follow them up.
    round: u32,
}

impl Watch {
    fn new() -> Self {
        Self {
            seen: None,
            since: Instant::now(),
            round: 0,
        }
    }

    /// The epoch to take over from, and why, once it is time.
    fn look(&mut self, seen: Option<Newest>, standby: Standby) -> Option<(u64, Followed)> {
        if seen != self.seen {
            let another = seen.as_ref().map(|s| s.epoch) != self.seen.as_ref().map(|s| s.epoch);
            if another {
                self.round = 0;
            }
            self.since = Instant::now();
            self.seen = seen;
        }
        let current = self.seen.as_ref().and_then(Newest::parse);
        let beats = current.as_ref().map_or(Duration::ZERO, |current| {
            Duration::from_millis(current.every_ms).saturating_mul(BEATS)
        });
        let silent = self.since.elapsed() >= standby.after.max(beats);
        let Some(Newest { epoch, .. }) = self.seen else {
            // Another standby's claim gets its time.
            return (self.round == 0 || silent).then_some((0, Followed::Nobody));
        };
        if self.round == 0 && current.as_ref().is_some_and(|current| current.stopped) {
            return Some((epoch, Followed::Stopped(current)));
        }
        silent.then_some((epoch, Followed::Silent(current)))
    }

    fn blind(&mut self) {
        self.since = Instant::now();
    }

    /// Another standby was first: it gets its time, too.
    fn lost(&mut self) {
        self.round += 1;
        self.since = Instant::now();
    }
}

/// Whether this process may take over. Created if absent, with a nonce, so
/// that an answer that got lost on the way does not matter.
async fn claim(store: &dyn ObjectStore, epoch: u64, round: u32) -> Result<bool, Error> {
    let path = Path::from(layout::takeover(epoch, round));
    let body = Bytes::from(Uuid::new_v4().to_string());
    let options = PutOptions::from(PutMode::Create);
    let Err(error) = store.put_opts(&path, body.clone().into(), options).await else {
        return Ok(true);
    };
    match store.get(&path).await {
        Ok(found) => Ok(found.bytes().await? == body),
        // Not written, or removed by the one who took over.
        Err(Error::NotFound { .. }) => Err(error),
        Err(error) => Err(error),
    }
}
