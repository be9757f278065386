//! One connection, whatever carries it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tonic::transport::server::Connected;

/// Who is at the other end. Every request carries it.
#[derive(Debug, Clone)]
pub(crate) struct Peer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: Option<SocketAddr>,
    admitted: AtomicBool,
}

impl Peer {
    fn new(address: Option<SocketAddr>) -> Self {
        let admitted = AtomicBool::new(false);
        Self(Arc::new(Inner { address, admitted }))
    }

    /// `None` where it has none.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    /// A request of it was let in: the connection may stay.
    pub(crate) fn admitted(&self) {
        self.0.admitted.store(true, Ordering::Relaxed);
    }

    fn is_admitted(&self) -> bool {
        self.0.admitted.load(Ordering::Relaxed)
    }
}

/// Bytes in and out. Ends at its deadline, unless a request was let in before.
pub(crate) struct Connection<IO, Permit = ()> {
    io: IO,
    peer: Peer,
    deadline: Option<Pin<Box<Sleep>>>,
    _permit: Permit,
}

impl<IO> Connection<IO> {
    /// May stay as long as it likes.
    pub(crate) fn new(io: IO) -> Self {
        Self {
            io,
            peer: Peer::new(None),
            deadline: None,
            _permit: (),
        }
    }
}

impl<IO, Permit> Connection<IO, Permit> {
    /// The permit is given back when the connection ends.
    pub(crate) fn limited(io: IO, address: SocketAddr, deadline: Instant, permit: Permit) -> Self {
        Self {
            io,
            peer: Peer::new(Some(address)),
            deadline: Some(Box::pin(tokio::time::sleep_until(deadline))),
            _permit: permit,
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.peer.is_admitted() {
            self.deadline = None;
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            let why = "no request was let in for too long";
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        Ok(())
    }
}

impl<IO, Permit> Connected for Connection<IO, Permit> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl<IO: AsyncRead + Unpin, Permit: Unpin> AsyncRead for Connection<IO, Permit> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_deadline(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<IO: AsyncWrite + Unpin, Permit: Unpin> AsyncWrite for Connection<IO, Permit> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_deadline(cx)?;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_deadline(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
