//! Strings as `JSON.stringify` writes them.

use super::JsonError;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Whether a byte stands for itself inside a string.
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < 0x20 {
        plain[byte] = false;
        byte += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\\' as usize] = false;
    plain
};

/// Copies the string token at `at` and returns where it ends. `src` is UTF-8.
pub(super) fn copy(src: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, JsonError> {
    let mut run = at;
    let mut at = at + 1;
    loop {
        at += plain_prefix(&src[at..]);
        match src.get(at) {
            Some(b'"') => {
                out.extend_from_slice(&src[run..=at]);
                return Ok(at + 1);
            }
            Some(b'\\') => {
                out.extend_from_slice(&src[run..at]);
                at = escape(src, at, out)?;
                run = at;
            }
            _ => return Err(JsonError::Syntax { offset: at }),
        }
    }
}

/// Writes text as a string token.
pub(crate) fn write(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_prefix(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = special.split_first() else { break };
        write_unit(u16::from(byte), out);
        rest = after;
    }
    out.push(b'"');
}

fn plain_prefix(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| !PLAIN[usize::from(byte)]).unwrap_or(bytes.len())
}

/// Copies the escape sequence at `at` and returns where it ends.
fn escape(src: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, JsonError> {
    let unit = match src.get(at + 1) {
        Some(&byte @ (b'"' | b'\\' | b'/')) => u16::from(byte),
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => 0x0a,
        Some(b'r') => 0x0d,
        Some(b't') => 0x09,
        Some(b'u') => return unicode_escape(src, at, out),
        _ => return Err(JsonError::Syntax { offset: at + 1 }),
    };
    write_unit(unit, out);
    Ok(at + 2)
}

/// Copies `\uXXXX`, together with a second one when both make a surrogate pair.
fn unicode_escape(src: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, JsonError> {
    let unit = hex_unit(src, at)?;
    let end = at + 6;
    if matches!(unit, 0xd800..=0xdbff)
        && src.get(end..end + 2) == Some(b"\\u")
        && let low @ 0xdc00..=0xdfff = hex_unit(src, end)?
    {
        let code = 0x1_0000 + ((u32::from(unit) & 0x3ff) << 10) + (u32::from(low) & 0x3ff);
        write_char(code, out);
        return Ok(end + 6);
    }
    write_unit(unit, out);
    Ok(end)
}

/// The code unit of the `\uXXXX` at `at`.
fn hex_unit(src: &[u8], at: usize) -> Result<u16, JsonError> {
    (at + 2..at + 6).try_fold(0, |unit, at| {
        let digit = src.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        digit.map(|digit| unit << 4 | digit as u16).ok_or(JsonError::Syntax { offset: at })
    })
}

/// Writes one UTF-16 code unit, escaped where `JSON.stringify` escapes it (a surrogate that comes here is
/// alone).
fn write_unit(unit: u16, out: &mut Vec<u8>) {
    match unit {
        0x22 => out.extend_from_slice(b"\\\""),
        0x5c => out.extend_from_slice(b"\\\\"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0c => out.extend_from_slice(b"\\f"),
        0x0a => out.extend_from_slice(b"\\n"),
        0x0d => out.extend_from_slice(b"\\r"),
        0x09 => out.extend_from_slice(b"\\t"),
        0..=0x1f | 0xd800..=0xdfff => {
            out.extend_from_slice(b"\\u");
            out.extend([12, 8, 4, 0].map(|shift| HEX[usize::from(unit >> shift & 15)]));
        }
        _ => write_char(u32::from(unit), out),
    }
}

fn write_char(code: u32, out: &mut Vec<u8>) {
    let char = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}
