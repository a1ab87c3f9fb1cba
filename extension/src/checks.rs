//! Checks of what users give, for the SQL functions: each returns its argument in normal form or raises 22023.

use std::cell::RefCell;

use pgrx::pg_extern;
use serde_json::Value;
use webhook_wire::{
    event_type::{self, Pattern},
    filter::Filter,
    json,
    options::Options,
    secret::{self, Secret},
    target::CheckedUrl,
};

use crate::{
    error::{Error, OrRaise},
    jsonb::Jsonb,
    network_text::{text, to_utf8},
};

#[pg_extern(sql = false)]
fn _check_url(url: Option<&[u8]>) -> &[u8] {
    let Some(url) = url else { Error::Missing { argument: "url" }.raise() };
    CheckedUrl::parse(&text(url)).or_raise();
    url
}

#[pg_extern(sql = false)]
fn _check_patterns(events: Option<Vec<Option<String>>>) -> Vec<String> {
    let Some(events) = events else { Error::Missing { argument: "events" }.raise() };
    let mut patterns: Vec<String> = Vec::with_capacity(events.len());
    for pattern in events {
        let Some(pattern) = pattern else { Error::Missing { argument: "an event pattern" }.raise() };
        Pattern::parse(&pattern).or_raise();
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    patterns
}

#[pg_extern(sql = false)]
fn _check_event_type(kind: Option<&[u8]>) -> &[u8] {
    let Some(kind) = kind else { Error::Missing { argument: "event type" }.raise() };
    event_type::check(&text(kind)).or_raise();
    kind
}

#[pg_extern(sql = false)]
fn _check_filter(filter_config: Option<Jsonb>) -> Option<Jsonb> {
    let filter_config = filter_config?;
    Filter::parse(&filter_config.0).or_raise();
    Some(filter_config)
}

#[pg_extern(sql = false)]
fn _check_options(options: Option<Jsonb>) -> Jsonb {
    let options = options.map_or(Value::Null, |options| options.0);
    Options::parse(&options).or_raise();
    let mut set = if let Value::Object(options) = options { options } else { serde_json::Map::new() };
    set.retain(|_, value| !value.is_null());
    Jsonb(Value::Object(set))
}

#[pg_extern(sql = false)]
fn _check_secret(secret: Option<&[u8]>) -> &[u8] {
    let Some(secret) = secret else { Error::Missing { argument: "secret" }.raise() };
    Secret::new(text(secret)).or_raise();
    secret
}

/// The signature option and the newest secret fit each other.
#[pg_extern(sql = false)]
fn _check_signing(options: Option<Jsonb>, kind: Option<&str>) {
    let (Some(options), Some(kind)) = (options, kind) else { return };
    Options::parse(&options.0).or_raise().signature.check_kind(&secret::kind_of(kind)).or_raise();
}

#[pg_extern(sql = false)]
fn _origin(url: &[u8]) -> String {
    let url = CheckedUrl::parse(&text(url)).or_raise();
    format!("{}://{}:{}", url.scheme(), url.host(), url.port())
}

#[pg_extern(sql = false)]
fn _pattern_matches(events: Vec<Option<String>>, kind: &str) -> bool {
    events.iter().flatten().any(|pattern| Pattern::parse(pattern).is_ok_and(|pattern| pattern.matches(kind)))
}

#[pg_extern(sql = false)]
fn _nearest(word: &str, known: Vec<Option<String>>) -> Vec<String> {
    let known: Vec<String> = known.into_iter().flatten().collect();
    event_type::nearest(word, known.iter().map(String::as_str), 3).into_iter().map(str::to_owned).collect()
}

#[pg_extern(sql = false)]
fn webhook_filter_test(filter_config: Jsonb, payload: Jsonb) -> bool {
    Filter::parse(&filter_config.0).or_raise().matches(&payload.0)
}

thread_local! {
    /// The filter that was asked for last, by its text: one is held against many events.
    static LAST_FILTER: RefCell<Option<(Vec<u8>, Filter)>> = const { RefCell::new(None) };
}

// A json is the same bytes as a text behind the same kind of length.
#[pg_extern(sql = false)]
fn _filter_miss(filter_config: Option<&[u8]>, data: Option<&[u8]>) -> Option<String> {
    let wanted = filter_config?;
    pgrx::check_for_interrupts!();
    let known = LAST_FILTER.with_borrow(|last| last.as_ref().is_some_and(|(known, _)| known == wanted));
    if !known {
        let filter = Filter::parse(&json::value(&to_utf8(wanted)).or_raise()).or_raise();
        LAST_FILTER.set(Some((wanted.to_vec(), filter)));
    }
    let Ok(data) = json::value(&to_utf8(data.unwrap_or_default())) else {
        return Some("the data is not JSON in UTF-8".to_owned());
    };
    LAST_FILTER.with_borrow(|last| {
        let (_, filter) = last.as_ref()?;
        if filter.matches(&data) {
            None
        } else {
            Some(filter.explain(&data).unwrap_or_else(|| "no clause holds".to_owned()))
        }
    })
}
