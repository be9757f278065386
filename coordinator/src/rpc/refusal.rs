//! What is wrong with a request, in sentences.

use ablate_proto::id::SweepId;
use ablate_proto::status::ClusterStatus;
use tonic::Status;

use crate::submit::SubmitError;
use crate::{datasets, weights};

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn unsubmitted(error: SubmitError) -> Status {
    let text = error.to_string();
    match error {
        SubmitError::Sweep(_) | SubmitError::Files(_) => Status::invalid_argument(text),
        SubmitError::Store { .. }
        | SubmitError::Dataset(datasets::Error::Store { .. })
        | SubmitError::Weights(weights::Error::Store { .. }) => Status::unavailable(text),
        SubmitError::Pending(_) | SubmitError::Dataset(_) | SubmitError::Weights(_) => {
            Status::failed_precondition(text)
        }
    }
}

pub(super) fn sweep_id(name: &str) -> Result<SweepId, Status> {
    name.parse()
        .map_err(|e: ablate_proto::id::InvalidId| Status::invalid_argument(e.to_string()))
}

pub(super) fn unknown(name: &str, cluster: &ClusterStatus) -> Status {
    let known = cluster.sweeps.iter().map(|s| s.sweep.as_str());
    let hint = match ablate_proto::stage::nearest(name, known) {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None => String::new(),
    };
    Status::not_found(format!("there is no sweep `{name}` here{hint}"))
}

/// What is known is not yet in the store, and might be lost.
pub(super) fn store_away(patience: std::time::Duration) -> Status {
    Status::unavailable(format!(
        "the coordinator runs, but its store has taken nothing for {} s, and it tells only what is \
         stored: what runs goes on, and it answers again when the store does; its log says what is \
         wrong with it",
        patience.as_secs()
    ))
}
