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
use tokio::time::{Instant, sleep, timeout_at};
use webhook_wire::options::StoreResponse;
use webhook_wire::retry_after;
use webhook_wire::target::Policy;

use crate::outcome::{Answer, BodyEnd, Exchange, Failure, Reading};
use crate::request::Signed;

mod connect;
mod door;
mod http1;
mod http2;
mod line;
mod pool;
mod tls;

use connect::Connector;
use http1::Link;
use http2::Shared;
use line::Line;
use pool::{Origin, Pool};
pub use tls::Tls;

/// Of an answer's body so much may be stored, and is its beginning …
const LONGEST_BODY: usize = 16 * 1024;
/// … and so much is read of a whole one.
const LONGEST_READ: usize = 256 * 1024;
/// A request that HTTP/2 says was not processed is sent again so often …
const MOST_REFUSALS: u32 = 5;
/// … after so long, and twice as long each time.
const REFUSED_FOR: Duration = Duration::from_millis(20);
/// The status decides; for the rest of the answer there is so much time …
const BODY_TIME: Duration = Duration::from_secs(1);
/// … or so much for its beginning.
const START_TIME: Duration = Duration::from_millis(100);

/// How an exchange is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The whole exchange may take so long.
    pub limit: Duration,
    /// What of the answer is kept.
    pub store: StoreResponse,
    /// How much of it is waited for.
    pub reading: Reading,
}

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

    /// Sends a request and reads what may be read of the answer, all within the limit.
    pub async fn exchange(&self, request: Signed, terms: Terms) -> Exchange {
        let deadline = Instant::now() + terms.limit;
        timeout_at(deadline, self.carry(request, deadline, terms)).await.unwrap_or(Err(Failure::Timeout))
    }

    async fn carry(&self, request: Signed, deadline: Instant, terms: Terms) -> Exchange {
        let Signed { mut request, client_cert } = request;
        let origin = address(&mut request, client_cert)?;
        let mut refusals = 0;
        let (mut line, response) = loop {
            let (mut line, used) = self.line(&origin).await?;
            // A relay that was frozen until now may have lost its lease meanwhile, and another one sends.
            if Instant::now() >= deadline {
                return Err(Failure::Timeout);
            }
            let error = match line.send(request, &origin).await {
                Ok(response) => break (line, response),
                Err(error) => error,
            };
            // Nothing was done with it, so nothing is done twice: closed while it waited, or refused.
            match error.unsent {
                Some(unsent) if matches!(line, Line::Shared(_)) && refusals < MOST_REFUSALS => {
                    sleep(REFUSED_FOR * (1 << refusals)).await;
                    refusals += 1;
                    request = unsent;
                }
                Some(unsent) if matches!(line, Line::Own(_)) && used => request = unsent,
                _ => return Err(blamed(failure(&error.cause), line.is_doubted())),
            }
        };
        let (head, body) = response.into_parts();
        let (body, end) = line.drive(beginning(body, terms.reading, deadline)).await;
        if let Line::Own(link) = line
            && end == BodyEnd::Complete
        {
            self.pool.put(origin, link).await;
        }
        Ok(Answer {
            status: head.status.as_u16(),
            retry_after: retry_after(&head.headers),
            headers: (terms.store != StoreResponse::None).then(|| as_json(&head.headers)),
            body: (terms.store == StoreResponse::Body && !body.is_empty()).then_some(body),
            end,
        })
    }

    /// A connection to that origin, and whether it was used before.
    async fn line(&self, origin: &Origin) -> Result<(Line, bool), Failure> {
        if let Some(line) = self.pool.take(origin).await {
            return Ok((line, true));
        }
        // A host that may speak HTTP/2 is connected to once, while others wait for what comes of it.
        let asked = Instant::now();
        let mut turn = match self.pool.turn(origin) {
            Some(turn) => Some(turn.lock_owned().await),
            None => None,
        };
        if let Some(last) = &turn {
            if let Some(line) = self.pool.take(origin).await {
                return Ok((line, true));
            }
            match &**last {
                Some((at, failure)) if *at > asked => return Err(failure.clone()),
                _ => turn = turn.filter(|_| self.pool.turn(origin).is_some()),
            }
        }
        let mut newcomer = self.pool.door(origin).enter().await;
        if let Some(line) = self.pool.take(origin).await {
            return Ok((line, true));
        }
        // On the heap, because it is large and seldom.
        let stream = match newcomer.during(Box::pin(self.connector.connect(origin))).await {
            Ok(stream) => stream,
            Err(error) => {
                let failure = Failure::from(&error);
                if let Some(turn) = &mut turn {
                    **turn = Some((Instant::now(), failure.clone()));
                }
                return Err(failure);
            }
        };
        if !stream.speaks_http2() {
            self.pool.is_plain(origin);
            return Ok((
                Line::Own(Link::new(stream, newcomer).await.map_err(|error| failure(&error))?),
                false,
            ));
        }
        let doubted = stream.was_asked();
        let shared = Shared::new(stream, turn).await.map_err(|error| blamed(failure(&error), doubted))?;
        let closed = || blamed(Failure::Connect("closed by the receiver".to_owned()), doubted);
        Ok((self.pool.share(origin, shared).map(Line::Shared).ok_or_else(closed)?, false))
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

/// The first bytes of the body, as far as they come in time.
async fn beginning(mut body: Incoming, reading: Reading, deadline: Instant) -> (Bytes, BodyEnd) {
    let (most, time, unended) = match reading {
        Reading::Whole => (LONGEST_READ, BODY_TIME, BodyEnd::TooLong),
        Reading::Start => (LONGEST_BODY, START_TIME, BodyEnd::Cut),
    };
    let until = deadline.min(Instant::now() + time);
    let mut start = BytesMut::new();
    let mut read = 0;
    let end = loop {
        if body.is_end_stream() {
            break BodyEnd::Complete;
        }
        if read >= most {
            break unended;
        }
        match timeout_at(until, body.frame()).await {
            Ok(None) => break BodyEnd::Complete,
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                // Copied, because it is kept until recorded, and would keep the connection's whole buffer.
                start.extend_from_slice(&data[..data.len().min(LONGEST_BODY - start.len())]);
                read += data.len();
            }
            Ok(Some(Err(_))) => break BodyEnd::Broken,
            Err(_) => break unended,
        }
    };
    (start.freeze(), end)
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

/// A receiver that asked for a client certificate, got none, and closed the connection before it ever answered on it did
/// so for that: by then the handshake is over for us, and the alert may be lost with the connection.
fn blamed(failure: Failure, doubted: bool) -> Failure {
    match failure {
        Failure::Connect(_) if doubted => {
            Failure::Tls("the receiver asks for a client certificate: see client_cert".to_owned())
        }
        other => other,
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
    if let Some(error) = http2::reason(error).filter(|error| !error.is_io()) {
        return match error.is_remote() {
            true => Failure::Connect(format!(
                "ended by the receiver: {}",
                error.reason().unwrap_or(h2::Reason::NO_ERROR)
            )),
            false => Failure::BadResponse(error.to_string()),
        };
    }
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    Failure::Connect(io.map_or_else(|| "closed by the receiver".to_owned(), |error| error.kind().to_string()))
}

#[cfg(test)]
mod tests;
