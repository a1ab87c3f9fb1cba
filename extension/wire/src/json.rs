//! JSON as JavaScript would print it, losing nothing.
//!
//! Receivers often verify a signature over `JSON.stringify(JSON.parse(body))`, not over the bytes they got.
//! So bodies are written such that this changes nothing, wherever that is possible without losing a digit or
//! a key.

mod error;
mod number;
mod object;
mod string;
mod value;

pub use error::JsonError;
pub(crate) use string::write as write_string;
pub use value::value;

use object::Member;

/// Containers nested deeper than this are refused.
pub const MAX_DEPTH: usize = 1000;

/// Appends `src`, any JSON text, to `out` in compact canonical form: no white space, strings escaped and
/// numbers spelled as `JSON.stringify` does, keys that are array indices first and ascending.
///
/// What JavaScript cannot hold is kept as it is: numbers whose digits an `f64` loses, duplicate keys.
///
/// # Errors
/// [`JsonError`]; `out` is then as before.
pub fn canonical(src: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    let start = out.len();
    std::str::from_utf8(src).map_err(|_| JsonError::InvalidUtf8)?;
    out.reserve(src.len());
    let mut writer = Writer { src, at: 0, out, members: Vec::with_capacity(32) };
    let written = writer.document();
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Copies `src` from `at` on to `out`.
struct Writer<'a> {
    src: &'a [u8],
    at: usize,
    out: &'a mut Vec<u8>,
    /// The members of all objects that are open, the innermost last.
    members: Vec<Member>,
}

impl Writer<'_> {
    fn document(&mut self) -> Result<(), JsonError> {
        self.value(0)?;
        match self.token() {
            None => Ok(()),
            Some(_) => Err(self.unexpected()),
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        match self.token() {
            Some(b'"') => self.string(),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'-' | b'0'..=b'9') => {
                self.at = number::copy(self.src, self.at, self.out)?;
                Ok(())
            }
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => Err(self.unexpected()),
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.open(b'[', depth)?;
        if self.token() == Some(b']') {
            self.take(b']');
            return Ok(());
        }
        loop {
            self.value(depth)?;
            match self.token() {
                Some(b',') => self.take(b','),
                Some(b']') => break self.take(b']'),
                _ => return Err(self.unexpected()),
            }
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        self.open(b'{', depth)?;
        if self.token() == Some(b'}') {
            self.take(b'}');
            return Ok(());
        }
        let first = self.members.len();
        loop {
            self.member(depth)?;
            match self.token() {
                Some(b',') => self.take(b','),
                Some(b'}') => break,
                _ => return Err(self.unexpected()),
            }
        }
        object::order(&self.members[first..], self.out);
        self.members.truncate(first);
        self.take(b'}');
        Ok(())
    }

    fn member(&mut self, depth: usize) -> Result<(), JsonError> {
        if self.token() != Some(b'"') {
            return Err(self.unexpected());
        }
        let start = self.out.len();
        self.string()?;
        let key = &self.out[start + 1..self.out.len() - 1];
        self.members.push(Member::new(start, key));
        if self.token() != Some(b':') {
            return Err(self.unexpected());
        }
        self.take(b':');
        self.value(depth)
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at = string::copy(self.src, self.at, self.out)?;
        Ok(())
    }

    fn literal(&mut self, text: &[u8]) -> Result<(), JsonError> {
        if !self.src[self.at..].starts_with(text) {
            return Err(self.unexpected());
        }
        self.at += text.len();
        self.out.extend_from_slice(text);
        Ok(())
    }

    fn open(&mut self, bracket: u8, depth: usize) -> Result<(), JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.take(bracket);
        Ok(())
    }

    fn take(&mut self, byte: u8) {
        self.at += 1;
        self.out.push(byte);
    }

    /// The first byte of the next token; `at` stands there afterwards.
    fn token(&mut self) -> Option<u8> {
        while let Some(&byte) = self.src.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn unexpected(&self) -> JsonError {
        JsonError::Syntax { offset: self.at }
    }
}
