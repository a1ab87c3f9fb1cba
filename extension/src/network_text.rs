//! Text between the database's encoding and the network's UTF-8, never failing.

use std::borrow::Cow;

use pgrx::{pg_extern, pg_sys};

use crate::error::Error;

/// Bytes of this database's encoding as UTF-8. What cannot be converted stays as it is.
pub fn to_utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    convert(bytes, database_encoding(), UTF8).unwrap_or(Cow::Borrowed(bytes))
}

/// A text of this database, as the relay reads it. One that it could not read at all would stop it for everybody: that is refused.
pub fn text(bytes: &[u8]) -> String {
    if !is_readable(bytes) {
        Error::NotUtf8.raise();
    }
    String::from_utf8_lossy(&to_utf8(bytes)).into_owned()
}

/// UTF-8 as this database's encoding; NUL and what the encoding cannot hold become `?`.
pub fn from_utf8_lossy(bytes: &[u8]) -> Vec<u8> {
    let clean = String::from_utf8_lossy(bytes).replace('\0', "?");
    convert(clean.as_bytes(), UTF8, database_encoding()).map_or_else(
        || {
            let mut buffer = [0_u8; 4];
            clean
                .chars()
                .flat_map(|c| {
                    convert(c.encode_utf8(&mut buffer).as_bytes(), UTF8, database_encoding())
                        .map_or_else(|| vec![b'?'], Cow::into_owned)
                })
                .collect()
        },
        Cow::into_owned,
    )
}

/// Whether Postgres can hand the text to a client that speaks UTF-8; only SQL_ASCII lets in what it cannot.
pub fn is_readable(bytes: &[u8]) -> bool {
    bytes.is_ascii() || database_encoding() != SQL_ASCII || std::str::from_utf8(bytes).is_ok()
}

const UTF8: i32 = pg_sys::pg_enc::PG_UTF8 as i32;
const SQL_ASCII: i32 = pg_sys::pg_enc::PG_SQL_ASCII as i32;

fn database_encoding() -> i32 {
    // SAFETY: reads a variable that is set for the life of a backend.
    unsafe { pg_sys::GetDatabaseEncoding() }
}

/// Converts between encodings; `None` when a character has no equivalent.
fn convert(bytes: &[u8], from: i32, to: i32) -> Option<Cow<'_, [u8]>> {
    if from == to || from == SQL_ASCII || to == SQL_ASCII || bytes.is_ascii() {
        return Some(Cow::Borrowed(bytes));
    }
    // No encoding needs more than four times the bytes (MAX_CONVERSION_GROWTH).
    let mut out = vec![0_u8; bytes.len() * 4 + 1];
    // SAFETY: the buffers live through the call, lengths are theirs, and with noError it reports instead of raising.
    let taken = unsafe {
        let procedure = pg_sys::FindDefaultConversionProc(from, to);
        if procedure == pg_sys::InvalidOid {
            return None;
        }
        pg_sys::pg_do_encoding_conversion_buf(
            procedure,
            from,
            to,
            bytes.as_ptr().cast_mut(),
            bytes.len() as i32,
            out.as_mut_ptr().cast(),
            out.len() as i32,
            true,
        )
    };
    if usize::try_from(taken).ok()? != bytes.len() {
        return None;
    }
    let end = out.iter().position(|b| *b == 0)?;
    out.truncate(end);
    Some(Cow::Owned(out))
}

// json, bytea and text are the same bytes behind a length, so the raw value is what we want here.
#[pg_extern(sql = false)]
fn _bytes(value: &[u8]) -> Vec<u8> {
    to_utf8(value).into_owned()
}

#[pg_extern(sql = false)]
fn _readable(bytes: &[u8]) -> Vec<u8> {
    from_utf8_lossy(bytes)
}

#[pg_extern(sql = false)]
fn _is_readable(value: &[u8]) -> bool {
    is_readable(value)
}
