//! The connection to the coordinator: the one place in the worker that names
//! wire types.

use std::sync::Arc;
use std::time::Duration;

use ablate_proto::access::Token;
use ablate_proto::message::{FromWorker, Hello, ToWorker};
use ablate_proto::wire::cluster_client::ClusterClient;
use ablate_proto::wire::{self, CoordinatorMessage, InvalidMessage, WorkerMessage};
use backon::{BackoffBuilder, ExponentialBuilder};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use super::AgentError;
use super::finder::Finder;
use super::lease::Lease;
use crate::dial::{Dial, Problem};

/// Messages that wait for the network.
const QUEUE: usize = 1024;
/// Tries at the known address before any other that is published.
const DESPERATE: u32 = 4;
/// One try, from the first packet to the `Welcome`. With the longest pause
/// and a look into the store it is less than two leases: a worker whose try
/// fell into the last moment of a restart is back before its leases end.
const TRY: Duration = Duration::from_secs(3);
/// Between tries; up to twice as long by chance.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A connection that answers nothing for the sum of both is given up.
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a session did not come about, or ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("{0}")]
    Lost(String),
    #[error("{0}")]
    Refused(String),
    /// Nothing of the coordinator was heard, and trying again is of no use.
    #[error("{0}")]
    Untrusted(String),
    #[error(transparent)]
    Incompatible(#[from] InvalidMessage),
}

impl From<Status> for LinkError {
    fn from(status: Status) -> Self {
        // Not said by the coordinator, whatever the code looks like.
        if let Some(source) = std::error::Error::source(&status) {
            return Problem::of(source).into();
        }
        let message = status.message().to_owned();
        match status.code() {
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated => Self::Refused(message),
            Code::Unimplemented => Self::Refused(format!(
                "the server there is not an ablate coordinator: {message}"
            )),
            code => Self::Lost(describe(code, &message)),
        }
    }
}

impl From<Problem> for LinkError {
    fn from(problem: Problem) -> Self {
        match problem.is_final {
            true => Self::Untrusted(problem.why),
            false => Self::Lost(problem.why),
        }
    }
}

fn describe(code: Code, message: &str) -> String {
    match message {
        "" => code.description().to_owned(),
        message => message.to_owned(),
    }
}

/// What the coordinator says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Welcome {
    pub(super) lease: Duration,
    pub(super) heartbeat: Duration,
    pub(super) store: String,
}

/// A session that was welcomed.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) tx: mpsc::Sender<FromWorker>,
    rx: Streaming<CoordinatorMessage>,
    pub(super) welcome: Welcome,
    /// What came before the `Welcome`.
    pub(super) early: Vec<ToWorker>,
    /// Where it is.
    pub(super) endpoint: Endpoint,
}

impl Link {
    /// The next message. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<ToWorker, LinkError> {
        receive(&mut self.rx).await
    }

    /// Says no more, and waits until the coordinator has heard it all.
    pub(super) async fn finish(self) {
        let Self { tx, mut rx, .. } = self;
        drop(tx);
        let ended = async { while receive(&mut rx).await.is_ok() {} };
        if tokio::time::timeout(Duration::from_millis(500), ended)
            .await
            .is_err()
        {
            tracing::debug!("the coordinator did not end the session in time");
        }
    }
}

/// A worker's connection maker.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    endpoint: Endpoint,
    dial: Dial,
    token: Option<Token>,
    lease: Arc<Lease>,
    /// Where to look for another coordinator, once the store is known.
    finder: Option<Finder>,
}

/// The first session did not come about in time.
#[derive(Debug)]
pub(super) struct GaveUp {
    pub(super) tries: u32,
    pub(super) last: String,
}

/// Why [`Connector::connect`] returned without a link.
#[derive(Debug)]
pub(super) enum ConnectError {
    GaveUp(GaveUp),
    Fatal(LinkError),
}

impl ConnectError {
    /// Why a worker that was to join this address ends.
    pub(super) fn of(self, address: &str) -> AgentError {
        let address = address.to_owned();
        match self {
            Self::GaveUp(GaveUp { tries, last }) => AgentError::Unreachable {
                address,
                tries,
                last,
            },
            Self::Fatal(LinkError::Incompatible(what)) => AgentError::Incompatible(what),
            Self::Fatal(LinkError::Untrusted(why)) => AgentError::Untrusted { address, why },
            Self::Fatal(LinkError::Refused(reason) | LinkError::Lost(reason)) => {
                AgentError::Refused { reason }
            }
        }
    }
}

impl Connector {
    pub(super) fn new(
        address: String,
        dial: Dial,
        token: Option<Token>,
        lease: Arc<Lease>,
    ) -> Result<Self, tonic::transport::Error> {
        let endpoint = endpoint(address)?;
        Ok(Self {
            endpoint,
            dial,
            token,
            lease,
            finder: None,
        })
    }

