//! The database's clock: it never shows less than one before it did.
//!
//! The database stamps what it writes, and refuses to write anything once its
//! clock is behind the newest stamp: a coordinator on a machine whose clock is
//! late could not take over from one whose clock is right. No stamp means
//! anything here, so this clock is put forward as far as is needed.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use slatedb::VersionedManifest;
use slatedb_common::{DefaultSystemClock, SystemClock, SystemClockTicker};

/// What was deleted, and files of rows, bear stamps that are not looked at:
/// they are made soon after rows that are.
const MARGIN: i64 = 60_000;

#[derive(Debug)]
pub(super) struct Clock {
    machine: DefaultSystemClock,
    /// Milliseconds.
    forward: AtomicI64,
}

impl Clock {
    /// That of this machine, or so much (in ms) before it.
    pub(super) fn new(forward: i64) -> Self {
        Self {
            machine: DefaultSystemClock::new(),
            forward: AtomicI64::new(forward),
        }
    }

    /// From now on it is later than this stamp, in ms since 1970.
    pub(super) fn pass(&self, stamp: i64) {
        let behind = stamp.saturating_sub(self.now().timestamp_millis());
        if behind >= 0 {
            self.forward.fetch_add(behind + MARGIN, Ordering::Relaxed);
        }
    }

    /// Later than everything that these files say of themselves.
    pub(super) fn pass_files(&self, manifest: &VersionedManifest) {
        self.pass(manifest.last_l0_clock_tick());
        for file in manifest.l0() {
            let stamp = i64::try_from(file.id.timestamp_ms());
            self.pass(stamp.unwrap_or(i64::MIN));
        }
    }
}

impl SystemClock for Clock {
    fn now(&self) -> DateTime<Utc> {
        let forward = TimeDelta::milliseconds(self.forward.load(Ordering::Relaxed));
        let now = self.machine.now();
        now.checked_add_signed(forward).unwrap_or(now)
    }

    fn sleep<'a>(
        &'a self,
        duration: Duration,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        self.machine.sleep(duration)
    }

    fn ticker<'a>(&'a self, duration: Duration) -> SystemClockTicker<'a> {
        SystemClockTicker::new(self, duration)
    }
}
