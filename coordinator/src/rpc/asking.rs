//! Questions and changes that several requests have in common.

use ablate_proto::id::SweepId;
use ablate_proto::status::Explanation;
use ablate_proto::wire;
use tonic::{Response, Status};

use super::refusal::{sweep_id, unknown};
use super::{Answer, Service};
use crate::core::Event;
use crate::driver::Command;
use crate::session::stopped;

impl Service {
    /// The one task whose key begins so.
    pub(super) async fn one_task(&self, prefix: String) -> Result<Explanation, Status> {
        let prefix = prefix.to_lowercase();
        if prefix.len() < 4 {
            let why = "a task is named by at least four characters of its key";
            return Err(Status::invalid_argument(why));
        }
        let found = self
            .driver
            .ask(|reply| Command::Explain(prefix.clone(), reply))
            .await
            .map_err(stopped)?;
        match <[_; 1]>::try_from(found) {
            Ok([one]) => Ok(one),
            Err(none) if none.is_empty() => {
                let why = format!("there is no task whose key begins with `{prefix}` here");
                Err(Status::not_found(why))
            }
            Err(several) => {
                let tasks = several.iter().map(|e| format!("{} ({})", e.task, e.label));
                let tasks: Vec<_> = tasks.collect();
                let why = format!("several tasks begin so: {}", tasks.join(", "));
                Err(Status::invalid_argument(why))
            }
        }
    }

    /// Does something about a sweep, and answers with what became of it.
    pub(super) async fn change(
        &self,
        name: &str,
        event: impl FnOnce(SweepId) -> Event,
    ) -> Answer<wire::SweepStatus> {
        let sweep = sweep_id(name)?;
        let event = event(sweep.clone());
        let status = self
            .driver
            .ask(|reply| Command::Change(sweep, event, reply))
            .await
            .map_err(stopped)?;
        match status {
            Some(status) => Ok(Response::new(status.into())),
            None => {
                let cluster = self.driver.ask(Command::Cluster).await.map_err(stopped)?;
                Err(unknown(name, &cluster))
            }
        }
    }
}
