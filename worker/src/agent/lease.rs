//! Fencing by the worker itself: whether it may publish results now.
//!
//! The coordinator renews the leases of a worker when it *receives* a `Hello`
//! or `Heartbeat`; the worker counts from when such a message was handed to
//! the connection, which is earlier. The rule: a manifest may be written only
//! 1. on a live session whose `Welcome` has arrived, a moment ago at least, so
//!    that the `Drop`s that follow it are in; and
//! 2. less than the lease after the last `Hello` or `Heartbeat` went out.
//!
//! A gap between two of them that is as long as the lease (a frozen process,
//! a stalled connection) ends the session: the leases may have passed on, so
//! the worker says `Hello` again with what it holds and learns what of it is
//! still wanted. A connection that swallows what is sent is noticed by the
//! keepalive of [`super::rpc`] in at most five seconds; leases must be longer.
//!
//! Time is the monotonic clock, which goes on while a process is stopped. It
//! stands still while the whole machine sleeps, and nothing holds back a write
//! that is under way already: for those, and for shorter leases, it is the
//! create-if-absent of the manifest that keeps the result single.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Time given to `Drop`s that follow a `Welcome`.
const SETTLE: Duration = Duration::from_millis(100);

/// Shared by the session, which feeds it, and the attempts, which ask it.
#[derive(Debug)]
pub(super) struct Lease {
    grant: watch::Sender<Option<Grant>>,
    session: Mutex<Session>,
}

#[derive(Debug, Clone, Copy)]
struct Grant {
    from: Instant,
    /// When the last renewal went out.
    sent: Instant,
    length: Duration,
}

#[derive(Debug, Default)]
struct Session {
    number: u64,
    sent: Option<Instant>,
    lapsed: bool,
}

impl Grant {
    fn covers(&self, now: Instant) -> bool {
        now >= self.from && now.saturating_duration_since(self.sent) < self.length
    }
}

impl Lease {
    pub(super) fn new() -> Self {
        Self {
            grant: watch::Sender::new(None),
            session: Mutex::default(),
        }
    }

    /// A connection is about to be made; returns its number.
    pub(super) fn connecting(&self) -> u64 {
        let mut session = self.lock();
        let number = session.number + 1;
        *session = Session {
            number,
            ..Session::default()
        };
        self.grant.send_replace(None);
        number
    }

    /// A `Hello` or `Heartbeat` of session `number` goes out.
    pub(super) fn renewed(&self, number: u64, now: Instant) {
        let mut session = self.lock();
        if session.number != number || session.lapsed {
            return;
        }
        session.sent = Some(now);
        let lapsed = self.grant.send_if_modified(|grant| match grant {
            Some(g) if now.saturating_duration_since(g.sent) >= g.length => {
                *grant = None;
                true
            }
            Some(g) => {
                g.sent = now;
                false
            }
            None => false,
        });
        session.lapsed = lapsed;
    }

    /// The `Welcome` of session `number` has arrived.
    pub(super) fn welcomed(&self, number: u64, now: Instant, length: Duration) {
        let session = self.lock();
        let Some(sent) = session.sent.filter(|_| session.number == number) else {
            return;
        };
        let from = now + SETTLE;
        self.grant.send_replace(Some(Grant { from, sent, length }));
    }

    /// The session is over.
    pub(super) fn close(&self) {
        self.lock().number += 1;
        self.grant.send_replace(None);
    }

    /// Whether the session missed its own renewals and must be made anew.
    pub(super) fn lapsed(&self, now: Instant) -> bool {
        let silent = self
            .grant
            .borrow()
            .is_some_and(|g| now.saturating_duration_since(g.sent) >= g.length);
        silent || self.lock().lapsed
    }

    /// Returns once results may be published.
    pub(super) async fn covered(&self) {
        let mut grant = self.grant.subscribe();
        loop {
            let now = Instant::now();
            let current = *grant.borrow_and_update();
            match current {
                Some(g) if g.covers(now) => return,
                Some(g) if now < g.from => tokio::time::sleep_until(g.from).await,
                // The sender lives as long as `self`.
                Some(_) | None => drop(grant.changed().await),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);

    /// A session whose hello went out and was answered a second ago.
    fn live() -> (Lease, u64, Instant) {
        let lease = Lease::new();
        let number = lease.connecting();
        let start = Instant::now() - Duration::from_secs(1);
        lease.renewed(number, start);
        lease.welcomed(number, start, LENGTH);
        (lease, number, start)
    }

    fn covered(lease: &Lease) -> bool {
        lease.covered().now_or_never().is_some()
    }

    #[tokio::test]
    async fn a_live_session_covers() {
        let (lease, number, start) = live();
        assert!(covered(&lease));
        lease.renewed(number, start + Duration::from_secs(9));
        assert!(!lease.lapsed(start + Duration::from_secs(18)));
        assert!(lease.lapsed(start + Duration::from_secs(19)));
    }

    #[tokio::test]
    async fn without_a_welcome_or_right_after_it_nothing_is_covered() {
        let lease = Lease::new();
        let number = lease.connecting();
        lease.renewed(number, Instant::now());
        assert!(!covered(&lease));
        lease.welcomed(number, Instant::now(), LENGTH);
        assert!(!covered(&lease));
    }

    #[tokio::test]
    async fn a_heartbeat_after_a_gap_does_not_renew() {
        let lease = Lease::new();
        let number = lease.connecting();
        let long_ago = Instant::now() - 2 * LENGTH;
        lease.renewed(number, long_ago);
        lease.welcomed(number, long_ago, LENGTH);
        assert!(!covered(&lease));
        lease.renewed(number, Instant::now());
        lease.renewed(number, Instant::now());
        assert!(!covered(&lease));
        assert!(lease.lapsed(Instant::now()));
        let number = lease.connecting();
        assert!(!lease.lapsed(Instant::now()));
        let before = Instant::now() - Duration::from_secs(1);
        lease.renewed(number, before);
        lease.welcomed(number, before, LENGTH);
        assert!(covered(&lease));
    }

    #[tokio::test]
    async fn messages_of_an_earlier_session_do_not_count() {
        let (lease, number, _) = live();
        lease.close();
        lease.renewed(number, Instant::now());
        lease.welcomed(number, Instant::now() - LENGTH / 2, LENGTH);
        assert!(!covered(&lease));
    }
}
