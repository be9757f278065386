//! The tonic service: turns wire messages into events, and back. The only
//! file of the coordinator that names generated types.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ablate_proto::id::{SweepId, WorkerId};
use ablate_proto::message::{FromWorker, ToWorker};
use ablate_proto::status::{ClusterStatus, Hold};
use ablate_proto::wire::cluster_server::{Cluster, ClusterServer};
use ablate_proto::wire::sweeps_server::{Sweeps, SweepsServer};
use ablate_proto::wire::{self, CoordinatorMessage, WorkerMessage};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use crate::core::{Event, Rows};
use crate::driver::{Command, Handle, Stopped};
use crate::submit::{SubmitError, Submitter, Wanted};
use crate::sweep::PRIORITIES;

/// A sweep file is the largest message there is.
const MAX_MESSAGE: usize = 17 << 20;
/// A worker that says nothing for so long after connecting is cut off.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Snapshots of a watched sweep come no faster than this.
const WATCH_PAUSE: Duration = Duration::from_millis(100);

type Answer<T> = Result<Response<T>, Status>;
type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Clone)]
pub(crate) struct Service {
    driver: Handle,
    submitter: Arc<Submitter>,
    sessions: Arc<AtomicU64>,
}

impl Service {
    pub(crate) fn new(driver: Handle, submitter: Submitter) -> Self {
        Self {
            driver,
            submitter: Arc::new(submitter),
            sessions: Arc::default(),
        }
    }

    pub(crate) fn cluster(&self) -> ClusterServer<Self> {
        ClusterServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    pub(crate) fn sweeps(&self) -> SweepsServer<Self> {
        SweepsServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE)
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
        let (sender, outbound) = mpsc::unbounded_channel::<ToWorker>();
        let open = Command::Open {
            hello,
            session,
            sender,
        };
        self.driver.send(open).await.map_err(stopped)?;
        let driver = self.driver.clone();
        tokio::spawn(async move {
            if let Err(error) = receive(&driver, &worker, inbound).await {
                tracing::info!(%worker, session, %error, "session broke");
            }
            let gone = Event::Gone { worker, session };
            let _ = driver.send(Command::Event(gone)).await;
        });
        let outbound = UnboundedReceiverStream::new(outbound).map(|m| Ok(m.into()));
        Ok(Response::new(Box::pin(outbound)))
    }
}

/// Forwards a worker's messages until its stream ends.
async fn receive(
    driver: &Handle,
    worker: &WorkerId,
    mut inbound: Streaming<WorkerMessage>,
) -> Result<(), Status> {
    while let Some(message) = inbound.message().await? {
        let worker = worker.clone();
        let event = match parse(message)? {
            FromWorker::Hello(_) => {
                return Err(Status::invalid_argument("a session has one hello"));
            }
            FromWorker::Heartbeat { holding, draining } => Event::Heartbeat {
                worker,
                holding,
                draining,
            },
            FromWorker::Progress(attempt, progress) => Event::Progress {
                worker,
                attempt,
                progress,
            },
            FromWorker::Commit(attempt, commit) => Event::Commit {
                worker,
                attempt,
                commit,
            },
            FromWorker::Fail(attempt, failure) => Event::Fail {
                worker,
                attempt,
                failure,
            },
        };
        driver.send(Command::Event(event)).await.map_err(stopped)?;
    }
    Ok(())
}

#[tonic::async_trait]
impl Sweeps for Service {
    async fn submit(&self, request: Request<wire::SubmitRequest>) -> Answer<wire::SubmitReply> {
        let request = request.into_inner();
        let submission = self
            .submitter
            .prepare(Wanted {
                file: request.file,
                text: request.toml,
                profile: request.profile,
                set: request.set,
                priority: request.priority,
            })
            .await
            .map_err(|e| match e {
                SubmitError::Sweep(e) => Status::invalid_argument(e.to_string()),
                SubmitError::Store { .. } => Status::unavailable(e.to_string()),
                SubmitError::Pending(_) => Status::failed_precondition(e.to_string()),
            })?;
        let submitted = self
            .driver
            .ask(|reply| Command::Submit(submission, reply))
            .await
            .map_err(stopped)?
            .ok_or_else(|| Status::internal("a sweep vanished while it was submitted"))?;
        tracing::info!(sweep = %submitted.sweep, tasks = submitted.tasks, "sweep submitted");
        Ok(Response::new(submitted.into()))
    }

