//! A connection that carries many requests at a time, driven by a task of its own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::header::HOST;
use hyper::http::uri::{Scheme, Uri};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::{Instant, timeout};

use super::LONGEST_BODY;
use super::connect::Stream;
use super::line::{LONGEST_HEAD, SendError};
use super::pool::{Held, Origin};

/// At most so many requests at a time, whatever the receiver allows.
const MOST_STREAMS: usize = 100;

/// Nobody tells when the receiver has said how many it allows, so it is looked at so often …
const FIRST_LOOK: Duration = Duration::from_millis(2);
/// … and then, in case it changes, so often.
const LOOK: Duration = Duration::from_secs(1);
/// Before the receiver has said how many it allows. No receiver can say this.
const UNKNOWN: usize = usize::MAX - 1;

/// The connection.
#[derive(Debug)]
pub(super) struct Shared {
    sender: SendRequest<Full<Bytes>>,
    /// What the receiver allows.
    most: Arc<AtomicUsize>,
    riding: AtomicUsize,
    /// Takes no more requests: those under way may end.
    retired: AtomicBool,
    /// Asked for a client certificate, and never answered yet.
    doubted: AtomicBool,
    used: Mutex<Instant>,
}

/// One request's seat.
#[derive(Debug)]
pub(super) struct Ride {
    shared: Arc<Shared>,
    answered: bool,
}

impl Shared {
    /// Greets. One request may go at once; the others' turn comes when the receiver has said how many it allows.
    pub(super) async fn new(stream: Stream, turn: Option<Held>) -> Result<Arc<Self>, hyper::Error> {
        let doubted = stream.was_asked();
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .max_header_list_size(LONGEST_HEAD as u32)
            // Of a body no more is wanted, and bodies that nobody reads on must not hold the others up.
            .initial_stream_window_size(LONGEST_BODY as u32)
            .initial_connection_window_size((LONGEST_BODY * 2 * MOST_STREAMS) as u32)
            .initial_max_send_streams(UNKNOWN);
        let (sender, mut connection) = builder.handshake(TokioIo::new(stream)).await?;
        let most = Arc::new(AtomicUsize::new(1));
        let allowed = most.clone();
        tokio::spawn(async move {
            let mut turn = turn;
            let mut known = false;
            loop {
                // How it ended is told to its requests.
                if timeout(if known { LOOK } else { FIRST_LOOK }, &mut connection).await.is_ok() {
                    return;
                }
                let said = connection.current_max_send_streams();
                known = said != UNKNOWN;
                if known {
                    allowed.store(said.min(MOST_STREAMS), Ordering::Relaxed);
                    drop(turn.take());
                }
            }
        });
        Ok(Arc::new(Self {
            sender,
            most,
            riding: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            doubted: AtomicBool::new(doubted),
            used: Mutex::new(Instant::now()),
        }))
    }

    /// Takes a seat, if one is free.
    pub(super) fn ride(self: &Arc<Self>) -> Option<Ride> {
        if self.is_over() {
            return None;
        }
        let most = self.most.load(Ordering::Relaxed);
        let seat = |riding| (riding < most).then_some(riding + 1);
        self.riding.fetch_update(Ordering::Relaxed, Ordering::Relaxed, seat).ok()?;
        Some(Ride { shared: self.clone(), answered: false })
    }

    /// True when it takes no more requests.
    pub(super) fn is_over(&self) -> bool {
        self.retired.load(Ordering::Relaxed) || self.sender.is_closed()
    }

    /// Since when nobody uses it; none while somebody does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        (self.riding.load(Ordering::Relaxed) == 0).then_some(used)
    }

    fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}

impl Drop for Ride {
    fn drop(&mut self) {
        if !self.answered {
            // Given up while waiting: the receiver is slow, or the connection is dead and nobody has noticed.
            self.shared.retire();
        }
        *self.shared.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.shared.riding.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ride {
    /// True when the receiver asked for a client certificate and has never answered yet.
    pub(super) fn is_doubted(&self) -> bool {
        self.shared.doubted.load(Ordering::Relaxed)
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        origin: &Origin,
    ) -> Result<Response<Incoming>, SendError> {
        let copy = request.clone();
        let mut sender = self.shared.sender.clone();
        let answer = sender.try_send_request(absolute(request, origin)).await;
        self.answered = true;
        self.shared.doubted.fetch_and(answer.is_err(), Ordering::Relaxed);
        answer.map_err(|mut error| {
            let unsent = error.take_message().is_some() || is_unprocessed(error.error());
            let cause = error.into_error();
            if !is_refusal(&cause) {
                self.shared.retire();
            }
            SendError { cause, unsent: unsent.then_some(copy) }
        })
    }
}

/// HTTP/2 has scheme and host in the request's URI and no `Host`.
fn absolute(mut request: Request<Full<Bytes>>, origin: &Origin) -> Request<Full<Bytes>> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = Some(origin.authority.clone());
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    request.headers_mut().remove(HOST);
    request
}

/// What HTTP/2 itself says of why a request failed.
pub(super) fn reason(error: &hyper::Error) -> Option<&h2::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// True when the protocol guarantees that the receiver has not acted on the request (RFC 9113, 8.7): it went past the last
/// one of a GOAWAY, or was refused.
fn is_unprocessed(error: &hyper::Error) -> bool {
    is_refusal(error) || reason(error).is_some_and(|error| error.is_remote() && error.is_go_away())
}

fn is_refusal(error: &hyper::Error) -> bool {
    reason(error).is_some_and(|error| {
        error.is_remote() && error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)
    })
}
