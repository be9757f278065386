//! Removes what nobody needs any more: tasks that no sweep's plan names, and
//! what ended tasks left of attempts that did not count.
//!
//! It runs beside a coordinator. Objects younger than the grace stay. A
//! submission that wants a task which is about to go is safe by the order of
//! things: a submission stores its plan, then looks for marks; a collection
//! stores its mark, then looks for plans. At least one of them sees the
//! other: the collection leaves the task, or the submission waits until it is
//! gone. And before a sweep reuses a result that no sweep named for a while,
//! the coordinator looks whether it is still there.

mod data;
mod mark;
mod reach;
mod weights;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ablate_proto::id::TaskKey;
use ablate_proto::layout;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore};
use serde::Serialize;

use mark::Mark;
pub(crate) use mark::let_pass;
pub use mark::{Pending, quiet};

/// Tasks removed between two looks at the clock.
const BATCH: usize = 64;
/// A mark is renewed, and plans are read again, so often.
const RENEW: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum GcError {
    #[error("{doing} failed: {source}; what was not removed yet stays")]
    Store { doing: String, source: Error },
    #[error(
        "the plan of sweep {sweep} cannot be read ({why}), so nobody knows what it needs; \
         nothing was removed. Submit the sweep again, or start the release that wrote it"
    )]
    Plan { sweep: String, why: String },
    #[error(
        "the manifest of task {} cannot be read ({why}); nothing was removed",
        task.short()
    )]
    Manifest { task: TaskKey, why: String },
    #[error("{0}; nothing of the data sets was removed")]
    Dataset(#[from] crate::datasets::Error),
    #[error("{0}; nothing of the weights was removed")]
    Weights(#[from] crate::weights::Error),
}

impl GcError {
    fn store(doing: impl Into<String>) -> impl FnOnce(Error) -> Self {
        let doing = doing.into();
        move |source| Self::Store { doing, source }
    }
}

/// Why an object goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No plan names its task.
    Unreferenced,
    /// Of an attempt that is not the one whose result counts.
    OtherAttempt,
    /// A checkpoint of a task that has its result.
    Checkpoint,
    /// A file that travelled with sweeps, which no plan names.
    File,
    /// Left by the start of a coordinator that was killed.
    Probe,
    /// A sign of life of an earlier coordinator.
    Coordinator,
    /// Of an imported data set that no name and no plan names.
    Dataset,
    /// Imported weights that no name and no plan names.
    Weights,
}

/// Objects and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Amount {
    pub objects: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Collected {
    /// Plans that were read, and the tasks that they name.
    pub sweeps: u64,
    pub kept_tasks: u64,
    pub removed: BTreeMap<Why, Amount>,
}

impl Collected {
    pub fn total(&self) -> Amount {
        self.removed.values().fold(Amount::default(), |sum, one| {
            let objects = sum.objects + one.objects;
            let bytes = sum.bytes + one.bytes;
            Amount { objects, bytes }
        })
    }

    fn add(&mut self, why: Why, objects: &[ObjectMeta]) {
        let amount = self.removed.entry(why).or_default();
        amount.objects += objects.len() as u64;
        amount.bytes += objects.iter().map(|object| object.size).sum::<u64>();
    }
}

/// Objects that can go, together, because of one task or none.
#[derive(Debug)]
struct Garbage {
    task: Option<TaskKey>,
    /// Digest of a file that travels with sweeps.
    file: Option<String>,
    why: Why,
    /// In the order in which they go.
    objects: Vec<ObjectMeta>,
}

