//! The HTTP client: one exchange under one deadline, with bounded answers, to vetted addresses only.
//!
//! It follows no redirects, knows no proxies and inflates nothing, because none of that is built in.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::header::{HOST, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::http::uri::{PathAndQuery, Uri};
use tokio::time::{Instant, timeout_at};
use webhook_wire::options::StoreResponse;
use webhook_wire::retry_after;
use webhook_wire::target::Policy;

use crate::outcome::{Answer, Exchange, Failure};
use crate::request::Signed;

mod connect;
mod pool;
mod tls;

use connect::Connector;
use pool::{Link, Origin, Pool, SendError};
pub use tls::Tls;

/// Of an answer's body so much is read.
const LONGEST_BODY: usize = 16 * 1024;
/// The status decides; for the rest of the answer there is so much time.
const BODY_TIME: Duration = Duration::from_secs(1);

/// Sends requests; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    connector: Connector,
    pool: Arc<Pool>,
}

impl Client {
    /// A client for what the policy allows, with at most `max_idle` idle connections. Call it within the runtime.
    #[must_use]
    pub fn new(policy: Policy, tls: Tls, max_idle: usize) -> Self {
        Self { connector: Connector::new(policy, tls), pool: Pool::start(max_idle) }
    }

    /// Sends a request and reads what may be read of the answer, all within `limit`.
    pub async fn exchange(&self, request: Signed, limit: Duration, store: StoreResponse) -> Exchange {
        let deadline = Instant::now() + limit;
        timeout_at(deadline, self.carry(request, deadline, store)).await.unwrap_or(Err(Failure::Timeout))
    }

    async fn carry(&self, request: Signed, deadline: Instant, store: StoreResponse) -> Exchange {
        let Signed { mut request, client_cert } = request;
        let origin = address(&mut request, client_cert)?;
        let (mut link, response) = loop {
            let (mut link, used) = match self.pool.take(&origin).await {
                Some(link) => (link, true),
                None => {
                    // On the heap, because it is large and seldom.
                    let connecting = Box::pin(self.connector.connect(&origin));
                    let stream = connecting.await.map_err(|error| Failure::from(&error))?;
                    (Link::new(stream).await.map_err(|error| failure(&error))?, false)
                }
            };
            // A relay that was frozen until now may have lost its lease meanwhile, and another one sends.
            if Instant::now() >= deadline {
                return Err(Failure::Timeout);
            }
            match link.send(request).await {
                Ok(response) => break (link, response),
                // Closed while it waited: nothing was written, so nothing is sent twice.
                Err(SendError { unsent: Some(unsent), .. }) if used => request = unsent,
                Err(SendError { cause, .. }) => return Err(failure(&cause)),
            }
        };
        let (head, body) = response.into_parts();
        let until = deadline.min(Instant::now() + BODY_TIME);
        let (body, ended) = link.drive(beginning(body, until)).await;
        if ended {
            self.pool.put(origin, link).await;
        }
        Ok(Answer {
            status: head.status.as_u16(),
            retry_after: retry_after(&head.headers),
            headers: (store != StoreResponse::None).then(|| as_json(&head.headers)),
            body: (store == StoreResponse::Body && !body.is_empty()).then_some(body),
        })
    }
}

/// Splits the URL into where to connect and what to ask there.
fn address(request: &mut Request<Full<Bytes>>, client_cert: Option<String>) -> Result<Origin, Failure> {
    let parts = std::mem::take(request.uri_mut()).into_parts();
    let incomplete = || Failure::BadRequest("the url has no host".to_owned());
    let authority = parts.authority.ok_or_else(incomplete)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| incomplete())?;
    request.headers_mut().insert(HOST, host);
    *request.uri_mut() = Uri::from(parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")));
    Ok(Origin { secure: parts.scheme.is_none_or(|scheme| scheme.as_str() != "http"), authority, client_cert })
}

/// The first bytes of the body, as far as they come in time, and whether that is all.
async fn beginning(mut body: Incoming, until: Instant) -> (Bytes, bool) {
    if body.is_end_stream() {
        return (Bytes::new(), true);
    }
    let mut start = BytesMut::new();
    loop {
        match timeout_at(until, body.frame()).await {
            Ok(None) => return (start.freeze(), true),
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                // Copied, because it is kept until recorded, and would keep the connection's whole buffer.
                start.extend_from_slice(&data[..data.len().min(LONGEST_BODY - start.len())]);
                if body.is_end_stream() {
                    return (start.freeze(), true);
                }
                if start.len() == LONGEST_BODY {
                    break;
                }
            }
            Ok(Some(Err(_))) | Err(_) => break,
        }
    }
    (start.freeze(), false)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let header = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    retry_after::parse(header, now.as_secs() as i64)
}

/// Headers as a JSON object; a name that comes more than once has its values joined by commas.
fn as_json(headers: &HeaderMap) -> String {
    let mut text = String::with_capacity(32 * headers.len() + 2);
    let mut before = '{';
    for name in headers.keys() {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let joined = values.reduce(|all, value| format!("{all}, {value}").into()).unwrap_or_default();
        text.push(before);
        push_string(&mut text, name.as_str());
        text.push(':');
        push_string(&mut text, &joined);
        before = ',';
    }
    text.push_str(if headers.is_empty() { "{}" } else { "}" });
    text
}

/// Appends a JSON string. No NUL gets through: a database could not hold it.
fn push_string(text: &mut String, value: &str) {
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if value.bytes().all(plain) {
        text.push('"');
        text.push_str(value);
        text.push('"');
    } else {
        text.push_str(&serde_json::Value::from(value.replace('\0', "\u{fffd}")).to_string());
    }
}

/// What an error of a connection that stood means. Never holds the URL.
fn failure(error: &hyper::Error) -> Failure {
    if error.is_parse() || error.is_parse_status() {
        return Failure::BadResponse(error.to_string());
    }
    if error.is_incomplete_message() {
        return Failure::Connect("closed before the answer was complete".to_owned());
    }
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    Failure::Connect(io.map_or_else(|| "closed by the receiver".to_owned(), |error| error.kind().to_string()))
}

#[cfg(test)]
mod tests;
