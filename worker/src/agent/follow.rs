//! Logs of running attempts for people who follow them: a few pieces a
//! second at most, and left out rather than waited for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ablate_proto::id::AttemptId;
use ablate_proto::message::{FromWorker, LogPiece};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::log_tail::LogTail;

const EVERY: Duration = Duration::from_millis(200);
/// Bytes of a piece.
const PIECE: usize = 64 << 10;

/// The attempts whose logs somebody follows.
#[derive(Debug, Default)]
pub(super) struct Followed(Mutex<BTreeMap<AttemptId, u64>>);

impl Followed {
    /// Asked again, it begins again: the new reader has seen nothing.
    pub(super) fn set(&self, attempt: AttemptId, on: bool) {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if on {
            *followed.entry(attempt).or_insert(0) += 1;
        } else {
            followed.remove(&attempt);
        }
    }

    /// How often it was asked for; 0: nobody follows it.
    fn asked(&self, attempt: AttemptId) -> u64 {
        let followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        followed.get(&attempt).copied().unwrap_or(0)
    }
}

/// Sends the log of one attempt, while it is followed.
#[derive(Debug)]
pub(super) struct LogSender {
    attempt: AttemptId,
    followed: Arc<Followed>,
    tx: mpsc::Sender<FromWorker>,
    next: Instant,
    /// What was sent ends here.
    sent: u64,
    /// To the readers of so many requests.
    asked: u64,
}

impl LogSender {
    pub(super) fn new(
        attempt: AttemptId,
        followed: Arc<Followed>,
        tx: mpsc::Sender<FromWorker>,
    ) -> Self {
        Self {
            attempt,
            followed,
            tx,
            next: Instant::now() + EVERY,
            sent: 0,
            asked: 0,
        }
    }

    pub(super) async fn due(&self) {
        sleep_until(self.next).await;
    }

    pub(super) fn send(&mut self, log: &LogTail) {
        self.next = Instant::now() + EVERY;
        let asked = self.followed.asked(self.attempt);
        if asked != self.asked {
            (self.asked, self.sent) = (asked, 0);
        }
        if asked == 0 {
            return;
        }
        let (from, text) = log.since(self.sent, PIECE);
        if text.is_empty() {
            return;
        }
        let end = from + text.len() as u64;
        let piece = LogPiece { from, text };
        // What finds no room is sent with what comes next, or left out.
        if self
            .tx
            .try_send(FromWorker::Log(self.attempt, piece))
            .is_ok()
        {
            self.sent = end;
        }
    }
}

impl Drop for LogSender {
    fn drop(&mut self) {
        self.followed.set(self.attempt, false);
    }
}

#[cfg(test)]
mod tests {
    use ablate_proto::id::TaskKey;

    use super::*;

    fn text(message: FromWorker) -> (u64, usize) {
        match message {
            FromWorker::Log(_, piece) => (piece.from, piece.text.len()),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_followed_log_is_sent_as_it_grows_and_what_is_too_much_is_left_out() {
        let attempt = AttemptId {
            task: TaskKey::from_bytes([1; 32]),
            number: 1,
        };
        let followed = Arc::new(Followed::default());
        let (tx, mut rx) = mpsc::channel(1);
        let mut sender = LogSender::new(attempt, followed.clone(), tx);
        let mut log = LogTail::default();
        log.push(b"before\n");
        sender.send(&log);
        assert!(rx.try_recv().is_err());
        followed.set(attempt, true);
        sender.send(&log);
        assert_eq!(text(rx.try_recv().unwrap()), (0, 7));
        log.push(b"more\n");
        sender.send(&log);
        log.push(&vec![b'x'; 2 * PIECE]);
        // No room: nothing waits.
        sender.send(&log);
        assert_eq!(text(rx.try_recv().unwrap()), (7, 5));
        sender.send(&log);
        assert_eq!(text(rx.try_recv().unwrap()), (12 + PIECE as u64, PIECE));
        // For a new reader from the beginning of what is kept.
        followed.set(attempt, true);
        sender.send(&log);
        assert_eq!(text(rx.try_recv().unwrap()), (12 + PIECE as u64, PIECE));
        drop(sender);
        assert_eq!(followed.asked(attempt), 0);
    }
}