    /// A session has come about with the coordinator at this endpoint.
    pub(super) fn connected(&mut self, endpoint: Endpoint, finder: &Finder) {
        self.endpoint = endpoint;
        finder.welcomed();
        self.finder.get_or_insert_with(|| finder.clone());
    }

    /// The session has ended: nothing is covered until there is another.
    pub(super) fn closed(&self) {
        self.lease.close();
    }

    /// Whether the session missed its own heartbeats.
    pub(super) fn lapsed(&self) -> bool {
        self.lease.lapsed(Instant::now())
    }

    /// Tries until there is a session, with jittered pauses of 50 ms to 1 s;
    /// no longer than `limit`, where there is one.
    pub(super) async fn connect(
        self,
        hello: Hello,
        limit: Option<Duration>,
    ) -> Result<Link, ConnectError> {
        let pauses = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .with_jitter();
        let mut pauses = pauses.build();
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            tries += 1;
            let endpoint = self.where_now(tries).await;
            let open = self.open(endpoint, hello.clone());
            let last = match tokio::time::timeout(TRY, open).await {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(LinkError::Lost(why))) => why,
                // It was trusted before: somebody else answers meanwhile.
                Ok(Err(LinkError::Untrusted(why))) if limit.is_none() => why,
                Ok(Err(fatal)) => return Err(ConnectError::Fatal(fatal)),
                Err(_) => format!("no answer within {} s", TRY.as_secs()),
            };
            let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
            match limit {
                Some(limit) if tries == 1 => {
                    tracing::warn!(error = last, ?limit, "no coordinator yet; trying again");
                }
                Some(_) | None => tracing::debug!(tries, error = last, ?pause, "no session yet"),
            }
            if limit.is_some_and(|limit| begun.elapsed() + pause > limit) {
                return Err(ConnectError::GaveUp(GaveUp { tries, last }));
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// A coordinator that took over, by turns with the known address.
    async fn where_now(&self, tries: u32) -> Endpoint {
        let newer = match &self.finder {
            Some(finder) if tries % 2 == 1 => finder.elsewhere(tries > DESPERATE).await,
            Some(_) | None => None,
        };
        let scheme = self.endpoint.uri().scheme_str().unwrap_or("http");
        let url = newer.map(|address| format!("{scheme}://{address}"));
        match url.map(|url| (endpoint(url.clone()), url)) {
            Some((Ok(newer), url)) => {
                tracing::info!(coordinator = url, "another coordinator serves the store");
                newer
            }
            Some((Err(error), url)) => {
                tracing::warn!(coordinator = url, %error, "the store names a coordinator without sense");
                self.endpoint.clone()
            }
            None => self.endpoint.clone(),
        }
    }

    async fn open(&self, endpoint: Endpoint, hello: Hello) -> Result<Link, LinkError> {
        let channel = self.dial.connect(&endpoint).await;
        let channel = channel.map_err(|e| Problem::of(&e))?;
        let (tx, rx) = mpsc::channel(QUEUE);
        let number = self.lease.connecting();
        let lease = self.lease.clone();
        // Runs when the connection takes the message, not when it is queued.
        let outgoing = ReceiverStream::new(rx).map(move |message: FromWorker| {
            if let FromWorker::Hello(_) | FromWorker::Heartbeat { .. } = message {
                lease.renewed(number, Instant::now());
            }
            WorkerMessage::from(message)
        });
        let first = tx.send(FromWorker::Hello(hello)).await;
        first.map_err(|_| LinkError::Lost("the connection closed at once".to_owned()))?;
        let mut client = ClusterClient::new(channel);
        let mut request = tonic::Request::new(outgoing);
        if let Some(token) = self.token.as_ref().and_then(wire::bearer) {
            request.metadata_mut().insert("authorization", token);
        }
        let mut rx = client.session(request).await?.into_inner();
        let mut early = Vec::new();
        loop {
            match receive(&mut rx).await? {
                ToWorker::Welcome {
                    lease_ms,
                    heartbeat_ms,
                    store,
                } => {
                    let welcome = Welcome {
                        lease: Duration::from_millis(lease_ms.into()),
                        heartbeat: Duration::from_millis(heartbeat_ms.max(1).into()),
                        store,
                    };
                    self.lease.welcomed(number, Instant::now(), welcome.lease);
                    return Ok(Link {
                        tx,
                        rx,
                        welcome,
                        early,
                        endpoint,
                    });
                }
                other @ (ToWorker::TakeBack { .. }
                | ToWorker::Assign { .. }
                | ToWorker::Drop { .. }
                | ToWorker::Ack { .. }
                | ToWorker::Follow { .. }) => {
                    early.push(other);
                }
            }
        }
    }
}

fn endpoint(url: String) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url)?
        .connect_timeout(TRY)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    Ok(endpoint)
}

async fn receive(rx: &mut Streaming<CoordinatorMessage>) -> Result<ToWorker, LinkError> {
    let message = rx.message().await?;
    let message =
        message.ok_or_else(|| LinkError::Lost("the coordinator ended the session".to_owned()))?;
    Ok(message.try_into()?)
}
