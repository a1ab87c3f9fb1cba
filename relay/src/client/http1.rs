//! A connection that carries one request at a time.
//!
//! It is driven by the task whose request it carries, so an exchange costs no hand-over between tasks. While it waits in
//! the pool nobody drives it; what happened to it meanwhile shows when it is taken out.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::connect::Stream;
use super::door::Newcomer;
use super::line::{LONGEST_HEAD, SendError};

const MOST_HEADERS: usize = 100;

/// The connection.
#[derive(Debug)]
pub(super) struct Link {
    sender: SendRequest<Full<Bytes>>,
    connection: Option<Connection<TokioIo<Stream>, Full<Bytes>>>,
    /// Asked for a client certificate, and not answered yet.
    pub(super) doubted: bool,
    /// A request is on its way and not answered yet.
    waits: bool,
    /// Until it was answered on for the first time.
    newcomer: Option<Newcomer>,
}

impl Drop for Link {
    /// Whoever gives up waiting takes back what the system has not brought over yet: it would go on trying, and the request could
    /// come after a later one.
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| self.waits) {
            connection.into_parts().io.into_inner().reset();
        }
    }
}

impl Link {
    pub(super) async fn new(stream: Stream, newcomer: Newcomer) -> Result<Box<Self>, hyper::Error> {
        let doubted = stream.was_asked();
        let mut builder = Builder::new();
        // Bodies are small: copied behind the head they go out in one piece.
        builder.max_headers(MOST_HEADERS).max_buf_size(LONGEST_HEAD).writev(false);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Self {
            sender,
            connection: Some(connection),
            doubted,
            waits: false,
            newcomer: Some(newcomer),
        }))
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, SendError> {
        self.waits = true;
        let answer = self.sender.try_send_request(request);
        let answer = drive(&mut self.connection, answer);
        let answered = match self.newcomer.take() {
            Some(mut newcomer) => newcomer.during(answer).await,
            None => answer.await,
        };
        let response = answered.map_err(|mut error| {
            let unsent = error.take_message();
            SendError { cause: error.into_error(), unsent }
        })?;
        (self.doubted, self.waits) = (false, false);
        Ok(response)
    }

    /// Waits for something that depends on this connection.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        drive(&mut self.connection, work).await
    }

    /// True when another request can go over it now.
    pub(super) async fn is_usable(&mut self) -> bool {
        let Self { sender, connection, .. } = self;
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
