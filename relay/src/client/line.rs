//! A connection as an exchange sees it, of whichever version.

use std::future::Future;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};

use super::http1::Link;
use super::http2::Ride;
use super::pool::Origin;

/// Of an answer's head so much is read.
pub(super) const LONGEST_HEAD: usize = 64 * 1024;

/// A connection, or a seat on one.
#[derive(Debug)]
pub(super) enum Line {
    /// HTTP/1.1: ours alone until it goes back into the pool.
    Own(Box<Link>),
    /// HTTP/2.
    Shared(Ride),
}

/// A request that failed.
#[derive(Debug)]
pub(super) struct SendError {
    /// Why.
    pub(super) cause: hyper::Error,
    /// The request, if the receiver has certainly not acted on it.
    pub(super) unsent: Option<Request<Full<Bytes>>>,
}

impl Line {
    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        origin: &Origin,
    ) -> Result<Response<Incoming>, SendError> {
        match self {
            Self::Own(link) => link.send(request).await,
            Self::Shared(ride) => ride.send(request, origin).await,
        }
    }

    /// True when the receiver asked for a client certificate that we lack and has not answered anything yet.
    pub(super) fn is_doubted(&self) -> bool {
        match self {
            Self::Own(link) => link.doubted,
            Self::Shared(ride) => ride.is_doubted(),
        }
    }

    /// Waits for something that depends on this connection.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        match self {
            Self::Own(link) => link.drive(work).await,
            Self::Shared(_) => work.await,
        }
    }
}
