//! A coordinator that does what a test tells it to, on a loopback port.

use std::sync::Arc;
use std::time::Duration;

use ablate_proto::failure::Failure;
use ablate_proto::id::AttemptId;
use ablate_proto::message::{Commit, FromWorker, Hello, ToWorker};
use ablate_proto::task::Task;
use ablate_proto::wire::cluster_server::{Cluster, ClusterServer};
use ablate_proto::wire::{CoordinatorMessage, WorkerMessage};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, Streaming};

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Coordinator {
    pub(super) address: String,
    sessions: mpsc::Receiver<Peer>,
    _server: AbortOnDropHandle<()>,
}

/// One session, from the coordinator's side. It ends when this is dropped.
pub(super) struct Peer {
    tx: mpsc::Sender<Result<CoordinatorMessage, Status>>,
    rx: mpsc::Receiver<FromWorker>,
    _reader: AbortOnDropHandle<()>,
}

struct Service(mpsc::Sender<Peer>);

#[tonic::async_trait]
impl Cluster for Service {
    type SessionStream = ReceiverStream<Result<CoordinatorMessage, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut incoming = request.into_inner();
        let (tx, outgoing) = mpsc::channel(4096);
        let (heard, rx) = mpsc::channel(65536);
        let reader = tokio::spawn(async move {
            while let Ok(Some(message)) = incoming.message().await {
                if heard.send(message.try_into().unwrap()).await.is_err() {
                    return;
                }
            }
        });
        let peer = Peer {
            tx,
            rx,
            _reader: AbortOnDropHandle::new(reader),
        };
        let unwanted = |_| Status::unavailable("no test wants this session");
        self.0.send(peer).await.map_err(unwanted)?;
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

impl Coordinator {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tx, sessions) = mpsc::channel(8);
        let server = tonic::transport::Server::builder().serve_with_incoming(
            ClusterServer::new(Service(tx)),
            TcpListenerStream::new(listener),
        );
        let server = tokio::spawn(async move { server.await.unwrap() });
        Self {
            address,
            sessions,
            _server: AbortOnDropHandle::new(server),
        }
    }

    /// The next session, and what it was opened with.
    pub(super) async fn session(&mut self) -> (Peer, Hello) {
        let next = tokio::time::timeout(PATIENCE, self.sessions.recv());
        let mut peer = next.await.expect("a session in time").unwrap();
        match peer.hear().await {
            Some(FromWorker::Hello(hello)) => (peer, hello),
            other => panic!("a hello comes first, not {other:?}"),
        }
    }

    /// The next session, welcomed with a lease of 30 s.
    pub(super) async fn welcome(&mut self) -> (Peer, Hello) {
        let (peer, hello) = self.session().await;
        peer.welcome(30_000, 100).await;
        (peer, hello)
    }
}

impl Peer {
    pub(super) async fn say(&self, message: ToWorker) {
        self.tx.send(Ok(message.into())).await.unwrap();
    }

    pub(super) async fn refuse(&self, status: Status) {
        self.tx.send(Err(status)).await.unwrap();
    }

    pub(super) async fn welcome(&self, lease_ms: u32, heartbeat_ms: u32) {
        self.say(ToWorker::Welcome {
            lease_ms,
            heartbeat_ms,
            store: "memory://".to_owned(),
        })
        .await;
    }

    pub(super) async fn assign(&self, task: &Task, number: u32) -> AttemptId {
        let attempt = AttemptId {
            task: task.key,
            number,
        };
        let task = Arc::new(task.clone().into());
        let share = ablate_proto::capacity::SLOT;
        let assign = ToWorker::Assign {
            attempt,
            task,
            share,
            bare_inputs: Vec::new(),
        };
        self.say(assign).await;
        attempt
    }

    pub(super) async fn drop_attempt(&self, attempt: AttemptId) {
        let reason = "a test".to_owned();
        self.say(ToWorker::Drop {
            attempt,
            reason,
            now: false,
        })
        .await;
    }

    pub(super) async fn ack(&self, attempt: AttemptId) {
        let accepted = true;
        self.say(ToWorker::Ack { attempt, accepted }).await;
    }

    /// The next message; `None` when the worker has ended the session.
    pub(super) async fn hear(&mut self) -> Option<FromWorker> {
        let next = tokio::time::timeout(PATIENCE, self.rx.recv());
        next.await.expect("a message in time")
    }

    /// The next message that `wanted` takes.
    pub(super) async fn find<T>(&mut self, wanted: impl Fn(FromWorker) -> Option<T>) -> T {
        loop {
            let message = self.hear().await.expect("the session goes on");
            if let Some(found) = wanted(message) {
                return found;
            }
        }
    }

    pub(super) async fn commit(&mut self) -> (AttemptId, Commit) {
        self.find(|message| match message {
            FromWorker::Commit(attempt, commit) => Some((attempt, commit)),
            FromWorker::Fail(attempt, failure) => panic!("{attempt} failed: {failure}"),
            _ => None,
        })
        .await
    }

    pub(super) async fn failure(&mut self) -> (AttemptId, Failure) {
        self.find(|message| match message {
            FromWorker::Fail(attempt, failure) => Some((attempt, failure)),
            FromWorker::Commit(attempt, _) => panic!("{attempt} was committed"),
            _ => None,
        })
        .await
    }

    /// Waits until an attempt is seen to run.
    pub(super) async fn progress(&mut self, of: AttemptId) {
        self.find(|message| match message {
            FromWorker::Progress(attempt, _) if attempt == of => Some(()),
            _ => None,
        })
        .await;
    }

    /// The next heartbeat.
    pub(super) async fn beat(&mut self) -> (Vec<AttemptId>, bool) {
        self.find(|message| match message {
            FromWorker::Heartbeat { holding, draining } => Some((holding, draining)),
            _ => None,
        })
        .await
    }
}
