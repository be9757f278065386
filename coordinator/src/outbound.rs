//! What waits to be sent to a worker: bounded, so that one that does not read
//! costs its session and nobody's memory.

use ablate_proto::message::ToWorker;
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What a worker without slots may be behind by.
const LEAST: usize = 1024;
/// For each slot: a full queue behind it, twice over, with what is said of
/// those.
const BY_SLOT: usize = 256;

/// Attempts that a worker of so many slots can hold, and messages that can be
/// on their way to it: many times what it is ever given.
pub(crate) fn most(slots: u32) -> usize {
    LEAST + BY_SLOT * slots as usize
}

/// The way to a worker, for as long as its session lasts.
pub(crate) struct Outbound {
    messages: mpsc::Sender<ToWorker>,
    /// The session ends with this.
    session: DropGuard,
}

/// The session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    Before,
    /// Just now: more waits for the worker than it can be behind by.
    Full,
}

impl Outbound {
    /// A way with room for so many messages, what comes out of it, and the
    /// token that is cancelled when the session is to end.
    pub(crate) fn new(
        room: usize,
    ) -> (
        Self,
        impl Stream<Item = ToWorker> + Send + use<>,
        CancellationToken,
    ) {
        let (messages, out) = mpsc::channel(room);
        let end = CancellationToken::new();
        // What still waits is not sent any more.
        let out = ReceiverStream::new(out).take_until(end.clone().cancelled_owned());
        let session = end.clone().drop_guard();
        (Self { messages, session }, out, end)
    }

    pub(crate) fn send(&self, message: ToWorker) -> Result<(), Ended> {
        self.messages
            .try_send(message)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Closed(_) => Ended::Before,
                mpsc::error::TrySendError::Full(_) => Ended::Full,
            })
    }

    /// Ends the stream once what waits has been sent.
    pub(crate) fn finish(self) {
        self.session.disarm();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(most: u32) -> ToWorker {
        ToWorker::TakeBack { most }
    }

    #[tokio::test]
    async fn a_worker_that_does_not_read_loses_its_session() {
        let (way, out, end) = Outbound::new(2);
        assert_eq!(
            (way.send(message(1)), way.send(message(2))),
            (Ok(()), Ok(()))
        );
        assert_eq!(way.send(message(3)), Err(Ended::Full));
        assert!(!end.is_cancelled());
        drop(way);
        assert!(end.is_cancelled());
        assert_eq!(out.collect::<Vec<_>>().await, []);
    }

    #[tokio::test]
    async fn what_waits_is_sent_to_one_that_leaves() {
        let (way, out, end) = Outbound::new(2);
        way.send(message(1)).unwrap();
        way.finish();
        assert_eq!(out.collect::<Vec<_>>().await, [message(1)]);
        assert!(!end.is_cancelled());
    }
}
