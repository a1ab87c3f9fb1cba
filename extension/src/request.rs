//! Requests as the relay would send them, for `webhook_attempts` and `webhook_render`.

use pgrx::{
    Json, datum::TimestampWithTimeZone, fcinfo::pg_getarg, iter::TableIterator, name, pg_extern, pg_sys,
};
use serde_json::{Map, Value};
use webhook_wire::{
    body::{self, EventRef},
    json::JsonError,
    options::Options,
    request::{self, Endpoint, Request},
    secret::{self, Secret},
    target::CheckedUrl,
};

use crate::{error::OrRaise, ids::POSTGRES_EPOCH_MICROS, jsonb::Jsonb, network_text::to_utf8};

/// Milliseconds since 1970.
fn unix_millis(at: TimestampWithTimeZone) -> i64 {
    let micros: i64 = at.into();
    (micros + POSTGRES_EPOCH_MICROS).div_euclid(1000)
}

/// The request and body of these arguments: an endpoint, an event, the delivery's id and the time; `secret` makes the
/// secrets of the fourth. `None` if one is missing that there must be.
///
/// # Safety
/// The function must be declared in SQL with the arguments of `webhook._headers`.
unsafe fn rendered(
    fcinfo: pg_sys::FunctionCallInfo,
    secret: impl Fn(String) -> Secret,
) -> Option<Result<(Request, Vec<u8>), JsonError>> {
    // SAFETY: the caller's promise.
    unsafe {
        let text = |n| {
            pg_getarg::<&[u8]>(fcinfo, n).map(|bytes| String::from_utf8_lossy(&to_utf8(bytes)).into_owned())
        };
        let secrets: Vec<Option<String>> = pg_getarg(fcinfo, 3)?;
        let endpoint = Endpoint {
            id: text(0)?,
            url: CheckedUrl::parse(&text(1)?).or_raise(),
            options: Options::parse(&pg_getarg::<Jsonb>(fcinfo, 2)?.0).or_raise(),
            secrets: secrets.into_iter().flatten().map(secret).collect(),
        };
        let (event_id, kind) = (text(4)?, text(5)?);
        let data = to_utf8(pg_getarg::<&[u8]>(fcinfo, 7)?);
        let previous = pg_getarg::<&[u8]>(fcinfo, 8).map(to_utf8);
        let (key, source) = (text(9), text(10));
        let event = EventRef {
            id: &event_id,
            kind: &kind,
            created_at_ms: unix_millis(pg_getarg(fcinfo, 6)?),
            data: &data,
            previous: previous.as_deref(),
            key: key.as_deref(),
            source: source.as_deref(),
        };
        let delivery_id = text(11)?;
        let at = unix_millis(pg_getarg(fcinfo, 12)?);
        Some(body::write(endpoint.options.format, &event).map(|body| {
            let request = request::render(&endpoint, &event, &delivery_id, &body, at.div_euclid(1000));
            (request, body)
        }))
    }
}

fn object(headers: Vec<(String, String)>) -> Value {
    Value::Object(headers.into_iter().map(|(name, value)| (name, Value::from(value))).collect::<Map<_, _>>())
}

#[pg_extern(sql = false)]
fn _headers(fcinfo: pg_sys::FunctionCallInfo) -> Option<Jsonb> {
    // SAFETY: that is its declaration. An event that cannot be sent had no request.
    let (request, _) = unsafe { rendered(fcinfo, |kind| Secret::stand_in(&secret::kind_of(&kind))) }?.ok()?;
    Some(Jsonb(object(request::redacted(&request))))
}

#[pg_extern(sql = false)]
fn _render(
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (name!(method, String), name!(url, String), name!(headers, Json), name!(body, Vec<u8>)),
> {
    // SAFETY: it is declared with the same arguments.
    let row = unsafe { rendered(fcinfo, |secret| Secret::new(secret).or_raise()) }.map(|rendered| {
        let (request, body) = rendered.or_raise();
        (request.method.to_owned(), request.url.clone(), Json(object(request.headers)), body)
    });
    TableIterator::new(row)
}
