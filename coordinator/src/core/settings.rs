//! Times of the scheduling core.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreSettings {
    /// How long a worker may be silent before its tasks go to others.
    pub lease: Duration,
    /// How often workers are asked to renew.
    pub heartbeat: Duration,
    /// How long a worker whose connection broke may take to come back.
    pub reconnect: Duration,
    /// URL of the object store, told to workers.
    pub store: String,
}

impl Default for CoreSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(5),
            heartbeat: Duration::from_secs(1),
            reconnect: Duration::from_millis(750),
            store: String::new(),
        }
    }
}

impl CoreSettings {
    /// How long after a restart running attempts may be claimed.
    pub(super) fn reclaim(&self) -> Duration {
        self.lease * 2
    }

    /// # Errors
    /// When a worker could not renew in time by these numbers.
    pub fn validate(&self) -> Result<(), String> {
        if self.heartbeat.is_zero() || self.lease < self.heartbeat * 2 {
            return Err(format!(
                "the lease ({:?}) must be at least twice the heartbeat ({:?}), \
                 and the heartbeat above zero",
                self.lease, self.heartbeat
            ));
        }
        Ok(())
    }
}
