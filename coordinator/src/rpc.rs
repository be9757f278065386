//! The tonic service: turns wire messages into events, and back. The only
//! file of the coordinator that names generated types.

mod asking;
mod refusal;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ablate_proto::id::{AttemptId, WorkerId};
use ablate_proto::message::{FromWorker, LogPiece};
use ablate_proto::status::{ClusterStatus, Hold, TaskState};
use ablate_proto::wire::cluster_server::{Cluster, ClusterServer};
use ablate_proto::wire::sweeps_server::{Sweeps, SweepsServer};
use ablate_proto::wire::{self, CoordinatorMessage, WorkerMessage};
use futures::{Stream, StreamExt};
use object_store::ObjectStore;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use self::refusal::{sweep_id, unknown, unsubmitted};
use crate::core::{Event, Rows, Submission};
use crate::driver::{Command, Handle};
use crate::following::follow;
use crate::live::Live;
use crate::logs::Logs;
use crate::outbound::{self, Outbound};
use crate::results::Results;
use crate::session::{holds_too_much, receive, stopped};
use crate::submit::{Prepared, Submitter, Wanted};
use crate::sweep::PRIORITIES;

/// A sweep file with what travels beside it is the largest message there is.
const MAX_MESSAGE: usize = 25 << 20;
/// What workers say, and are told, is short.
const MAX_SESSION_MESSAGE: usize = 4 << 20;
/// The status of a sweep of a million tasks.
const MAX_ANSWER: usize = 1 << 30;
/// A worker that says nothing for so long after connecting is cut off.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer says only what the store has taken; who asks hears so if it takes
/// nothing for so long.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

type Answer<T> = Result<Response<T>, Status>;
type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Clone)]
pub(crate) struct Service {
    driver: Handle,
    submitter: Arc<Submitter>,
    sessions: Arc<AtomicU64>,
    live: Arc<Live>,
    store: Arc<dyn ObjectStore>,
}

impl Service {
    pub(crate) fn new(driver: Handle, submitter: Submitter, store: Arc<dyn ObjectStore>) -> Self {
        Self {
            driver,
            submitter: Arc::new(submitter),
            sessions: Arc::default(),
            live: Arc::default(),
            store,
        }
    }

    pub(crate) fn cluster(&self) -> ClusterServer<Self> {
        ClusterServer::new(self.clone())
            .max_decoding_message_size(MAX_SESSION_MESSAGE)
            .max_encoding_message_size(MAX_SESSION_MESSAGE)
    }

    pub(crate) fn sweeps(&self) -> SweepsServer<Self> {
        SweepsServer::new(self.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_ANSWER)
    }
}

#[tonic::async_trait]
impl Cluster for Service {
    type SessionStream = BoxStream<CoordinatorMessage>;

