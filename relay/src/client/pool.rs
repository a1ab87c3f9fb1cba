//! Connections that wait to be used again, and requests over one of them.
//!
//! A connection is driven by the task whose request it carries, so an exchange costs no hand-over between tasks.
//! While it waits in the pool nobody drives it; what happened to it meanwhile shows when it is taken out.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::http::uri::Authority;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, interval};

use super::connect::Stream;

/// Shorter than common receivers keep an idle connection, so that few are closed under a request.
const IDLE: Duration = Duration::from_secs(4);
const MOST_HEADERS: usize = 100;
const LONGEST_HEAD: usize = 64 * 1024;

/// Where a connection leads, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    /// With TLS.
    pub(super) secure: bool,
    /// Host and port.
    pub(super) authority: Authority,
    /// Name of the client certificate.
    pub(super) client_cert: Option<String>,
}

/// Idle connections.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Waiting>,
    max_idle: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    count: usize,
    links: HashMap<Origin, Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    since: Instant,
}

impl Pool {
    /// A pool of at most `max_idle` connections that closes what waits for too long.
    pub(super) fn start(max_idle: usize) -> Arc<Self> {
        let pool = Arc::new(Self { idle: Mutex::default(), max_idle });
        let weak = Arc::downgrade(&pool);
        tokio::spawn(async move {
            let mut clock = interval(IDLE / 4);
            loop {
                clock.tick().await;
                let Some(pool) = weak.upgrade() else { return };
                let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.links.retain(|_, links| {
                    links.retain(|one| one.since.elapsed() < IDLE);
                    !links.is_empty()
                });
                idle.count = idle.links.values().map(Vec::len).sum();
            }
        });
        pool
    }

    /// The connection that was used last, if it still stands.
    pub(super) async fn take(&self, origin: &Origin) -> Option<Box<Link>> {
        loop {
            let mut link = {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                let last = idle.links.get_mut(origin)?.pop()?;
                idle.count -= 1;
                Some(last).filter(|one| one.since.elapsed() < IDLE)?.link
            };
            if link.is_usable().await {
                return Some(link);
            }
        }
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(super) async fn put(&self, origin: Origin, mut link: Box<Link>) {
        if link.is_usable().await {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.count < self.max_idle {
                idle.count += 1;
                idle.links.entry(origin).or_default().push(Idle { link, since: Instant::now() });
            }
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    sender: SendRequest<Full<Bytes>>,
    connection: Option<Connection<TokioIo<Stream>, Full<Bytes>>>,
}

/// A request that failed.
#[derive(Debug)]
pub(super) struct SendError {
    /// Why.
    pub(super) cause: hyper::Error,
    /// The request, if nothing of it was written.
    pub(super) unsent: Option<Request<Full<Bytes>>>,
}

impl Link {
    pub(super) async fn new(stream: Stream) -> Result<Box<Self>, hyper::Error> {
        let mut builder = Builder::new();
        // Bodies are small: copied behind the head they go out in one piece.
        builder.max_headers(MOST_HEADERS).max_buf_size(LONGEST_HEAD).writev(false);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Self { sender, connection: Some(connection) }))
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, SendError> {
        let answer = self.sender.try_send_request(request);
        drive(&mut self.connection, answer).await.map_err(|mut error| {
            let unsent = error.take_message();
            SendError { cause: error.into_error(), unsent }
        })
    }

    /// Waits for something that depends on this connection.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        drive(&mut self.connection, work).await
    }

    /// True when another request can go over it now.
    async fn is_usable(&mut self) -> bool {
        let Self { sender, connection } = self;
        poll_fn(|cx| {
            poll_connection(connection, cx);
            Poll::Ready(connection.is_some() && sender.is_ready())
        })
        .await
    }
}

async fn drive<T>(
    connection: &mut Option<Connection<TokioIo<Stream>, Full<Bytes>>>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        poll_connection(connection, cx);
        work.as_mut().poll(cx)
    })
    .await
}

fn poll_connection(
    place: &mut Option<Connection<TokioIo<Stream>, Full<Bytes>>>,
    cx: &mut std::task::Context<'_>,
) {
    if let Some(connection) = place
        && Pin::new(connection).poll(cx).is_ready()
    {
        // How it ended is told to the request.
        *place = None;
    }
}
