//! Keys and accounts of rows, in a form that can be indexed and that the relay can read.

use pgrx::{IntoDatum, direct_function_call, pg_sys};

use crate::network_text::is_readable;

/// Longest label that is kept as it is, in bytes.
const MOST_BYTES: usize = 1024;

/// The text itself, or its digest when it is long or in an SQL_ASCII database holds what is not UTF-8: equal rows still
/// have equal keys, and other rows others.
pub fn of(text: Vec<u8>) -> Vec<u8> {
    if text.len() <= MOST_BYTES && is_readable(&text) {
        return text;
    }
    // SAFETY: sha256 takes a bytea and returns one.
    let digest = unsafe { direct_function_call::<&[u8]>(pg_sys::sha256_bytea, &[text.into_datum()]) };
    let mut out = b"sha256:".to_vec();
    for byte in digest.unwrap_or_default() {
        out.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    out
}
