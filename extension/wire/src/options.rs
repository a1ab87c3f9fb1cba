//! The options of a webhook: everything about *how* it is called.

mod error;
mod header;
mod interval;
mod parts;
mod read;

use std::time::Duration;

pub use error::OptionsError;

use crate::{body::Format, secret::Secret, signature::Scheme};

/// Every key that `options` may have.
pub const KEYS: [&str; 17] = [
    "method",
    "headers",
    "params",
    "auth",
    "format",
    "signature",
    "timeout_ms",
    "retry_schedule",
    "max_in_flight",
    "rate_limit",
    "ordered",
    "on_failed",
    "store_response",
    "header_name",
    "header_value",
    "keep_backlog",
    "client_cert",
];

/// Options, checked and with their defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// The HTTP method, POST unless set.
    pub method: Method,
    /// Additional headers.
    pub headers: Vec<(String, Secret)>,
    /// Query parameters appended to the URL.
    pub params: Vec<(String, Secret)>,
    /// HTTP basic authentication.
    pub auth: Option<Auth>,
    /// The shape of the body.
    pub format: Format,
    /// How requests are signed.
    pub signature: Scheme,
    /// For the whole exchange; 15 seconds unless set.
    pub timeout: Duration,
    /// The pause after each failed attempt; 1 min, 5 min, 30 min, 1 h, 6 h unless set.
    pub retry_schedule: Vec<Duration>,
    /// Requests at the same time; the relay's own limit unless set.
    pub max_in_flight: Option<u32>,
    /// Requests per second.
    pub rate_limit: Option<f64>,
    /// Whether events of the same key wait for each other.
    pub ordered: bool,
    /// What an ordered webhook does behind an event that failed for good.
    pub on_failed: OnFailed,
    /// What of a response is kept.
    pub store_response: StoreResponse,
    /// The header of signature `static`; set whenever the signature is that.
    pub static_header: Option<(String, Secret)>,
    /// Whether events are kept for the webhook while it is inactive.
    pub keep_backlog: bool,
    /// The name of a client certificate that the relay has.
    pub client_cert: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            method: Method::default(),
            headers: Vec::new(),
            params: Vec::new(),
            auth: None,
            format: Format::default(),
            signature: Scheme::default(),
            timeout: Duration::from_secs(15),
            retry_schedule: [1, 5, 30, 60, 360].map(|minutes| Duration::from_secs(minutes * 60)).to_vec(),
            max_in_flight: None,
            rate_limit: None,
            ordered: false,
            on_failed: OnFailed::default(),
            store_response: StoreResponse::default(),
            static_header: None,
            keep_backlog: false,
            client_cert: None,
        }
    }
}

impl Options {
    /// Reads the JSON object of options. `null` stands for the default, of one option or of all.
    ///
    /// # Errors
    /// [`OptionsError`] naming the key and, unless it may be secret, the value.
    pub fn parse(options: &serde_json::Value) -> Result<Self, OptionsError> {
        read::options(options)
    }
}

/// User name and password of HTTP basic authentication.
#[derive(Clone, Debug)]
pub struct Auth {
    /// Without a colon.
    pub username: String,
    /// May be empty.
    pub password: Secret,
}

/// The HTTP method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// HEAD.
    Head,
    /// OPTIONS.
    Options,
}

impl Method {
    const ALL: [Self; 7] =
        [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete, Self::Head, Self::Options];

    /// As on the wire.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
        }
    }
}

/// What an ordered webhook does when a delivery has failed for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnFailed {
    /// Goes on with the key's next event.
    #[default]
    Continue,
    /// Holds the key until somebody replays or cancels.
    Block,
}

impl OnFailed {
    const ALL: [Self; 2] = [Self::Continue, Self::Block];

    /// The option's text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Block => "block",
        }
    }
}

/// What of a response is kept in the log of attempts, besides its code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StoreResponse {
    /// Nothing.
    None,
    /// Headers.
    Headers,
    /// Headers and the first 16 KiB of the body.
    #[default]
    Body,
}

impl StoreResponse {
    const ALL: [Self; 3] = [Self::None, Self::Headers, Self::Body];

    /// The option's text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Headers => "headers",
            Self::Body => "body",
        }
    }
}
