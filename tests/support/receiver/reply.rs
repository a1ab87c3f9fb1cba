//! What the receiver answers.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame};
use tokio::sync::watch;
use tokio::time::{Interval, interval};

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Content,
    delay: Duration,
    gate: Option<Gate>,
    close: bool,
}

#[derive(Clone, Debug)]
enum Content {
    Plain(Bytes),
    /// One byte an interval.
    Slow(Bytes, Duration),
    Endless,
}

/// Holds answers back until it is opened.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A gate that is closed.
    pub fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets all answers go, also later ones.
    pub fn open(&self) {
        self.0.send_replace(true);
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub(super) struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed on command")
    }
}

impl std::error::Error for Closed {}

impl Reply {
    /// An empty answer with that status.
    pub fn status(status: u16) -> Self {
        let body = Content::Plain(Bytes::new());
        Self { status, headers: Vec::new(), body, delay: Duration::ZERO, gate: None, close: false }
    }

    /// No answer: the connection closes.
    pub fn close() -> Self {
        Self { close: true, ..Self::status(200) }
    }

    /// No answer, ever.
    pub fn hang() -> Self {
        Self::status(200).held(&Gate::closed())
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: Content::Plain(body.into()), ..self }
    }

    /// With a body that comes byte by byte.
    #[must_use]
    pub fn slowly(self, body: impl Into<Bytes>, pause: Duration) -> Self {
        Self { body: Content::Slow(body.into(), pause), ..self }
    }

    /// With a body that never ends.
    #[must_use]
    pub fn endless(self) -> Self {
        Self { body: Content::Endless, ..self }
    }

    /// After a delay.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Not before the gate opens.
    #[must_use]
    pub fn held(self, gate: &Gate) -> Self {
        Self { gate: Some(gate.clone()), ..self }
    }

    pub(super) async fn send(self) -> Result<hyper::Response<BoxBody<Bytes, Infallible>>, Closed> {
        if let Some(gate) = &self.gate {
            // The gate outlives the wait: this reply holds a sender.
            let _ = gate.0.subscribe().wait_for(|open| *open).await;
        }
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        if self.close {
            return Err(Closed);
        }
        let body = match self.body {
            Content::Plain(bytes) => Full::new(bytes).boxed(),
            Content::Slow(bytes, pause) => Drip { bytes, next: interval(pause) }.boxed(),
            Content::Endless => Flood.boxed(),
        };
        let mut response = hyper::Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        Ok(response.body(body).expect("a valid answer"))
    }
}

struct Drip {
    bytes: Bytes,
    next: Interval,
}

impl Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        self.next.poll_tick(cx).map(|_| Some(Ok(Frame::data(self.bytes.split_to(1)))))
    }
}

struct Flood;

impl Body for Flood {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))))
    }
}
