//! `webhook-relay listen`: a receiver on this machine that verifies and prints each request.

use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use webhook_wire::key::Key;
use webhook_wire::secret::{Secret, SecretError};
use webhook_wire::signature::{self, Scheme};

use crate::config::{ConfigError, Listen};
use crate::error::Error;
use crate::http::bind;

/// Far above what the database lets through.
const LONGEST_BODY: usize = 64 * 1024 * 1024;

struct Receiver {
    given: Option<Given>,
    fail_first: u64,
    fail_status: StatusCode,
    json: bool,
    seen: AtomicU64,
}

/// Whether a signature header is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Right,
    Wrong,
    Absent,
    /// There is no secret to check with.
    Unknown,
}

impl Check {
    fn of(right: bool) -> Self {
        if right { Self::Right } else { Self::Wrong }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Right => "verified",
            Self::Wrong => "WRONG",
            Self::Absent => "absent",
            Self::Unknown => "not checked (give --secret)",
        }
    }
}

/// What there is to verify with.
enum Given {
    Secret(Secret),
    PublicKey(Key),
}

impl Given {
    fn read(text: &str) -> Result<Self, SecretError> {
        match Key::parse(text)? {
            Some(key @ Key::Public(_)) => Ok(Self::PublicKey(key)),
            _ => Secret::new(text).map(Self::Secret),
        }
    }

    /// The key of Standard Webhooks; none of a secret of another form.
    fn key(&self) -> Option<&Key> {
        match self {
            Self::Secret(secret) => secret.standard_key(),
            Self::PublicKey(key) => Some(key),
        }
    }
}

/// Receives until interrupted.
pub async fn listen(config: Listen) -> Result<(), Error> {
    let given = config.secret.as_ref().map(|secret| Given::read(secret.expose()));
    let receiver = Arc::new(Receiver {
        given: given.transpose().map_err(ConfigError::Secret)?,
        fail_first: config.fail_first,
        fail_status: StatusCode::from_u16(config.fail_status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
        json: config.json,
        seen: AtomicU64::new(0),
    });
    let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, config.port))).await?;
    let address = listener.local_addr().map_err(Error::System)?;
    if !receiver.json {
        println!("listening on http://{address}/  (Ctrl-C ends)");
        println!("the relay has to be started with --allow-target {address}");
    }
    let mut stop = Box::pin(tokio::signal::ctrl_c());
    loop {
        let (stream, _) = tokio::select! {
            _ = &mut stop => return Ok(()),
            accepted = listener.accept() => accepted.map_err(Error::System)?,
        };
        let receiver = receiver.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| receiver.receive(request));
            // A sender that breaks off is the sender's problem.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Receiver {
    async fn receive(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let mut response = Response::default();
        let Ok(body) = Limited::new(body, LONGEST_BODY).collect().await else {
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return Ok(response);
        };
        let body = body.to_bytes();
        let number = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        let (plain, standard) = (self.plain(&head.headers, &body), self.standard(&head.headers, &body));
        let unsigned = self.given.is_some() && plain == Check::Absent && standard == Check::Absent;
        let status = match () {
            () if number <= self.fail_first => self.fail_status,
            () if unsigned || plain == Check::Wrong || standard == Check::Wrong => StatusCode::UNAUTHORIZED,
            () => StatusCode::OK,
        };
        *response.status_mut() = status;
        let text = match self.json {
            true => Self::as_json(number, &head, &body, plain, standard, status),
            false => as_text(number, &head, &body, plain, standard, status),
        };
        let _ = writeln!(std::io::stdout().lock(), "{text}");
        Ok(response)
    }

    /// `X-Webhook-Signature`, with or without its prefix.
    fn plain(&self, headers: &HeaderMap, body: &[u8]) -> Check {
        let Some(given) = text(headers, "x-webhook-signature") else { return Check::Absent };
        let scheme = if given.starts_with("sha256=") { Scheme::Sha256 } else { Scheme::Hex };
        let Some(Given::Secret(secret)) = &self.given else { return Check::Unknown };
        Check::of(signature::verify(body, given, secret.expose(), scheme) == Ok(true))
    }

    /// `webhook-signature` of Standard Webhooks.
    fn standard(&self, headers: &HeaderMap, body: &[u8]) -> Check {
        let Some(given) = text(headers, "webhook-signature") else { return Check::Absent };
        let id = text(headers, "webhook-id").unwrap_or_default();
        let Some(at) = text(headers, "webhook-timestamp").and_then(|at| at.parse().ok()) else {
            return Check::Wrong;
        };
        let Some(known) = &self.given else { return Check::Unknown };
        Check::of(known.key().is_some_and(|key| signature::verify_standard(key, id, at, body, given)))
    }

    fn as_json(
        number: u64,
        head: &Parts,
        body: &[u8],
        plain: Check,
        standard: Check,
        status: StatusCode,
    ) -> String {
        let headers: serde_json::Map<String, Value> = head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
            .collect();
        json!({
            "number": number, "method": head.method.as_str(), "path": head.uri.to_string(), "headers": headers,
            "body": String::from_utf8_lossy(body), "x_webhook_signature": plain.word(),
            "webhook_signature": standard.word(), "answered": status.as_u16(),
        })
        .to_string()
    }
}

fn as_text(
    number: u64,
    head: &Parts,
    body: &[u8],
    plain: Check,
    standard: Check,
    status: StatusCode,
) -> String {
    let header = |name| text(&head.headers, name).unwrap_or("-");
    let colour = |check: Check| match check {
        _ if !std::io::stdout().is_terminal() => check.word().to_owned(),
        Check::Right => format!("\x1b[32m{}\x1b[0m", check.word()),
        Check::Wrong => format!("\x1b[31m{}\x1b[0m", check.word()),
        Check::Absent | Check::Unknown => check.word().to_owned(),
    };
    let body = match serde_json::from_slice::<Value>(body) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_default(),
        Err(_) => printable(&String::from_utf8_lossy(body)),
    };
    format!(
        "\n#{number}  {} {}  {}  →  {}\n  event     {}  delivery {}\n  signature {}  standard {}\n{}",
        head.method,
        printable(&head.uri.to_string()),
        printable(header("x-webhook-event")),
        status.as_u16(),
        printable(header("webhook-id")),
        printable(header("x-webhook-delivery")),
        colour(plain),
        colour(standard),
        body.lines().fold(String::new(), |text, line| text + "  " + line + "\n"),
    )
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What a terminal may show: control characters could make it do things.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}
