//! Calls to a coordinator. The only file of the command line that names
//! generated types.

use ablate_proto::access::Token;
use ablate_proto::failure::FailureClass;
use ablate_proto::id::SweepId;
use ablate_proto::message::LogPiece;
use ablate_proto::status::{ClusterStatus, Explanation, Submitted, SweepStatus, WorkerStatus};
use ablate_proto::wire::sweeps_client::SweepsClient;
use ablate_proto::wire::{self, InvalidMessage};
use ablate_worker::dial::Problem;
use futures::{Stream, StreamExt};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::exit::{CliError, Exit};

const MAX_MESSAGE: usize = 1 << 30;
/// Tasks that are asked for at once.
const PAGE: u64 = 20_000;

/// A coordinator that people talk to.
#[derive(Clone)]
pub(crate) struct Sweeps(SweepsClient<InterceptedService<Channel, Bearer>>);

/// Presents the token with every request.
#[derive(Clone)]
struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Sweeps {
    pub(crate) fn new(channel: Channel, token: Option<&Token>) -> Self {
        let bearer = Bearer(token.and_then(wire::bearer));
        let client = SweepsClient::with_interceptor(channel, bearer);
        Self(client.max_decoding_message_size(MAX_MESSAGE))
    }

    pub(crate) async fn submit(&mut self, file: SweepFile) -> Result<Submitted, CliError> {
        let request = wire::SubmitRequest {
            file: file.name,
            toml: file.text,
            profile: file.profile.unwrap_or_default(),
            set: file.set,
            files: file.files.into_iter().map(travelling).collect(),
            priority: file.priority,
        };
        let reply = self.0.submit(request).await.map_err(refused)?;
        reply.into_inner().try_into().map_err(invalid)
    }

    /// All sweeps by their totals, and the workers.
    pub(crate) async fn status(&mut self) -> Result<ClusterStatus, CliError> {
        self.ask_status(wire::StatusRequest::default()).await
    }

    /// A sweep with its most urgent tasks, so many at the most.
    pub(crate) async fn urgent(
        &mut self,
        sweep: &str,
        most: u64,
    ) -> Result<ClusterStatus, CliError> {
        let request = wire::StatusRequest {
            sweep: sweep.to_owned(),
            most,
            urgent: true,
            ..wire::StatusRequest::default()
        };
        self.ask_status(request).await
    }

    /// A sweep with all its tasks, which are asked for page by page.
    pub(crate) async fn status_of(&mut self, sweep: &str) -> Result<ClusterStatus, CliError> {
        let mut all: Option<ClusterStatus> = None;
        let mut from = 0;
        loop {
            let request = wire::StatusRequest {
                sweep: sweep.to_owned(),
                from,
                most: PAGE,
                urgent: false,
            };
            let mut page = self.ask_status(request).await?;
            let rows = page.sweeps.first().map_or(0, |sweep| sweep.rows.len());
            if let (Some(all), Some(page)) = (&mut all, page.sweeps.first_mut())
                && let Some(sweep) = all.sweeps.first_mut()
            {
                sweep.rows.append(&mut page.rows);
            }
            let whole = all.take().unwrap_or(page);
            if (rows as u64) < PAGE {
                return Ok(whole);
            }
            all = Some(whole);
            from += PAGE;
        }
    }

    async fn ask_status(
        &mut self,
        request: wire::StatusRequest,
    ) -> Result<ClusterStatus, CliError> {
        let reply = self.0.status(request).await.map_err(refused)?;
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

    /// The log of a task, piece by piece.
    pub(crate) async fn logs(
        &mut self,
        task: &str,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<LogPiece, CliError>> + Unpin + use<>, CliError> {
        let task = task.to_owned();
        let reply = self.0.logs(wire::LogsRequest { task, follow }).await;
        let pieces = reply.map_err(refused)?.into_inner();
        let piece = |piece: wire::LogPiece| LogPiece {
            from: piece.from,
            text: piece.text.into(),
        };
        Ok(pieces.map(move |p| p.map_err(refused).map(piece)))
    }

    /// `now`: what runs is killed instead of asked to stop.
    pub(crate) async fn cancel(&mut self, sweep: &str, now: bool) -> Result<u64, CliError> {
        let sweep = sweep.to_owned();
        let reply = self.0.cancel(wire::CancelRequest { sweep, now }).await;
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
    /// What lies beside it and travels along: path and content.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// Whether some stage runs a program of the author's.
    pub(crate) commands: bool,
}

fn travelling((path, content): (String, Vec<u8>)) -> wire::TravellingFile {
    let content = content.into();
    wire::TravellingFile { path, content }
}

/// The coordinator's own sentence, with the exit code that its code means.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(status: Status) -> CliError {
    if let Some(source) = std::error::Error::source(&status) {
        let Problem { why, is_final } = Problem::of(source);
        let exit = if is_final {
            Exit::Refused
        } else {
            Exit::Unreachable
        };
        let error = anyhow::anyhow!("the coordinator could not be asked: {why}");
        return CliError { exit, error };
    }
    let exit = match status.code() {
        Code::InvalidArgument | Code::NotFound | Code::OutOfRange | Code::ResourceExhausted => {
            Exit::Usage
        }
        Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::Unimplemented => Exit::Refused,
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
