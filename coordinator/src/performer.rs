//! Performs effects once they are durable: messages to workers, answers to
//! people, outcomes of ended sweeps.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ablate_proto::id::WorkerId;
use ablate_proto::layout;
use ablate_proto::message::ToWorker;
use ablate_proto::status::SweepStatus;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::mpsc;

use crate::core::Event;
use crate::driver::Command;
use crate::state::{StateError, Written};

/// Between tries to store an outcome.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) enum Action {
    Open(WorkerId, u64, mpsc::UnboundedSender<ToWorker>),
    Send(WorkerId, Box<ToWorker>),
    /// Ends a session's stream, unless a newer one has taken its place.
    Close(WorkerId, u64),
    Reply(Box<dyn FnOnce() + Send>),
    StoreOutcome(Box<SweepStatus>),
}

pub(crate) struct Batch {
    /// To be durable before the actions are performed.
    pub(crate) written: Option<Written>,
    pub(crate) actions: Vec<Action>,
}

pub(crate) struct Performer {
    store: Arc<dyn ObjectStore>,
    commands: mpsc::WeakSender<Command>,
    sessions: HashMap<WorkerId, (u64, mpsc::UnboundedSender<ToWorker>)>,
}

impl Performer {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, commands: mpsc::WeakSender<Command>) -> Self {
        Self {
            store,
            commands,
            sessions: HashMap::new(),
        }
    }

    /// Ends when the driver does, or when something could not be made
    /// durable: nothing is performed after that.
    pub(crate) async fn run(
        mut self,
        mut batches: mpsc::Receiver<Batch>,
    ) -> Result<(), StateError> {
        while let Some(batch) = batches.recv().await {
            if let Some(written) = batch.written {
                written.durable().await?;
            }
            for action in batch.actions {
                self.perform(action);
            }
        }
        Ok(())
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Open(worker, session, sender) => {
                self.sessions.insert(worker, (session, sender));
            }
            Action::Send(worker, message) => {
                if let Some((_, sender)) = self.sessions.get(&worker)
                    && sender.send(*message).is_err()
                {
                    // Its stream has ended; a new session says hello anew.
                    self.sessions.remove(&worker);
                }
            }
            Action::Close(worker, session) => {
                if self
                    .sessions
                    .get(&worker)
                    .is_some_and(|(s, _)| *s == session)
                {
                    self.sessions.remove(&worker);
                }
            }
            Action::Reply(reply) => reply(),
            Action::StoreOutcome(outcome) => {
                let (store, commands) = (self.store.clone(), self.commands.clone());
                tokio::spawn(store_outcome(store, *outcome, commands));
            }
        }
    }
}

/// Writes how a sweep ended, as often as it takes, and tells the core.
async fn store_outcome(
    store: Arc<dyn ObjectStore>,
    outcome: SweepStatus,
    commands: mpsc::WeakSender<Command>,
) {
    let path = Path::from(layout::outcome(&outcome.sweep));
    let bytes = match serde_json::to_vec_pretty(&outcome) {
        Ok(bytes) => bytes,
        Err(e) => unreachable!("a status serialises: {e}"),
    };
    while let Err(error) = store.put(&path, bytes.clone().into()).await {
        tracing::error!(sweep = %outcome.sweep, %error, "storing the outcome failed; trying again");
        tokio::time::sleep(RETRY).await;
        if commands.strong_count() == 0 {
            return;
        }
    }
    if let Some(commands) = commands.upgrade() {
        let stored = Event::OutcomeStored(outcome.sweep);
        // A stopped driver stores it again when it is started.
        let _ = commands.send(Command::Event(stored)).await;
    }
}
