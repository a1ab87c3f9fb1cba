//! One registered webhook, parsed once.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use webhook_wire::event_type::Pattern;
use webhook_wire::filter::Filter;
use webhook_wire::options::Options;
use webhook_wire::request::Endpoint;
use webhook_wire::secret::Secret;
use webhook_wire::target::CheckedUrl;

use crate::event::Event;
use crate::failpoint;
use crate::keyring::Locked;

/// A webhook's row as the database hands it out.
#[derive(Clone, Default)]
pub struct HookRow {
    /// `wh_…`
    pub id: String,
    /// Endpoint; none when the webhook was deleted.
    pub url: Option<String>,
    /// Event patterns.
    pub events: Vec<String>,
    /// `active` or `inactive`.
    pub active: bool,
    /// The filter's JSON.
    pub filter: Option<Value>,
    /// Tenant, or `*`.
    pub account: Option<String>,
    /// Delivery options.
    pub options: Value,
    /// Microseconds since 1970; older events are not for it.
    pub active_since: i64,
    /// All valid now, newest first; as they are stored, until the [`Keyring`](crate::keyring::Keyring) has opened them.
    pub secrets: Vec<String>,
    /// When each was made, in microseconds since 1970, which is its name.
    pub secrets_at: Vec<i64>,
    /// When the first of them expires, which is no change that the database would tell of.
    pub secrets_until: Option<Instant>,
    /// Why not all of them are open.
    pub locked: Option<Locked>,
    /// Emitter and event name (empty: any).
    pub subscriptions: Vec<(String, String)>,
    /// Microseconds since 1970.
    pub failing_since: Option<i64>,
}

/// What one request of `webhook_send` has of its own.
#[derive(Clone)]
pub struct OneOff {
    /// Where to.
    pub url: String,
    /// How; may hold secrets, so there is no `Debug`.
    pub options: Value,
}

impl fmt::Debug for OneOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneOff")
    }
}

/// Why a stored webhook cannot be used. Its events go on to others; this one is reported and skipped.
#[derive(Debug)]
pub enum HookError {
    /// The stored options do not parse.
    Options(webhook_wire::options::OptionsError),
    /// The stored filter does not parse.
    Filter(webhook_wire::filter::FilterError),
    /// The stored URL cannot be called.
    Url(webhook_wire::target::UrlError),
    /// A stored pattern does not parse.
    Pattern(webhook_wire::event_type::EventTypeError),
    /// Its signature needs a secret and there is none: nothing is ever sent unsigned by mistake.
    NoSecret,
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(error) => write!(f, "its options are not valid: {error}"),
            Self::Filter(error) => write!(f, "its filter is not valid: {error}"),
            Self::Url(error) => write!(f, "its URL is not valid: {error}"),
            Self::Pattern(error) => write!(f, "an event pattern is not valid: {error}"),
            Self::NoSecret => f.write_str("it has no secret to sign with"),
        }
    }
}

impl std::error::Error for HookError {}

/// A webhook, ready to match and to sign for.
#[derive(Debug)]
pub struct Hook {
    /// Id, URL, options and secrets.
    pub endpoint: Endpoint,
    /// A small number that stays the same for this webhook while the relay runs.
    pub slot: u32,
    /// Tenant, or `*`.
    pub account: Option<String>,
    /// False: nothing is sent.
    pub active: bool,
    /// Why nothing can be signed for it: what it is to get waits.
    pub locked: Option<Locked>,
    /// Microseconds since 1970 since when every attempt has failed, as far as the database knows.
    pub failing_since: Option<i64>,
    pub(super) secrets_until: Option<Instant>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) subscriptions: Vec<(String, String)>,
    filter: Option<Filter>,
    active_since: i64,
    /// True for one request of `webhook_send`, which has an endpoint of its own.
    pub one_off: bool,
}

impl Hook {
    pub(super) fn parse(row: HookRow, slot: u32) -> Result<Self, HookError> {
        let options = Options::parse(&row.options).map_err(HookError::Options)?;
        let patterns = row.events.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>();
        let filter = row.filter.as_ref().map(Filter::parse).transpose().map_err(HookError::Filter)?;
        let signs = options.signature.signs();
        let locked = row.locked.filter(|_| signs);
        // Without all of its valid secrets it signs with none: some receivers have the older one only.
        let secrets: Vec<_> = match locked {
            None if signs => row.secrets.into_iter().flat_map(Secret::new).collect(),
            _ => Vec::new(),
        };
        if secrets.is_empty() && locked.is_none() && signs {
            return Err(HookError::NoSecret);
        }
        Ok(Self {
            slot,
            account: row.account,
            active: row.active,
            locked,
            failing_since: row.failing_since,
            secrets_until: row.secrets_until,
            patterns: patterns.map_err(HookError::Pattern)?,
            subscriptions: row.subscriptions,
            filter,
            active_since: row.active_since,
            one_off: false,
            endpoint: Endpoint {
                id: row.id,
                url: CheckedUrl::parse(&row.url.unwrap_or_default()).map_err(HookError::Url)?,
                options,
                secrets,
            },
        })
    }

    /// The same webhook for one request that goes elsewhere and otherwise.
    pub fn redirected(&self, one_off: &OneOff) -> Result<Self, HookError> {
        Ok(Self {
            slot: self.slot,
            account: self.account.clone(),
            active: self.active,
            locked: None,
            failing_since: None,
            secrets_until: None,
            patterns: Vec::new(),
            subscriptions: Vec::new(),
            filter: None,
            active_since: self.active_since,
            one_off: true,
            endpoint: Endpoint {
                id: self.endpoint.id.clone(),
                url: CheckedUrl::parse(&one_off.url).map_err(HookError::Url)?,
                options: Options::parse(&one_off.options).map_err(HookError::Options)?,
                secrets: Vec::new(),
            },
        })
    }

    /// The webhook's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.endpoint.id
    }

    /// Its delivery options.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.endpoint.options
    }

    /// The limit for one whole exchange.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.endpoint.options.timeout
    }

    /// True when it takes events at all, if only to keep them.
    pub(super) fn takes(&self) -> bool {
        self.active || self.options().keep_backlog
    }

    /// True when the webhook wants the event, given that type or subscription fits.
    /// An inactive one wants it only to keep it.
    pub(super) fn wants(&self, event: &Event) -> bool {
        failpoint::pass("match");
        self.takes()
            && event.facts().created_at >= self.active_since
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| event.value().is_some_and(|data| filter.matches(data)))
    }
}
