//! What a collection is about to remove, for submissions to see.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ablate_proto::id::TaskKey;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use super::{GcError, MARKS, list};

/// A mark that was not renewed for so long is of a collection that was
/// killed.
const STALE: Duration = Duration::from_secs(15 * 60);
/// How long a submission waits for a collection.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(500);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Body {
    tasks: Vec<TaskKey>,
    /// Digests.
    #[serde(default)]
    files: Vec<String>,
}

pub(super) struct Mark {
    store: Arc<dyn ObjectStore>,
    path: Path,
    written: Instant,
    /// The same moment by the store's clock, which all ages are taken from.
    now: SystemTime,
}

impl Mark {
    /// Names nothing yet.
    pub(super) async fn set(store: Arc<dyn ObjectStore>) -> Result<Self, GcError> {
        let mut mark = Self {
            store,
            path: Path::from(format!("{MARKS}/{}.json", Uuid::new_v4())),
            written: Instant::now(),
            now: SystemTime::UNIX_EPOCH,
        };
        mark.name(&HashSet::new(), &HashSet::new()).await?;
        mark.sweep().await?;
        Ok(mark)
    }

    /// Names what is going to go, and renews the mark.
    pub(super) async fn name(
        &mut self,
        tasks: &HashSet<TaskKey>,
        files: &HashSet<String>,
    ) -> Result<(), GcError> {
        let doing = || GcError::store(format!("writing {}", self.path));
        let tasks = tasks.iter().copied().collect();
        let files = files.iter().cloned().collect();
        let body = match serde_json::to_vec(&Body { tasks, files }) {
            Ok(body) => body,
            Err(e) => unreachable!("a mark serialises: {e}"),
        };
        let put = self.store.put(&self.path, body.into());
        put.await.map_err(doing())?;
        let written = self.store.head(&self.path).await.map_err(doing())?;
        self.written = Instant::now();
        self.now = written.last_modified.into();
        Ok(())
    }

    pub(super) fn age(&self) -> Duration {
        self.written.elapsed()
    }

    /// When the mark was written last, by the store's clock.
    pub(super) fn now(&self) -> SystemTime {
        self.now
    }

    /// Removes marks of collections that were killed.
    async fn sweep(&self) -> Result<(), GcError> {
        for mark in list(&self.store, MARKS).await? {
            let age = self.now.duration_since(mark.last_modified.into());
            if age.is_ok_and(|age| age > STALE) {
                let removed = self.store.delete(&mark.location).await;
                removed.map_err(GcError::store(format!("removing {}", mark.location)))?;
            }
        }
        Ok(())
    }

    pub(super) async fn lift(self) {
        if let Err(error) = self.store.delete(&self.path).await {
            tracing::warn!(%error, mark = %self.path, "the mark of this collection stays");
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Pending {
    #[error("{doing} failed: {source}")]
    Store { doing: String, source: Error },
    #[error("`ablate gc` is removing what is wanted here ({0}); try again when that has ended")]
    Busy(Path),
}

/// Waits until no collection is about to remove one of these tasks, which are
/// only asked for where there is one, or files. `plan`, which names them, must
/// be stored already.
pub(crate) async fn let_pass(
    store: &Arc<dyn ObjectStore>,
    plan: &Path,
    tasks: impl Fn() -> HashSet<TaskKey>,
    files: &HashSet<String>,
) -> Result<(), Pending> {
    let begun = Instant::now();
    loop {
        let Some(mark) = conflict(store, plan, &tasks, files).await? else {
            return Ok(());
        };
        if begun.elapsed() > PATIENCE {
            return Err(Pending::Busy(mark));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until no collection is at work that may have begun before `object`
/// was written.
///
/// # Errors
/// The store does not answer, or one does not end.
pub async fn quiet(store: &Arc<dyn ObjectStore>, object: &Path) -> Result<(), Pending> {
    let fail = |doing: String| move |source| Pending::Store { doing, source };
    let begun = Instant::now();
    loop {
        let marks = listed(store).await?;
        if marks.is_empty() {
            return Ok(());
        }
        let written = store.head(object).await;
        let written = written.map_err(fail(format!("looking at {object}")))?;
        let mut fresh = marks.into_iter().filter(|mark| {
            let age = (written.last_modified - mark.last_modified).to_std();
            age.map_or(true, |age| age <= STALE)
        });
        let Some(mark) = fresh.next() else {
            return Ok(());
        };
        if begun.elapsed() > PATIENCE {
            return Err(Pending::Busy(mark.location));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn listed(store: &Arc<dyn ObjectStore>) -> Result<Vec<ObjectMeta>, Pending> {
    list(store, MARKS).await.map_err(|error| match error {
        GcError::Store { doing, source } => Pending::Store { doing, source },
        GcError::Plan { .. }
        | GcError::Manifest { .. }
        | GcError::Dataset(_)
        | GcError::Weights(_) => unreachable!("marks were listed"),
    })
}

async fn conflict(
    store: &Arc<dyn ObjectStore>,
    plan: &Path,
    tasks: &impl Fn() -> HashSet<TaskKey>,
    files: &HashSet<String>,
) -> Result<Option<Path>, Pending> {
    let fail = |doing: String| move |source| Pending::Store { doing, source };
    let marks = listed(store).await?;
    if marks.is_empty() {
        return Ok(None);
    }
    let tasks = tasks();
    let plan = store.head(plan).await;
    let plan = plan.map_err(fail("looking at the plan".to_owned()))?;
    for mark in marks {
        let age = (plan.last_modified - mark.last_modified).to_std();
        if age.is_ok_and(|age| age > STALE) {
            continue;
        }
        let doing = || fail(format!("reading {}", mark.location));
        let body = match store.get(&mark.location).await {
            // Lifted meanwhile.
            Err(Error::NotFound { .. }) => continue,
            found => found.map_err(doing())?.bytes().await.map_err(doing())?,
        };
        if names_any(&body, &tasks, files) {
            return Ok(Some(mark.location));
        }
    }
    Ok(None)
}

/// A mark that makes no sense might name anything.
fn names_any(body: &Bytes, tasks: &HashSet<TaskKey>, files: &HashSet<String>) -> bool {
    serde_json::from_slice::<Body>(body).map_or(true, |body| {
        body.tasks.iter().any(|t| tasks.contains(t)) || body.files.iter().any(|f| files.contains(f))
    })
}
