//! Takes connections from a port: so many in all and from one address, with
//! TLS where it is set, and with a limit on the time that each may take to
//! say something sensible.

mod permits;

use std::io;
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::either::Either;

use crate::connection::Connection;
use permits::{Permit, Permits};

/// From the first packet to the first request that is let in, TLS included.
const FIRST_REQUEST: Duration = Duration::from_secs(5);
/// How long somebody who is turned away may take to hear it.
const FAREWELL: Duration = Duration::from_secs(1);
/// After an error such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;
/// HTTP/2's code for a connection that should have been encrypted.
const INADEQUATE_SECURITY: u32 = 0xc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections.
    pub connections: usize,
    /// Open connections from one address.
    pub per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            per_address: 1024,
        }
    }
}

type Io = Either<TcpStream, TlsStream<TcpStream>>;
pub(crate) type Accepted = Connection<Io, Permit>;

/// Connections that are ready for HTTP/2. The port is closed when the stream
/// is dropped.
pub(crate) fn incoming(
    listener: TcpListener,
    limits: Limits,
    tls: Option<TlsAcceptor>,
) -> impl Stream<Item = io::Result<Accepted>> + Send + 'static {
    let (ready, accepted) = mpsc::channel(16);
    tokio::spawn(async move {
        let closed = ready.clone();
        tokio::select! {
            () = accept(listener, limits, tls, ready) => {}
            () = closed.closed() => {}
        }
    });
    ReceiverStream::new(accepted)
}

async fn accept(
    listener: TcpListener,
    limits: Limits,
    tls: Option<TlsAcceptor>,
    ready: mpsc::Sender<io::Result<Accepted>>,
) {
    let permits = Permits::new(limits);
    // Ends with this future.
    let mut greeting = JoinSet::new();
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        while greeting.try_join_next().is_some() {}
        let permit = match permits.take(address.ip()) {
            Ok(permit) => permit,
            Err(full) => {
                tracing::debug!(%address, why = %full, "a connection was closed at once");
                continue;
            }
        };
        let (tls, ready) = (tls.clone(), ready.clone());
        greeting.spawn(async move {
            let deadline = Instant::now() + FIRST_REQUEST;
            match tokio::time::timeout_at(deadline, greet(stream, tls)).await {
                Ok(Ok(Some(io))) => {
                    let connection = Connection::limited(io, address, deadline, permit);
                    // Nobody listens any more when this fails.
                    let _ = ready.send(Ok(connection)).await;
                }
                Ok(Ok(None)) => tracing::debug!(%address, "does not speak TLS"),
                Ok(Err(error)) => tracing::debug!(%address, %error, "no TLS"),
                Err(_) => tracing::debug!(%address, "no TLS in time"),
            }
        });
    }
}

/// Comes to terms about TLS; `None` if the other side does not speak it.
async fn greet(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<Option<Io>> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        return Ok(Some(Either::Left(stream)));
    };
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first[0] == HANDSHAKE {
        return Ok(Some(Either::Right(tls.accept(stream).await?)));
    }
    turn_away(stream).await?;
    Ok(None)
}

/// Tells a client that speaks HTTP/2 without TLS what is missing.
async fn turn_away(mut stream: TcpStream) -> io::Result<()> {
    let _ = tokio::time::timeout(FAREWELL, request(&mut stream)).await;
    stream.write_all(&go_away()).await?;
    stream.shutdown().await?;
    // Closing with something unread would take the answer back.
    let mut rest = [0; 1024];
    let end = async { while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {} };
    let _ = tokio::time::timeout(FAREWELL, end).await;
    Ok(())
}

/// Reads until a request has begun: an answer before it would end the
/// connection, and the request would not hear why.
async fn request(stream: &mut TcpStream) -> io::Result<()> {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    stream.read_exact(&mut [0; PREFACE]).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        if head[3] == HEADERS {
            return Ok(());
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut frame = (&mut *stream).take(length.into());
        tokio::io::copy(&mut frame, &mut tokio::io::sink()).await?;
    }
}

/// Empty SETTINGS, and GOAWAY with the reason.
fn go_away() -> Vec<u8> {
    let why = b"TLS is spoken here";
    let length = u8::try_from(8 + why.len()).unwrap_or(u8::MAX);
    let mut bytes = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
    bytes.extend([0, 0, length, 7, 0, 0, 0, 0, 0]);
    bytes.extend(0_u32.to_be_bytes());
    bytes.extend(INADEQUATE_SECURITY.to_be_bytes());
    bytes.extend(why);
    bytes
}
