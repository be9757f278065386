//! How sweeps ended, in the store: one change after the other, so that what
//! is said of a sweep last is what stands there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ablate_proto::id::SweepId;
use ablate_proto::layout;
use ablate_proto::status::SweepStatus;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::mpsc;

use crate::core::Event;
use crate::driver::Command;
use crate::upload;

/// Between tries, while the store does not take them.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) enum Change {
    /// All its tasks have ended so.
    Ended(Arc<SweepStatus>),
    /// How it ended earlier holds no more.
    GoesOn(SweepId),
}

impl Change {
    fn sweep(&self) -> &SweepId {
        match self {
            Self::Ended(outcome) => &outcome.sweep,
            Self::GoesOn(sweep) => sweep,
        }
    }
}

/// Makes changes as they come, as often as it takes, and tells the core of
/// outcomes that are stored. Ends with the driver.
pub(crate) async fn keep(
    store: Arc<dyn ObjectStore>,
    mut changes: mpsc::UnboundedReceiver<Change>,
    commands: mpsc::WeakSender<Command>,
) {
    let mut open: HashMap<SweepId, Change> = HashMap::new();
    loop {
        while let Ok(change) = changes.try_recv() {
            open.insert(change.sweep().clone(), change);
        }
        let Some(sweep) = open.keys().next().cloned() else {
            match changes.recv().await {
                Some(change) => open.insert(change.sweep().clone(), change),
                None => return,
            };
            continue;
        };
        let Some(change) = open.remove(&sweep) else {
            continue;
        };
        if let Err(error) = make(&store, &change).await {
            tracing::error!(%sweep, %error, "storing the outcome failed; trying again");
            // What came meanwhile is newer.
            open.entry(sweep).or_insert(change);
            tokio::time::sleep(RETRY).await;
            if commands.strong_count() == 0 {
                return;
            }
            continue;
        }
        if let (Change::Ended(_), Some(commands)) = (change, commands.upgrade()) {
            // A stopped driver stores it again when it is started.
            let stored = Command::Event(Event::OutcomeStored(sweep));
            let _ = commands.send(stored).await;
        }
    }
}

async fn make(store: &Arc<dyn ObjectStore>, change: &Change) -> object_store::Result<()> {
    let path = Path::from(layout::outcome(change.sweep()));
    match change {
        Change::Ended(outcome) => {
            let outcome = outcome.clone();
            let write = move |out: &mut upload::Parts| {
                serde_json::to_writer_pretty(out, &*outcome).map_err(std::io::Error::from)
            };
            upload::rows(store, &path, write).await
        }
        Change::GoesOn(_) => match store.delete(&path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            deleted => deleted,
        },
    }
}

#[cfg(test)]
mod tests {
    use ablate_proto::status::SweepState;
    use object_store::memory::InMemory;

    use super::*;

    fn ended(state: SweepState) -> Change {
        Change::Ended(Arc::new(SweepStatus {
            submitted: 1,
            sweep: "s".parse().unwrap(),
            state,
            points: 1,
            tasks: 1,
            done: 1,
            failed: 0,
            cancelled: 0,
            running: 0,
            reused: 0,
            priority: 0,
            eta_seconds: None,
            eta_range: None,
            rows: Vec::new(),
            held: None,
        }))
    }

    #[tokio::test]
    async fn the_last_change_stands_and_the_core_hears_of_outcomes() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (commands, mut heard) = mpsc::channel(8);
        let (sender, changes) = mpsc::unbounded_channel();
        let keeper = tokio::spawn(keep(store.clone(), changes, commands.downgrade()));
        let path = Path::from("sweeps/s/outcome.json");

        sender.send(ended(SweepState::Failed)).unwrap();
        let Some(Command::Event(Event::OutcomeStored(sweep))) = heard.recv().await else {
            panic!("an outcome is told");
        };
        assert_eq!(sweep.to_string(), "s");
        assert!(store.head(&path).await.is_ok());

        // What was there need not be there.
        for _ in 0..2 {
            sender.send(Change::GoesOn(sweep.clone())).unwrap();
        }
        drop(sender);
        keeper.await.unwrap();
        assert!(store.head(&path).await.is_err());
        assert!(heard.try_recv().is_err());
    }
}