/// Removes what is older than `grace` and that nobody needs. With `dry_run`
/// nothing is written or removed; the answer says what would be.
///
/// # Errors
/// The store does not answer, or a plan or manifest that matters cannot be
/// read.
pub async fn collect(
    store: Arc<dyn ObjectStore>,
    grace: Duration,
    dry_run: bool,
) -> Result<Collected, GcError> {
    if dry_run {
        let live = reach::live(&store).await?;
        let now = SystemTime::now();
        let mut garbage = reach::garbage(&store, &live, now, grace).await?;
        garbage.extend(data::garbage(&store, &live, now, grace).await?);
        garbage.extend(weights::garbage(&store, &live, now, grace).await?);
        let mut collected = begin(&live);
        for one in garbage {
            collected.add(one.why, &one.objects);
        }
        return Ok(collected);
    }
    let mut mark = Mark::set(store.clone()).await?;
    let removed = remove(&store, &mut mark, grace).await;
    // Left behind it would only delay submissions for a while.
    mark.lift().await;
    removed
}

fn begin(live: &reach::Live) -> Collected {
    Collected {
        sweeps: live.sweeps,
        kept_tasks: live.tasks.len() as u64,
        removed: BTreeMap::new(),
    }
}

async fn remove(
    store: &Arc<dyn ObjectStore>,
    mark: &mut Mark,
    grace: Duration,
) -> Result<Collected, GcError> {
    let live = reach::live(store).await?;
    let garbage = reach::garbage(store, &live, mark.now(), grace).await?;
    let going: HashSet<TaskKey> = garbage
        .iter()
        .filter(|one| one.why == Why::Unreferenced)
        .filter_map(|one| one.task)
        .collect();
    let files: HashSet<String> = garbage.iter().filter_map(|one| one.file.clone()).collect();
    mark.name(&going, &files).await?;
    // Only now: who submits from here on sees the mark.
    let mut live = reach::live(store).await?;
    let mut collected = begin(&live);
    // Who names a data set or weights from here on waits until the mark is gone.
    let datasets = data::garbage(store, &live, mark.now(), grace).await?;
    let weights = weights::garbage(store, &live, mark.now(), grace).await?;
    let imported = datasets.into_iter().chain(weights);
    let mut batches = garbage.into_iter().chain(imported).peekable();
    while batches.peek().is_some() {
        if mark.age() > RENEW {
            mark.name(&going, &files).await?;
            live = reach::live(store).await?;
        }
        for one in batches.by_ref().take(BATCH) {
            let wanted = one.task.is_some_and(|task| live.tasks.contains(&task));
            let named = one
                .file
                .as_ref()
                .is_some_and(|file| live.files.contains(file));
            if one.why == Why::Unreferenced && wanted || named {
                continue;
            }
            delete(store, &one.objects).await?;
            collected.add(one.why, &one.objects);
        }
    }
    Ok(collected)
}

/// The first alone and first: a manifest whose files are gone would be a lie.
async fn delete(store: &Arc<dyn ObjectStore>, objects: &[ObjectMeta]) -> Result<(), GcError> {
    let (first, rest) = objects.split_at(objects.len().min(1));
    for some in [first, rest] {
        let paths: Vec<Path> = some.iter().map(|object| object.location.clone()).collect();
        let paths = stream::iter(paths.into_iter().map(Ok)).boxed();
        let mut deleted = store.delete_stream(paths);
        while let Some(answer) = deleted.next().await {
            match answer {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(source) => return Err(GcError::store("deleting")(source)),
            }
        }
    }
    Ok(())
}

/// Whether an object is older than the grace that is given.
fn older(now: SystemTime, grace: Duration) -> impl Fn(&ObjectMeta) -> bool + Copy {
    move |object| {
        let age = now.duration_since(object.last_modified.into());
        age.is_ok_and(|age| age >= grace)
    }
}

async fn list(store: &Arc<dyn ObjectStore>, folder: &str) -> Result<Vec<ObjectMeta>, GcError> {
    let listed = store.list(Some(&Path::from(folder))).try_collect();
    listed
        .await
        .map_err(GcError::store(format!("listing {folder}/")))
}

/// Where marks lie.
const MARKS: &str = layout::GC;

#[cfg(test)]
mod tests;
