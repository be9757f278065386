//! A body that ends when the caller's token does: an open session or watch
//! is cut, in both directions.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::HeaderMap;

use super::book::{Ending, Refusal};

/// What is said when the time has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the caller: reading fails.
    In,
    /// To the caller: the status is sent.
    Out,
}

pub(super) struct Cut {
    body: Body,
    way: Way,
    ending: BoxFuture<'static, Refusal>,
    ended: bool,
}

impl Cut {
    pub(super) fn wrap(body: Body, way: Way, mut ending: Ending) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let ending = async move {
            let ended = ending.wait_for(Option::is_some).await;
            match ended.map(|refusal| *refusal) {
                Ok(Some(refusal)) => refusal,
                // The coordinator itself is ending.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        };
        Body::new(Self {
            body,
            way,
            ending: ending.boxed(),
            ended: false,
        })
    }
}

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(refusal) = self.ending.poll_unpin(cx) else {
            return Pin::new(&mut self.body).poll_frame(cx);
        };
        self.ended = true;
        let status = Status::unauthenticated(refusal.to_string());
        Poll::Ready(Some(match self.way {
            Way::In => Err(status),
            Way::Out => {
                let mut trailers = HeaderMap::new();
                status
                    .add_header(&mut trailers)
                    .map(|()| Frame::trailers(trailers))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // A cut body is shorter.
        let mut hint = SizeHint::new();
        if let Some(upper) = self.body.size_hint().upper() {
            hint.set_upper(upper);
        }
        hint
    }
}
