//! From a sweep file to a submission: plans it, and stores file and plan so
//! that the report can be made from the store alone.

use std::sync::Arc;

use ablate_proto::id::TaskKey;
use ablate_proto::layout;
use ablate_proto::stage::{MAX_FILE_BYTES, MAX_FILES_BYTES, is_inside};
use ablate_proto::weights::how_to_get;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::core::Submission;
use crate::datasets;
use crate::gc::{self, Pending};
use crate::sweep::{self, CompactPlan, SweepError};
use crate::{upload, weights};

const LOOKS_IN_FLIGHT: usize = 32;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error("the files that travel with the sweep: {0}")]
    Files(String),
    #[error("storing or looking for {path} failed: {source}")]
    Store {
        path: String,
        source: object_store::Error,
    },
    #[error(transparent)]
    Pending(#[from] Pending),
    #[error(transparent)]
    Dataset(#[from] datasets::Error),
    #[error(transparent)]
    Weights(#[from] weights::Error),
}

/// A sweep file, and what the command line adds to it.
pub(crate) struct Wanted {
    pub(crate) file: String,
    pub(crate) text: String,
    /// Empty: none.
    pub(crate) profile: String,
    pub(crate) set: Vec<String>,
    /// Instead of the file's own.
    pub(crate) priority: Option<i64>,
    /// What travels with the sweep: path and content.
    pub(crate) files: Vec<(String, Bytes)>,
}

/// A sweep that was planned and stored.
pub(crate) struct Prepared {
    pub(crate) submission: Submission,
    /// Sentences about weights that it names and the store does not have.
    pub(crate) missing: Vec<String>,
}

pub(crate) struct Submitter {
    store: Arc<dyn ObjectStore>,
    /// The store's URL, for what people are told.
    url: String,
}

impl Submitter {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, url: String) -> Self {
        Self { store, url }
    }

    /// Nothing is leased from a file that does not validate.
    pub(crate) async fn prepare(&self, wanted: Wanted) -> Result<Prepared, SubmitError> {
        let Wanted {
            file,
            text,
            profile,
            set,
            priority,
            files,
        } = wanted;
        check_files(&files)?;
        let named = |(path, content): &(String, Bytes)| {
            let digest = blake3::hash(content).to_hex().to_string();
            (path.clone(), digest)
        };
        let digests: sweep::Files = files.iter().map(named).collect();
        let contents = files.into_iter();
        let contents = contents.map(|(path, content)| (digests[&path].clone(), content));
        let contents: Vec<(String, Bytes)> = contents.collect();
        let options = sweep::Options {
            profile: (!profile.is_empty()).then_some(profile),
            set,
            files: digests,
            datasets: sweep::Datasets::new(),
            weights: sweep::Weights::new(),
        };
        let sheet = Arc::new((file, text));
        let mut plan = planned(&sheet, options.clone()).await?;
        // Few take any; they are planned again, with what those are.
        let (names, networks) = (sweep::named(&plan), sweep::named_weights(&plan));
        let mut missing = Vec::new();
        if !names.is_empty() || !networks.is_empty() {
            let weights = weights::find_all(&self.store, &networks).await?;
            let absent = networks.iter().filter(|name| !weights.contains_key(*name));
            let how = |name: &String| format!("{} --store {}", how_to_get(name), self.url);
            missing.extend(absent.map(how));
            let options = sweep::Options {
                datasets: datasets::find_all(&self.store, &names).await?,
                weights,
                ..options
            };
            plan = planned(&sheet, options).await?;
        }
        if let Some(priority) = priority {
            plan.set_priority(priority);
        }
        let text = sheet.1.clone();
        self.put(layout::sweep_file(plan.sweep()), text.into())
            .await?;
        let plan = Arc::new(plan);
        let path = layout::plan(plan.sweep());
        let key = Path::from(path.as_str());
        let stored = upload::rows(&self.store, &key, {
            let plan = plan.clone();
            move |out| plan.write_json(out)
        });
        stored
            .await
            .map_err(|source| SubmitError::Store { path, source })?;
        let keys = || plan.tasks().iter().map(|task| task.key).collect();
        let named = contents.iter().map(|(digest, _)| digest.clone()).collect();
        gc::let_pass(&self.store, &key, keys, &named).await?;
        // Only now is no collection about to remove them.
        for (digest, content) in contents {
            self.put(layout::travelling_file(&digest), content).await?;
        }
        Ok(Prepared {
            submission: submission(&plan),
            missing,
        })
    }

    /// Those of the tasks, in their order, that have no result in the store.
    pub(crate) async fn without_result(
        &self,
        tasks: Vec<TaskKey>,
    ) -> Result<Vec<TaskKey>, SubmitError> {
        let look = |task: TaskKey| async move {
            let path = layout::manifest(&task);
            match self.store.head(&Path::from(path.as_str())).await {
                Ok(_) => Ok(None),
                Err(object_store::Error::NotFound { .. }) => Ok(Some(task)),
                Err(source) => Err(SubmitError::Store { path, source }),
            }
        };
        let gone = stream::iter(tasks.into_iter().map(look)).buffered(LOOKS_IN_FLIGHT);
        gone.try_filter_map(|gone| std::future::ready(Ok(gone)))
            .try_collect()
            .await
    }

    async fn put(&self, path: String, bytes: Bytes) -> Result<(), SubmitError> {
        let key = Path::from(path.as_str());
        match self.store.put(&key, bytes.into()).await {
            Ok(_) => Ok(()),
            Err(source) => Err(SubmitError::Store { path, source }),
        }
    }
}

/// Plans a file, given as its name and text, beside the runtime.
async fn planned(
    sheet: &Arc<(String, String)>,
    options: sweep::Options,
) -> Result<CompactPlan, SweepError> {
    let sheet = sheet.clone();
    let planned = crate::blocking::run(move || {
        let (file, text) = &*sheet;
        sweep::compact_plan(&sweep::Source { file, text }, &options)
    });
    match planned.await {
        Ok(planned) => planned,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// What travels is small, and lies beside its sweep file.
fn check_files(files: &[(String, Bytes)]) -> Result<(), SubmitError> {
    let refuse = |why| Err(SubmitError::Files(why));
    if let Some((path, _)) = files.iter().find(|(path, _)| !is_inside(path)) {
        let path: String = path.chars().take(200).collect();
        return refuse(format!("{path:?} does not lie beside the sweep file"));
    }
    let large = |(_, content): &&(String, Bytes)| content.len() > MAX_FILE_BYTES;
    if let Some((path, content)) = files.iter().find(large) {
        let bytes = content.len();
        return refuse(format!(
            "{path} has {bytes} bytes, and {MAX_FILE_BYTES} are possible"
        ));
    }
    let bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
    if bytes > MAX_FILES_BYTES {
        return refuse(format!(
            "they have {bytes} bytes, and {MAX_FILES_BYTES} are possible"
        ));
    }
    Ok(())
}

fn submission(plan: &CompactPlan) -> Submission {
    Submission {
        sweep: plan.sweep().clone(),
        points: plan.points() as u64,
        stages_naive: plan.stages_naive(),
        priority: plan.priority(),
        tasks: plan.tasks().to_vec(),
    }
}