    async fn session(
        &self,
        request: Request<Streaming<WorkerMessage>>,
    ) -> Answer<Self::SessionStream> {
        let mut inbound = request.into_inner();
        let first = tokio::time::timeout(HELLO_TIMEOUT, inbound.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no hello came in time"))??
            .ok_or_else(|| Status::invalid_argument("the session ended before a hello"))?;
        let FromWorker::Hello(hello) = parse(first)? else {
            return Err(Status::invalid_argument("a session begins with a hello"));
        };
        let session = self.sessions.fetch_add(1, Ordering::Relaxed);
        let worker = hello.worker.clone();
        tracing::info!(%worker, session, slots = hello.slots, host = %hello.host, "worker connected");
        let most = outbound::most(hello.slots);
        if hello.holding.len() > most {
            return Err(holds_too_much(hello.holding.len(), most));
        }
        let (sender, outbound, end) = Outbound::new(most);
        let open = Command::Open {
            hello,
            session,
            sender,
        };
        self.driver.send(open).await.map_err(stopped)?;
        let (driver, live) = (self.driver.clone(), self.live.clone());
        let store = self.store.clone();
        tokio::spawn(async move {
            let said = inbound.map(|message| message.and_then(parse));
            let results = Results::new(store);
            let receive = receive((&driver, &live, &results), &worker, most, said);
            tokio::select! {
                received = receive => if let Err(error) = received {
                    tracing::info!(%worker, session, %error, "session broke");
                },
                () = end.cancelled() => {}
            }
            live.gone(&worker);
            let gone = Event::Gone { worker, session };
            let _ = driver.send(Command::Event(gone)).await;
        });
        let outbound = outbound.map(|m| Ok(m.into()));
        Ok(Response::new(Box::pin(outbound)))
    }
}

impl Service {
    /// What is done, but was in no sweep for a while, may be in the store no
    /// more: then it is to be done again.
    async fn forget_removed(&self, submission: &Submission) -> Result<(), Status> {
        let keys = submission.tasks.iter().map(|task| task.key).collect();
        let unnamed = self.driver.ask(|reply| Command::Unnamed(keys, reply));
        let unnamed = unnamed.await.map_err(stopped)?;
        let gone = self.submitter.without_result(unnamed).await;
        let gone = gone.map_err(unsubmitted)?;
        if gone.is_empty() {
            return Ok(());
        }
        tracing::info!(sweep = %submission.sweep, tasks = gone.len(), "removed results are computed again");
        let event = Command::Event(Event::ResultsGone(gone));
        self.driver.send(event).await.map_err(stopped)
    }
}

#[tonic::async_trait]
impl Sweeps for Service {
    async fn submit(&self, request: Request<wire::SubmitRequest>) -> Answer<wire::SubmitReply> {
        let request = request.into_inner();
        let files = request.files.into_iter().map(|f| (f.path, f.content));
        let Prepared {
            submission,
            missing,
        } = self
            .submitter
            .prepare(Wanted {
                file: request.file,
                text: request.toml,
                profile: request.profile,
                set: request.set,
                priority: request.priority,
                files: files.collect(),
            })
            .await
            .map_err(unsubmitted)?;
        self.forget_removed(&submission).await?;
        let mut submitted = self
            .driver
            .ask(|reply| Command::Submit(submission, reply))
            .await
            .map_err(stopped)?
            .ok_or_else(|| Status::internal("a sweep vanished while it was submitted"))?;
        submitted.missing = missing;
        tracing::info!(sweep = %submitted.sweep, tasks = submitted.tasks, "sweep submitted");
        Ok(Response::new(submitted.into()))
    }

    async fn status(&self, request: Request<wire::StatusRequest>) -> Answer<wire::StatusReply> {
        let wire::StatusRequest {
            sweep: name,
            from,
            most,
            urgent,
        } = request.into_inner();
        let [from, most] = [from, most].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let rows = match (most, urgent) {
            (0, _) => Rows::All,
            (most, true) => Rows::Urgent(most),
            (most, false) => Rows::Page { from, most },
        };
        let asked = async {
            let cluster = self.driver.ask(Command::Cluster).await.map_err(stopped)?;
            if name.is_empty() {
                return Ok((cluster, None));
            }
            let sweep = sweep_id(&name)?;
            let status = self
                .driver
                .ask(|reply| Command::Sweep(sweep, rows, reply))
                .await
                .map_err(stopped)?
                .ok_or_else(|| unknown(&name, &cluster))?;
            Ok((cluster, Some(status)))
        };
        let asked = tokio::time::timeout(STORE_PATIENCE, asked).await;
        let (cluster, status) =
            asked.unwrap_or_else(|_| Err(refusal::store_away(STORE_PATIENCE)))?;
        let Some(mut status) = status else {
            return Ok(Response::new(cluster.into()));
        };
        self.live.fill(&mut status);
        let cluster = ClusterStatus {
            sweeps: vec![status],
            workers: cluster.workers,
            refused: cluster.refused,
        };
        Ok(Response::new(cluster.into()))
    }

    type WatchStream = BoxStream<wire::SweepStatus>;

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Answer<Self::WatchStream> {
        let name = request.into_inner().sweep;
        let sweep = sweep_id(&name)?;
        let ask = |reply| Command::Sweep(sweep.clone(), Rows::None, reply);
        if self.driver.ask(ask).await.map_err(stopped)?.is_none() {
            let cluster = self.driver.ask(Command::Cluster).await.map_err(stopped)?;
            return Err(unknown(&name, &cluster));
        }
        let snapshots = follow(self.driver.clone(), self.live.clone(), sweep);
        let snapshots = ReceiverStream::new(snapshots);
        let snapshots = snapshots.map(|status| status.map(Into::into).map_err(stopped));
        Ok(Response::new(Box::pin(snapshots)))
    }

