//! The rows that `_relay_read` returns.

use std::borrow::Cow;

use pgrx::{IntoDatum, PgMemoryContexts, pg_sys, varlena};

use super::scan::Scan;
use crate::{network_text, outbox::column};

/// Columns of its result, in the order of `sql/relay/read.sql`.
const COLUMNS: usize = 15;

type Row = [Option<pg_sys::Datum>; COLUMNS];

/// Rows on their way.
pub struct Page {
    result: *mut pg_sys::ReturnSetInfo,
    /// What one row takes beside its place in the result.
    memory: PgMemoryContexts,
}

impl Page {
    /// An empty one, for the caller of that function.
    pub fn of(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        // SAFETY: the call is under way, of a function that returns a set of rows.
        let result = unsafe {
            pg_sys::InitMaterializedSRF(fcinfo, 0);
            (*fcinfo).resultinfo.cast()
        };
        Self { result, memory: PgMemoryContexts::new("webhook page") }
    }

    /// Adds an event, and tells how many bytes its JSON has as it is stored.
    pub fn push(&mut self, event: &Scan) -> i64 {
        let weight =
            [column::DATA, column::PREVIOUS].into_iter().filter_map(|of| event.value(of)).map(octets).sum();
        let result = self.result;
        // SAFETY: what is made in there is copied into the result before it is reset.
        unsafe {
            self.memory.switch_to(|_| {
                let text = |column| event.value(column).map(detoasted);
                put(
                    result,
                    &[
                        text(column::ID),
                        text(column::TYPE),
                        event.value(column::CREATED_AT),
                        text(column::DATA).map(in_utf8),
                        text(column::PREVIOUS).map(in_utf8),
                        text(column::KEY),
                        text(column::ACCOUNT),
                        text(column::SOURCE),
                        event.value(column::DELIVER_AT).and_then(wait_ms).and_then(IntoDatum::into_datum),
                        text(column::TARGET),
                        event.value(column::SEQ),
                        event.value(column::XID),
                        None,
                        None,
                        None,
                    ],
                );
            });
            self.memory.reset();
        }
        weight
    }

    /// Adds the last row.
    pub fn end(self, more: &str, next: &str, changed: bool) {
        let mut row: Row = [None; COLUMNS];
        row[12] = more.into_datum();
        row[13] = next.into_datum();
        row[14] = changed.into_datum();
        put(self.result, &row);
    }
}

fn put(result: *mut pg_sys::ReturnSetInfo, row: &Row) {
    let mut values = row.map(|value| value.unwrap_or(pg_sys::Datum::null()));
    let mut nulls = row.map(|value| value.is_none());
    // SAFETY: the result was begun in `Page::of`; the values are of its columns' types.
    unsafe {
        let (rows, columns) = ((*result).setResult, (*result).setDesc);
        pg_sys::tuplestore_putvalues(rows, columns, values.as_mut_ptr(), nulls.as_mut_ptr());
    }
}

/// By its header: a large value is not read for it.
fn octets(value: pg_sys::Datum) -> i64 {
    // SAFETY: a json of an open row.
    let size = unsafe { pg_sys::toast_raw_datum_size(value) };
    size as i64 - pg_sys::VARHDRSZ as i64
}

/// The value itself where it was stored elsewhere or compressed.
fn detoasted(value: pg_sys::Datum) -> pg_sys::Datum {
    // SAFETY: a text or json of an open row.
    unsafe { pg_sys::pg_detoast_datum_packed(value.cast_mut_ptr()) }.into()
}

/// A json's text as UTF-8 bytes, never an error: what cannot be converted stays as it is, for the relay to refuse alone.
fn in_utf8(json: pg_sys::Datum) -> pg_sys::Datum {
    // SAFETY: it is detoasted, and lives in an open row or in this row's memory.
    match network_text::to_utf8(unsafe { varlena::varlena_to_byte_slice(json.cast_mut_ptr()) }) {
        // json and bytea are the same bytes behind a length.
        Cow::Borrowed(_) => json,
        Cow::Owned(bytes) => bytes.into_datum().unwrap_or(json),
    }
}

/// How long it is to wait, by this server's clock: the relay's may be wrong.
fn wait_ms(until: pg_sys::Datum) -> Option<i64> {
    // SAFETY: reads the clock.
    let left = (until.value() as i64).saturating_sub(unsafe { pg_sys::GetCurrentTimestamp() });
    (left > 0).then(|| left.saturating_add(999) / 1000)
}
