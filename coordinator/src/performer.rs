//! Performs effects once they are durable: messages to workers, answers to
//! people, outcomes of ended sweeps.

use std::collections::HashMap;
use std::sync::Arc;

use ablate_proto::id::{SweepId, WorkerId};
use ablate_proto::message::ToWorker;
use ablate_proto::status::SweepStatus;
use object_store::ObjectStore;
use tokio::sync::mpsc;

use crate::driver::Command;
use crate::outbound::{Ended, Outbound};
use crate::outcomes::{self, Change};
use crate::state::{StateError, Written};

pub(crate) enum Action {
    Open(WorkerId, u64, Outbound),
    Send(WorkerId, Box<ToWorker>),
    /// Ends a session's stream, unless a newer one has taken its place.
    Close(WorkerId, u64),
    Reply(Box<dyn FnOnce() + Send>),
    StoreOutcome(Box<SweepStatus>),
    ForgetOutcome(SweepId),
}

pub(crate) struct Batch {
    /// To be durable before the actions are performed.
    pub(crate) written: Option<Written>,
    pub(crate) actions: Vec<Action>,
}

pub(crate) struct Performer {
    outcomes: mpsc::UnboundedSender<Change>,
    sessions: HashMap<WorkerId, (u64, Outbound)>,
}

impl Performer {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, commands: mpsc::WeakSender<Command>) -> Self {
        let (outcomes, changes) = mpsc::unbounded_channel();
        tokio::spawn(outcomes::keep(store, changes, commands));
        Self {
            outcomes,
            sessions: HashMap::new(),
        }
    }

    /// Ends when the driver does, or when something could not be made
    /// durable: nothing is performed after that.
    pub(crate) async fn run(
        mut self,
        mut batches: mpsc::Receiver<Batch>,
    ) -> Result<(), StateError> {
        while let Some(mut batch) = batches.recv().await {
            if planted!(EffectsBeforeDurable) {
                for action in batch.actions.drain(..) {
                    self.perform(action);
                }
            }
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
                    && let Err(ended) = sender.send(*message)
                {
                    if ended == Ended::Full {
                        tracing::warn!(%worker, "it does not read what it is told; ending its session");
                    }
                    // A new session says hello anew.
                    self.sessions.remove(&worker);
                }
            }
            Action::Close(worker, session) => {
                if self
                    .sessions
                    .get(&worker)
                    .is_some_and(|(s, _)| *s == session)
                    && let Some((_, sender)) = self.sessions.remove(&worker)
                {
                    sender.finish();
                }
            }
            Action::Reply(reply) => reply(),
            Action::StoreOutcome(outcome) => self.outcome(Change::Ended(outcome.into())),
            Action::ForgetOutcome(sweep) => self.outcome(Change::GoesOn(sweep)),
        }
    }

    fn outcome(&self, change: Change) {
        // Its keeper ends before this does only when the runtime goes.
        let _ = self.outcomes.send(change);
    }
}
