//! The request of one attempt.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    body::{self, EventRef, Format},
    options::Options,
    secret::Secret,
    signature::{self, Scheme},
    target::CheckedUrl,
    text::percent_encode,
};

/// The value of `User-Agent`.
pub const USER_AGENT: &str = concat!("pg_webhook/", env!("CARGO_PKG_VERSION"));

const SIGNATURE: &str = "X-Webhook-Signature";
const STANDARD_SIGNATURE: &str = "webhook-signature";
const REDACTED: &str = "[redacted]";
/// A header whose name contains one of these holds a secret.
const SECRET_WORDS: [&str; 10] =
    ["auth", "token", "key", "secret", "cookie", "pass", "signature", "credential", "bearer", "session"];

/// A webhook as far as requests are concerned.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `wh_…`.
    pub id: String,
    /// Where to.
    pub url: CheckedUrl,
    /// How.
    pub options: Options,
    /// All secrets that are valid now, the newest first. Without any, requests carry no signature.
    pub secrets: Vec<Secret>,
}

/// What is sent besides the body. `Debug` shows no secret.
#[derive(Clone)]
pub struct Request {
    /// `POST` and the like.
    pub method: &'static str,
    /// With the parameters of the options.
    pub url: String,
    /// Names and values in the order to send them; no name comes twice.
    pub headers: Vec<(String, String)>,
    /// Which header is the fixed one of signature `static`: its name need not sound secret.
    fixed: Option<usize>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.split('?').next().unwrap_or_default();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &url)
            .field("headers", &redacted(self))
            .finish_non_exhaustive()
    }
}

/// The request of an attempt at `unix_seconds`, to be sent with exactly these bytes of `body`
/// (from [`body::write`] in the endpoint's format).
pub fn render(
    endpoint: &Endpoint,
    event: &EventRef<'_>,
    delivery_id: &str,
    body: &[u8],
    unix_seconds: i64,
) -> Request {
    let options = &endpoint.options;
    let mut headers = Vec::with_capacity(12 + options.headers.len());
    let mut set = |name: &str, value: String| headers.push((name.to_owned(), value));
    let fixed = options.static_header.as_ref();
    let custom = |name: &str| {
        let mut names = options.headers.iter().chain(fixed).map(|(other, _)| other);
        names.any(|other| other.eq_ignore_ascii_case(name))
    };

    if let Some(content_type) = options.format.content_type().filter(|_| !custom("content-type")) {
        set("Content-Type", content_type.to_owned());
    }
    if !custom("user-agent") {
        set("User-Agent", USER_AGENT.to_owned());
    }
    set("X-Webhook-Id", endpoint.id.clone());
    set("X-Webhook-Event", event.kind.to_owned());
    set("X-Webhook-Delivery", delivery_id.to_owned());
    set("webhook-id", event.id.to_owned());
    set("webhook-timestamp", unix_seconds.to_string());
    sign(endpoint, event.id, body, unix_seconds, &mut set);
    if options.format == Format::CloudEventsBinary {
        for (name, value) in body::attributes(event) {
            set(&format!("ce-{name}"), attribute_value(&value));
        }
    }
    if let Some(auth) = &options.auth {
        let credentials = STANDARD.encode(format!("{}:{}", auth.username, auth.password.expose()));
        set("Authorization", format!("Basic {credentials}"));
    }
    for (name, value) in &options.headers {
        set(name, value.expose().to_owned());
    }
    let fixed = fixed.map(|(name, value)| {
        headers.push((name.clone(), value.expose().to_owned()));
        headers.len() - 1
    });
    let params = options.params.iter().map(|(name, value)| (name.as_str(), value.expose()));
    Request { method: options.method.text(), url: endpoint.url.with_params(params), headers, fixed }
}

fn sign(endpoint: &Endpoint, id: &str, body: &[u8], unix_seconds: i64, set: &mut impl FnMut(&str, String)) {
    let scheme = endpoint.options.signature;
    let Some(newest) = endpoint.secrets.first() else { return };
    let newest = newest.expose().as_bytes();
    match scheme {
        Scheme::Sha256 => set(SIGNATURE, signature::prefixed_hmac(newest, body)),
        Scheme::Hex => set(SIGNATURE, signature::hex_hmac(newest, body)),
        Scheme::Standard => {}
        Scheme::Static | Scheme::None => return,
    }
    let signed = endpoint.secrets.iter().filter_map(|secret| match (secret.standard_key(), scheme) {
        (Some(key), _) => signature::standard(key, id, unix_seconds, body),
        (None, Scheme::Standard) => {
            signature::standard(&signature::plain_key(secret.expose()), id, unix_seconds, body)
        }
        (None, _) => None,
    });
    let signatures: Vec<_> = signed.collect();
    if !signatures.is_empty() {
        set(STANDARD_SIGNATURE, signatures.join(" "));
    }
}

/// An attribute as a header value (`CloudEvents` HTTP binding 3.1.3.2): printable ASCII except space, quote
/// and percent sign, the rest percent-encoded.
fn attribute_value(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    percent_encode(text, |byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'%'), &mut value);
    value
}

/// The headers as they may be stored and shown: of secrets only their kind is left.
pub fn redacted(request: &Request) -> Vec<(String, String)> {
    let shown = |(at, (name, value)): (usize, &(String, String))| {
        let secret = request.fixed == Some(at) || names_a_secret(name);
        (name.clone(), if secret { mask(name, value) } else { value.clone() })
    };
    request.headers.iter().enumerate().map(shown).collect()
}

/// Whether a header or parameter of this name holds a secret, as far as its name tells.
pub fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name != "ce-partitionkey" && SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn mask(name: &str, value: &str) -> String {
    match name {
        SIGNATURE if value.starts_with("sha256=") => format!("sha256={REDACTED}"),
        STANDARD_SIGNATURE => {
            let versions = value.split(' ').filter_map(|one| one.split(',').next());
            versions.map(|version| format!("{version},{REDACTED}")).collect::<Vec<_>>().join(" ")
        }
        _ => REDACTED.to_owned(),
    }
}
