//! The line to the coordinator: up, or being made.

use std::pin::Pin;

use ablate_proto::message::{FromWorker, ToWorker};
use tokio::sync::mpsc;

use super::rpc::{ConnectError, Link, LinkError};

pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<Link, ConnectError>> + Send>>;

pub(super) enum Line {
    Down(Connecting),
    Up(Box<Link>),
}

pub(super) enum Step {
    Connected(Box<Link>),
    Failed(ConnectError),
    Message(ToWorker),
    Lost(LinkError),
}

/// The next thing that happens on the line. Cancel safe.
pub(super) async fn advance(line: &mut Line) -> Step {
    match line {
        Line::Down(connecting) => match connecting.await {
            Ok(link) => Step::Connected(Box::new(link)),
            Err(error) => Step::Failed(error),
        },
        Line::Up(link) => match link.next().await {
            Ok(message) => Step::Message(message),
            Err(error) => Step::Lost(error),
        },
    }
}

/// Waits until a connection that was full takes another message.
pub(super) async fn room(blocked: Option<mpsc::Sender<FromWorker>>) {
    if let Some(tx) = blocked
        && tx.reserve().await.is_ok()
    {
        return;
    }
    // Nothing to send, or the session has ended; its other half says why.
    std::future::pending().await
}
