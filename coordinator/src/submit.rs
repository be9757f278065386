//! From a sweep file to a submission: plans it, and stores file and plan so
//! that the report can be made from the store alone.

use std::sync::Arc;

use ablate_proto::layout;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::core::Submission;
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
}

pub(crate) struct Submitter {
    store: Arc<dyn ObjectStore>,
}

impl Submitter {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Nothing is leased from a file that does not validate.
    pub(crate) async fn prepare(
        &self,
        file: String,
        text: String,
        profile: String,
        set: Vec<String>,
    ) -> Result<Submission, SubmitError> {
        let planned = tokio::task::spawn_blocking(move || {
            let options = sweep::Options {
                profile: (!profile.is_empty()).then_some(profile),
                set,
            };
            let source = sweep::Source {
                file: &file,
                text: &text,
            };
            sweep::plan(&source, &options).map(|plan| (plan, text))
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
        tasks: plan.tasks.into_iter().map(|t| t.task).collect(),
    }
}