    async fn status(&self, request: Request<wire::StatusRequest>) -> Answer<wire::StatusReply> {
        let cluster = self.driver.ask(Command::Cluster).await.map_err(stopped)?;
        let name = request.into_inner().sweep;
        if name.is_empty() {
            return Ok(Response::new(cluster.into()));
        }
        let sweep = sweep_id(&name)?;
        let status = self
            .driver
            .ask(|reply| Command::Sweep(sweep, Rows::All, reply))
            .await
            .map_err(stopped)?
            .ok_or_else(|| unknown(&name, &cluster))?;
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
        let mut driver = self.driver.clone();
        let follow = move |driver: &Handle, seen: usize| {
            let (driver, sweep) = (driver.clone(), sweep.clone());
            async move {
                let command = |reply| Command::Follow(sweep, seen, reply);
                driver.ask(command).await.map_err(stopped)
            }
        };
        if follow(&driver, 0).await?.is_none() {
            let cluster = driver.ask(Command::Cluster).await.map_err(stopped)?;
            return Err(unknown(&name, &cluster));
        }
        // One snapshot waits at most: a slow reader skips, and blocks nobody.
        let (sender, snapshots) = mpsc::channel(1);
        tokio::spawn(async move {
            // Whoever begins to follow is told of everything that has ended.
            let mut seen = 0;
            loop {
                driver.changes.mark_unchanged();
                let status = match follow(&driver, seen).await {
                    Ok(Some((status, ended))) => {
                        seen = ended;
                        Ok(status)
                    }
                    Ok(None) => break,
                    Err(e) => Err(e),
                };
                let last = status.as_ref().map_or(true, |s| s.state.is_terminal());
                if sender.send(status.map(Into::into)).await.is_err() || last {
                    break;
                }
                tokio::time::sleep(WATCH_PAUSE).await;
                let changed = driver.changes.changed();
                // Progress within a task shows even when nothing else moves.
                let _ = tokio::time::timeout(10 * WATCH_PAUSE, changed).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(snapshots))))
    }

    async fn cancel(&self, request: Request<wire::CancelRequest>) -> Answer<wire::CancelReply> {
        let name = request.into_inner().sweep;
        let sweep = sweep_id(&name)?;
        let cancelled = self
            .driver
            .ask(|reply| Command::Cancel(sweep, reply))
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

    async fn explain(&self, request: Request<wire::ExplainRequest>) -> Answer<wire::Explanation> {
        let prefix = request.into_inner().task.to_lowercase();
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
            Ok([one]) => Ok(Response::new(one.into())),
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
}

impl Service {
    /// Does something about a sweep, and answers with what became of it.
    async fn change(
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

fn parse(message: WorkerMessage) -> Result<FromWorker, Status> {
    FromWorker::try_from(message).map_err(|e| Status::invalid_argument(e.to_string()))
}

fn sweep_id(name: &str) -> Result<SweepId, Status> {
    name.parse()
        .map_err(|e: ablate_proto::id::InvalidId| Status::invalid_argument(e.to_string()))
}

fn stopped(stopped: Stopped) -> Status {
    Status::unavailable(stopped.to_string())
}

fn unknown(name: &str, cluster: &ClusterStatus) -> Status {
    let known = cluster.sweeps.iter().map(|s| s.sweep.as_str());
    let hint = match ablate_proto::stage::nearest(name, known) {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None => String::new(),
    };
    Status::not_found(format!("there is no sweep `{name}` here{hint}"))
}
