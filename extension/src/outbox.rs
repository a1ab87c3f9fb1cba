//! Appending to the outbox: one row, no joins, no shared locks, no SQL.
//!
//! Rows are collected and inserted together: when a query is about to look at our tables, before a utility command, before
//! the end of the transaction, or when a few hundred have come together. So a statement that changes many rows pays per row
//! little more than making its JSON.

use std::cell::{Cell, RefCell};

use pgrx::pg_sys;
use webhook_wire::id::{Id, IdText, Prefix};

use crate::{error::Error, ids, settings, unguarded, wakeup, wal};

mod batch;
mod hooks;
mod indexes;
mod insert;
mod partition;
mod texts;

use texts::Texts;

/// An event to append. Text is in the database's encoding.
#[derive(Clone, Copy, Default)]
pub struct Event<'a> {
    /// The event type, already checked.
    pub kind: &'a [u8],
    /// JSON text.
    pub data: &'a [u8],
    /// JSON text of the old values of changed columns.
    pub previous: Option<&'a [u8]>,
    /// The ordering key.
    pub key: Option<&'a [u8]>,
    /// The tenant.
    pub account: Option<&'a [u8]>,
    /// The source's id.
    pub source: Option<&'a [u8]>,
    /// Not before this time (microseconds since 2000).
    pub deliver_at: Option<pg_sys::TimestampTz>,
    /// For this webhook alone.
    pub target: Option<&'a [u8]>,
}

/// Columns of `webhook.events`, counted from 1 in the order of `sql/schema/events.sql`.
pub mod column {
    pub const ID: i16 = 1;
    pub const TYPE: i16 = 2;
    pub const CREATED_AT: i16 = 3;
    pub const DATA: i16 = 4;
    pub const PREVIOUS: i16 = 5;
    pub const KEY: i16 = 6;
    pub const ACCOUNT: i16 = 7;
    pub const SOURCE: i16 = 8;
    pub const DELIVER_AT: i16 = 9;
    pub const TARGET: i16 = 10;
    pub const EPOCH: i16 = 11;
    pub const XID: i16 = 12;
    pub const SEQ: i16 = 13;
}
const COLUMNS: usize = column::SEQ as usize;

thread_local! {
    /// The seq of this session's last event.
    static LAST_SEQ: Cell<u64> = const { Cell::new(0) };
    static TEXTS: RefCell<Texts> = const { RefCell::new(Texts::new()) };
}

/// Registers hooks and callbacks of this session.
pub fn register() {
    batch::register();
    hooks::register();
}

/// Appends an event in the current transaction and returns its id.
pub fn append(event: &Event<'_>) -> IdText {
    append_as(ids::next(), event)
}

/// Appends an event under an id that was made before.
pub fn append_as((id, created_at): (Id, pg_sys::TimestampTz), event: &Event<'_>) -> IdText {
    let limit = settings::MAX_PAYLOAD_BYTES.get() as usize;
    if event.data.len() > limit {
        Error::PayloadTooLarge { bytes: event.data.len(), limit }.raise();
    }
    // The id comes first: the reader relies on it that a transaction emits nothing below the WAL position at which it got its id.
    let xid = transaction_id();
    // Larger than any position that a transaction committed before this moment can have used, and unique in this session.
    let seq = LAST_SEQ.get().saturating_add(1).max(wal::position());
    LAST_SEQ.set(seq);
    let text = id.text(Prefix::Event);
    TEXTS.with_borrow_mut(|texts| {
        texts.clear();
        let mut keep = |bytes: &[u8]| texts.push(bytes);
        let places = [
            (column::ID, Some(keep(text.as_ref().as_bytes()))),
            (column::TYPE, Some(keep(event.kind))),
            (column::DATA, Some(keep(event.data))),
            (column::PREVIOUS, event.previous.map(&mut keep)),
            (column::KEY, event.key.map(&mut keep)),
            (column::ACCOUNT, event.account.map(&mut keep)),
            (column::SOURCE, event.source.map(&mut keep)),
            (column::TARGET, event.target.map(&mut keep)),
        ];
        let mut columns = [None; COLUMNS];
        let mut set = |column: i16, value| columns[column as usize - 1] = value;
        for (column, place) in places {
            set(column, place.map(|place| texts.datum(place)));
        }
        set(column::CREATED_AT, Some(pg_sys::Datum::from(created_at)));
        set(column::DELIVER_AT, event.deliver_at.map(pg_sys::Datum::from));
        set(column::EPOCH, Some(pg_sys::Datum::from(ids::epoch())));
        set(column::XID, Some(pg_sys::Datum::from(xid)));
        set(column::SEQ, Some(pg_sys::Datum::from(seq)));
        batch::push(created_at, &columns);
    });
    wakeup::emitted();
    text
}

/// Inserts what waits of the current subtransaction.
pub fn flush() {
    batch::flush();
}

/// The top-level transaction's id, given to it now if it has none.
fn transaction_id() -> u64 {
    // SAFETY: both read this transaction's state; the second one may write to it.
    unsafe {
        match unguarded::GetTopFullTransactionIdIfAny().value {
            0 => pg_sys::GetTopFullTransactionId().value,
            known => known,
        }
    }
}
