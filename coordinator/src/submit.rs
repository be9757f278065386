//! From a sweep file to a submission: plans it, and stores file and plan so
//! that the report can be made from the store alone.

use std::sync::Arc;

use ablate_proto::layout;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::core::Submission;
use crate::gc::{self, Pending};
use crate::sweep::plan::Plan;
use crate::sweep::{self, SweepError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error("storing the sweep at {path} failed: {source}")]
    Store {
        path: String,
        source: object_store::Error,
    },
    #[error(transparent)]
    Pending(#[from] Pending),
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
}

pub(crate) struct Submitter {
    store: Arc<dyn ObjectStore>,
}

impl Submitter {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Nothing is leased from a file that does not validate.
    pub(crate) async fn prepare(&self, wanted: Wanted) -> Result<Submission, SubmitError> {
        let Wanted {
            file,
            text,
            profile,
            set,
            priority,
        } = wanted;
        let planned = tokio::task::spawn_blocking(move || {
            let options = sweep::Options {
                profile: (!profile.is_empty()).then_some(profile),
                set,
            };
            let source = sweep::Source {
                file: &file,
                text: &text,
            };
            let mut plan = sweep::plan(&source, &options)?;
            if let Some(priority) = priority {
                plan.priority = priority;
            }
            Ok::<_, SweepError>((plan, text))
        });
        let (plan, text) = match planned.await {
            Ok(planned) => planned?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        self.put(layout::sweep_file(&plan.sweep), text.into_bytes())
            .await?;
        let json = match serde_json::to_vec(&plan) {
            Ok(json) => json,
            Err(e) => unreachable!("a plan serialises: {e}"),
        };
        self.put(layout::plan(&plan.sweep), json).await?;
        let wanted = plan.tasks.iter().map(|planned| planned.task.key).collect();
        let path = Path::from(layout::plan(&plan.sweep));
        gc::let_pass(&self.store, &path, &wanted).await?;
        Ok(submission(plan))
    }

    async fn put(&self, path: String, bytes: Vec<u8>) -> Result<(), SubmitError> {
        let key = Path::from(path.as_str());
        match self.store.put(&key, bytes.into()).await {
            Ok(_) => Ok(()),
            Err(source) => Err(SubmitError::Store { path, source }),
        }
    }
}

fn submission(plan: Plan) -> Submission {
    Submission {
        sweep: plan.sweep,
        points: plan.points.len() as u64,
        stages_naive: plan.stages_naive,
        priority: plan.priority,
        tasks: plan
            .tasks
            .into_iter()
            .map(|t| Arc::new(t.task.into()))
            .collect(),
    }
}
