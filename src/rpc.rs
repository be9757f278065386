//! Calls to a coordinator. The only file of the command line that names
//! generated types.

use ablate_proto::failure::FailureClass;
use ablate_proto::id::SweepId;
use ablate_proto::status::{ClusterStatus, Explanation, Submitted, SweepStatus, WorkerStatus};
use ablate_proto::wire::sweeps_client::SweepsClient;
use ablate_proto::wire::{self, InvalidMessage};
use futures::{Stream, StreamExt};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::exit::{CliError, Exit};

const MAX_MESSAGE: usize = 1 << 30;

/// A coordinator that people talk to.
#[derive(Clone)]
pub(crate) struct Sweeps(SweepsClient<Channel>);

impl Sweeps {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(SweepsClient::new(channel).max_decoding_message_size(MAX_MESSAGE))
    }

    pub(crate) async fn submit(&mut self, file: SweepFile) -> Result<Submitted, CliError> {
        let request = wire::SubmitRequest {
            file: file.name,
            toml: file.text,
            profile: file.profile.unwrap_or_default(),
            set: file.set,
            priority: file.priority,
        };
        let reply = self.0.submit(request).await.map_err(refused)?;
        reply.into_inner().try_into().map_err(invalid)
    }

    pub(crate) async fn status(&mut self, sweep: Option<&str>) -> Result<ClusterStatus, CliError> {
        let sweep = sweep.unwrap_or_default().to_owned();
        let reply = self.0.status(wire::StatusRequest { sweep }).await;
        let reply = reply.map_err(refused)?;
        reply.into_inner().try_into().map_err(invalid)
    }

    /// Snapshots of a sweep until it has ended.
    pub(crate) async fn watch(
        &mut self,
        sweep: &SweepId,
    ) -> Result<impl Stream<Item = Result<SweepStatus, CliError>> + Unpin + use<>, CliError> {
        let sweep = sweep.to_string();
        let reply = self.0.watch(wire::WatchRequest { sweep }).await;
        let snapshots = reply.map_err(refused)?.into_inner();
        Ok(snapshots.map(|s| s.map_err(refused)?.try_into().map_err(invalid)))
    }

    pub(crate) async fn pause(&mut self, sweep: &str) -> Result<SweepStatus, CliError> {
        let sweep = sweep.to_owned();
        let reply = self.0.pause(wire::SweepRequest { sweep }).await;
        reply
            .map_err(refused)?
            .into_inner()
            .try_into()
            .map_err(invalid)
    }

    pub(crate) async fn resume(&mut self, sweep: &str) -> Result<SweepStatus, CliError> {
        let sweep = sweep.to_owned();
        let reply = self.0.resume(wire::SweepRequest { sweep }).await;
        reply
            .map_err(refused)?
            .into_inner()
            .try_into()
            .map_err(invalid)
    }

    pub(crate) async fn prioritise(
        &mut self,
        sweep: &str,
        priority: i64,
    ) -> Result<SweepStatus, CliError> {
        let sweep = sweep.to_owned();
        let request = wire::PrioritiseRequest { sweep, priority };
        let reply = self.0.prioritise(request).await;
        reply
            .map_err(refused)?
            .into_inner()
            .try_into()
            .map_err(invalid)
    }

    pub(crate) async fn retry(
        &mut self,
        sweep: &str,
        class: Option<FailureClass>,
    ) -> Result<SweepStatus, CliError> {
        let class = class.map(wire::FailureClass::from).unwrap_or_default();
        let request = wire::RetryRequest {
            sweep: sweep.to_owned(),
            class: class.into(),
        };
        let reply = self.0.retry(request).await;
        reply
            .map_err(refused)?
            .into_inner()
            .try_into()
            .map_err(invalid)
    }

    pub(crate) async fn drain(
        &mut self,
        worker: &str,
        undo: bool,
    ) -> Result<WorkerStatus, CliError> {
        let worker = worker.to_owned();
        let reply = self.0.drain(wire::DrainRequest { worker, undo }).await;
        reply
            .map_err(refused)?
            .into_inner()
            .try_into()
            .map_err(invalid)
    }

    pub(crate) async fn explain(&mut self, task: &str) -> Result<Explanation, CliError> {
        let task = task.to_owned();
        let reply = self.0.explain(wire::ExplainRequest { task }).await;
        reply
            .map_err(refused)?
            .into_inner()
            .try_into()
            .map_err(invalid)
    }

    pub(crate) async fn cancel(&mut self, sweep: &str) -> Result<u64, CliError> {
        let sweep = sweep.to_owned();
        let reply = self.0.cancel(wire::CancelRequest { sweep }).await;
        Ok(reply.map_err(refused)?.into_inner().cancelled)
    }
}

/// A sweep file as it was read, with what the command line adds.
#[derive(Debug, Clone)]
pub(crate) struct SweepFile {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) profile: Option<String>,
    pub(crate) set: Vec<String>,
    /// Instead of the file's own.
    pub(crate) priority: Option<i64>,
}

/// The coordinator's own sentence, with the exit code that its code means.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(status: Status) -> CliError {
    let exit = match status.code() {
        Code::InvalidArgument | Code::NotFound | Code::OutOfRange | Code::ResourceExhausted => {
            Exit::Usage
        }
        Code::PermissionDenied | Code::Unauthenticated | Code::FailedPrecondition => Exit::Refused,
        _ => Exit::Unreachable,
    };
    let error = match status.message() {
        "" => anyhow::anyhow!("the coordinator answered {:?}", status.code()),
        message => anyhow::anyhow!("{message}"),
    };
    CliError { exit, error }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn invalid(error: InvalidMessage) -> CliError {
    CliError {
        exit: Exit::Refused,
        error: anyhow::anyhow!(
            "the coordinator's answer makes no sense ({error}): is it of another release?"
        ),
    }
}
