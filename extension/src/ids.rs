//! Ids of this session, and the epoch of this cluster and database.

use std::{cell::RefCell, time::SystemTime};

use pgrx::{datum::TimestampWithTimeZone, pg_extern, pg_sys};
use webhook_wire::id::{self, Generator, Id, IdError, Prefix};

use crate::error::{Error, OrRaise};

/// Microseconds between 1970-01-01 and 2000-01-01, where Postgres counts from.
pub const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

thread_local! {
    static GENERATOR: RefCell<Generator> = RefCell::new(Generator::default());
}

/// A new id and its time as Postgres counts it (microseconds since 2000).
pub fn next() -> (Id, pg_sys::TimestampTz) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let id = GENERATOR.with_borrow_mut(|generator| generator.next(now.as_nanos() as u64, random()));
    // The id runs ahead of a clock that stands or steps back; the event's time follows the id.
    let micros = (now.as_micros() as i64).max(id.unix_millis() as i64 * 1000);
    (id, micros - POSTGRES_EPOCH_MICROS)
}

/// 64 bits from Postgres' strong random source, fetched in larger pieces: one call of it costs as much as the rest of an event.
fn random() -> u64 {
    thread_local! {
        static STORE: RefCell<([[u8; 8]; 64], usize)> = const { RefCell::new(([[0; 8]; 64], 64)) };
    }
    STORE.with_borrow_mut(|(store, used)| {
        if *used == store.len() {
            fill_random(store.as_flattened_mut());
            *used = 0;
        }
        *used += 1;
        u64::from_ne_bytes(store[*used - 1])
    })
}

/// Fills a buffer from Postgres' strong random source.
pub fn fill_random(bytes: &mut [u8]) {
    // SAFETY: the pointer and length are of a live, writable buffer.
    let filled = unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), bytes.len()) };
    assert!(filled, "no source of strong random numbers");
}

/// This cluster and database as a number (FNV-1a of the system identifier and the database's oid).
pub fn epoch() -> i32 {
    // SAFETY: both read variables that are set for the life of a backend.
    let (system, database) = unsafe { (pg_sys::GetSystemIdentifier(), pg_sys::MyDatabaseId) };
    let mut hash = 0x811c_9dc5_u32;
    for byte in system.to_be_bytes().into_iter().chain(database.to_u32().to_be_bytes()) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash as i32
}

fn prefix(text: &str) -> Prefix {
    match text {
        "wh" => Prefix::Webhook,
        "evt" => Prefix::Event,
        "src" => Prefix::Source,
        "sub" => Prefix::Subscription,
        "del" => Prefix::Delivery,
        other => Error::OutOfRange {
            argument: "prefix",
            value: other.to_owned(),
            hint: "Prefixes are wh, evt, src, sub and del.",
        }
        .raise(),
    }
}

#[pg_extern(sql = false)]
fn _new_id(kind: &str) -> String {
    next().0.text(prefix(kind)).as_ref().to_owned()
}

#[pg_extern(sql = false)]
fn _delivery_id(event_id: &str, webhook_id: &str) -> String {
    id::delivery(event_id, webhook_id).or_raise()
}

#[pg_extern(sql = false)]
fn _id_time(id: &str) -> TimestampWithTimeZone {
    let micros = id::unix_millis(id).or_raise() as i64 * 1000 - POSTGRES_EPOCH_MICROS;
    // 48 bits of milliseconds end in the year 10889, far inside the range of timestamptz.
    TimestampWithTimeZone::try_from(micros).expect("an id's time is a timestamptz")
}

#[pg_extern(sql = false)]
fn _id_floor(kind: &str, at: TimestampWithTimeZone) -> String {
    let micros: i64 = at.into();
    // Either infinity is a time too.
    id::floor(prefix(kind), (micros.saturating_add(POSTGRES_EPOCH_MICROS) / 1000).max(0) as u64)
}

/// The kind is all that is wrong with an id: one that nothing can have is not found where it is looked up.
#[pg_extern(sql = false)]
fn _check_id<'a>(kind: &str, id: Option<&'a str>) -> &'a str {
    let Some(id) = id else { Error::Missing { argument: "id" }.raise() };
    match id::parse(prefix(kind), id) {
        Err(error @ IdError::Prefix { .. }) => Error::from(error).raise(),
        _ => id,
    }
}

#[pg_extern(sql = false)]
fn _epoch() -> i32 {
    epoch()
}