    async fn cancel(&self, request: Request<wire::CancelRequest>) -> Answer<wire::CancelReply> {
        let wire::CancelRequest { sweep: name, now } = request.into_inner();
        let sweep = sweep_id(&name)?;
        let cancelled = self
            .driver
            .ask(|reply| Command::Cancel(sweep, now, reply))
            .await
            .map_err(stopped)?;
        match cancelled {
            Some(cancelled) => Ok(Response::new(wire::CancelReply { cancelled })),
            None => {
                let cluster = self.driver.ask(Command::Cluster).await.map_err(stopped)?;
                Err(unknown(&name, &cluster))
            }
        }
    }

    async fn pause(&self, request: Request<wire::SweepRequest>) -> Answer<wire::SweepStatus> {
        let hold = Hold {
            person: true,
            why: "paused by a person; `ablate resume` lets it go on".to_owned(),
        };
        let name = request.into_inner().sweep;
        self.change(&name, |sweep| Event::Hold(sweep, hold)).await
    }

    async fn resume(&self, request: Request<wire::SweepRequest>) -> Answer<wire::SweepStatus> {
        self.change(&request.into_inner().sweep, Event::Release)
            .await
    }

    async fn prioritise(
        &self,
        request: Request<wire::PrioritiseRequest>,
    ) -> Answer<wire::SweepStatus> {
        let wire::PrioritiseRequest { sweep, priority } = request.into_inner();
        if !PRIORITIES.contains(&priority) {
            let (least, most) = (PRIORITIES.start(), PRIORITIES.end());
            let why = format!("priority {priority} is not between {least} and {most}");
            return Err(Status::invalid_argument(why));
        }
        self.change(&sweep, |sweep| Event::Prioritise(sweep, priority))
            .await
    }

    async fn retry(&self, request: Request<wire::RetryRequest>) -> Answer<wire::SweepStatus> {
        let request = request.into_inner();
        let class = wire::failure_class(request.class());
        self.change(&request.sweep, |sweep| Event::Retry(sweep, class))
            .await
    }

    async fn drain(&self, request: Request<wire::DrainRequest>) -> Answer<wire::WorkerStatus> {
        let wire::DrainRequest { worker: name, undo } = request.into_inner();
        let worker: WorkerId = name
            .parse()
            .map_err(|e: ablate_proto::id::InvalidId| Status::invalid_argument(e.to_string()))?;
        let status = self
            .driver
            .ask(|reply| Command::Drain(worker, !undo, reply))
            .await
            .map_err(stopped)?;
        let unknown = || Status::not_found(format!("there is no worker `{name}` here"));
        Ok(Response::new(status.ok_or_else(unknown)?.into()))
    }

    type LogsStream = BoxStream<wire::LogPiece>;

    async fn logs(&self, request: Request<wire::LogsRequest>) -> Answer<Self::LogsStream> {
        let wire::LogsRequest { task, follow } = request.into_inner();
        let task = self.one_task(task).await?;
        let logs = Logs {
            driver: self.driver.clone(),
            live: self.live.clone(),
            store: self.store.clone(),
        };
        let attempt = AttemptId {
            task: task.task,
            number: task.attempt,
        };
        let piece = |piece: LogPiece| wire::LogPiece {
            from: piece.from,
            text: piece.text.into(),
        };
        if task.state != TaskState::Running {
            let stored = logs.stored(attempt).await;
            let stored = stored.map_err(|e| Status::unavailable(e.to_string()))?;
            let none = || {
                let state = format!("{:?}", task.state).to_lowercase();
                Status::not_found(format!(
                    "there is no log of `{}` ({state}): it has not run, or wrote nothing",
                    task.label
                ))
            };
            let text = stored.ok_or_else(none)?;
            let whole = wire::LogPiece { from: 0, text };
            let whole = futures::stream::iter([Ok(whole)]);
            return Ok(Response::new(Box::pin(whole)));
        }
        let pieces = logs.live(attempt.task, follow).await;
        let pieces = pieces.ok_or_else(|| Status::unavailable("it has just ended; ask again"))?;
        let pieces = ReceiverStream::new(pieces).map(move |p| Ok(piece(p)));
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn explain(&self, request: Request<wire::ExplainRequest>) -> Answer<wire::Explanation> {
        let one = self.one_task(request.into_inner().task).await?;
        Ok(Response::new(one.into()))
    }
}

fn parse(message: WorkerMessage) -> Result<FromWorker, Status> {
    FromWorker::try_from(message).map_err(|e| Status::invalid_argument(e.to_string()))
}
