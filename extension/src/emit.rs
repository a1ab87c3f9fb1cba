//! `webhook_emit`: an event from SQL.

use std::borrow::Cow;

use pgrx::{
    PgBuiltInOids,
    datum::{DatumWithOid, TimestampWithTimeZone},
    fcinfo::{pg_arg_is_null, pg_getarg, pg_getarg_datum_raw},
    pg_extern, pg_sys,
    spi::Spi,
};
use webhook_wire::{event_type, id::Prefix};

use crate::{
    error::{Error, OrRaise},
    ids, jsonb,
    network_text::is_readable,
    outbox::{self, Event},
    privilege::as_superuser,
    schema, settings,
};

/// Longest key, account, source or idempotency key in bytes.
const MAX_LABEL_BYTES: usize = 1024;

#[pg_extern(sql = false)]
fn webhook_emit(fcinfo: pg_sys::FunctionCallInfo) -> String {
    // SAFETY: the SQL declaration has these seven arguments of these types.
    let (kind, data, key, idempotency_key, account, source, deliver_at) = unsafe {
        (
            pg_getarg::<&[u8]>(fcinfo, 0),
            (!pg_arg_is_null(fcinfo, 1)).then(|| pg_getarg_datum_raw(fcinfo, 1)),
            pg_getarg::<&[u8]>(fcinfo, 2),
            pg_getarg::<&[u8]>(fcinfo, 3),
            pg_getarg::<&[u8]>(fcinfo, 4),
            pg_getarg::<&[u8]>(fcinfo, 5),
            pg_getarg::<TimestampWithTimeZone>(fcinfo, 6),
        )
    };
    forbid_read_only();
    let Some(kind) = kind else { Error::Missing { argument: "type" }.raise() };
    event_type::check(&String::from_utf8_lossy(kind)).or_raise();
    let Some(data) = data else { Error::Missing { argument: "data" }.raise() };
    for (argument, label) in
        [("key", key), ("idempotency_key", idempotency_key), ("account", account), ("source", source)]
    {
        check_label(argument, label);
    }
    let default_account = settings::account();
    let account = account.or(default_account.as_deref());
    let data = jsonb::text(data);
    schema::enforce(kind, &data);
    let deliver_at = deliver_at.map(pg_sys::TimestampTz::from);
    if deliver_at.is_some_and(|at| at == pg_sys::TimestampTz::MIN || at == pg_sys::TimestampTz::MAX) {
        Error::OutOfRange {
            argument: "deliver_at",
            value: "infinity".to_owned(),
            hint: "Give a time, or nothing to deliver at once.",
        }
        .raise();
    }
    let event = Event { kind, data: &data, key, account, source, deliver_at, ..Event::default() };
    match idempotency_key {
        None => outbox::append(&event).as_ref().to_owned(),
        Some(idempotency_key) => append_once(&event, idempotency_key),
    }
}

#[pg_extern(sql = false)]
fn _append(fcinfo: pg_sys::FunctionCallInfo) -> String {
    // SAFETY: the SQL declaration has these six arguments of these types.
    let (kind, data, key, account, source, target) = unsafe {
        (
            pg_getarg::<&str>(fcinfo, 0),
            pg_getarg::<&[u8]>(fcinfo, 1),
            pg_getarg::<&[u8]>(fcinfo, 2),
            pg_getarg::<&[u8]>(fcinfo, 3),
            pg_getarg::<&[u8]>(fcinfo, 4),
            pg_getarg::<&[u8]>(fcinfo, 5),
        )
    };
    forbid_read_only();
    let (Some(kind), Some(data)) = (kind, data) else { Error::Missing { argument: "type" }.raise() };
    event_type::check(kind).or_raise();
    let event = Event { kind: kind.as_bytes(), data, key, account, source, target, ..Event::default() };
    outbox::append(&event).as_ref().to_owned()
}

/// Appends unless the key was used; then the first event's id is the answer.
fn append_once(event: &Event<'_>, key: &[u8]) -> String {
    let id = ids::next();
    let text = id.0.text(Prefix::Event);
    // A bytea has the bytes of a text behind the same kind of length, in whatever encoding the database has.
    // SAFETY: the values are of the types that they are named as.
    let args = unsafe {
        [event.account, Some(key), Some(text.as_ref().as_bytes())]
            .map(|t| DatumWithOid::new(t, PgBuiltInOids::TEXTOID.value()))
    };
    let first = as_superuser(|| {
        Spi::get_one_with_args::<String>("SELECT webhook._claim_idempotency($1, $2, $3)", &args)
    });
    let first = first.ok().flatten().unwrap_or_default();
    if first == text.as_ref() {
        outbox::append_as(id, event);
    }
    first
}

/// Raises 25006 in a read-only transaction and on a standby.
fn forbid_read_only() {
    // SAFETY: the name is NUL-terminated.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(c"webhook_emit()".as_ptr());
        pg_sys::PreventCommandDuringRecovery(c"webhook_emit()".as_ptr());
    }
}

fn check_label(argument: &'static str, label: Option<&[u8]>) {
    let Some(label) = label else { return };
    let bad = label.is_empty()
        || label.len() > MAX_LABEL_BYTES
        || label.iter().any(u8::is_ascii_control)
        || !is_readable(label);
    if bad {
        let shown: Cow<'_, str> = String::from_utf8_lossy(&label[..label.len().min(64)]);
        Error::OutOfRange {
            argument,
            value: shown.escape_debug().to_string(),
            hint: "Give 1 to 1024 bytes of text without control characters.",
        }
        .raise();
    }
}
