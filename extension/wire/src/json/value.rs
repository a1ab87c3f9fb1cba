//! JSON as a tree, for filters.

use serde_json::{Map, Number, Value};

use super::{JsonError, canonical};

/// Reads any JSON text that [`canonical`] accepts. Where a tree cannot hold it, it is taken for the nearest
/// thing: a lone surrogate becomes U+FFFD, a number beyond `f64` the greatest one, of duplicate keys the last
/// counts.
///
/// # Errors
/// [`JsonError`], as from [`canonical`].
pub fn value(src: &[u8]) -> Result<Value, JsonError> {
    serde_json::from_slice(src).or_else(|_| {
        let mut text = Vec::new();
        canonical(src, &mut text)?;
        Ok(Reader { text: &text, at: 0 }.value())
    })
}

/// Reads canonical text, which needs no checks.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self) -> Value {
        match self.text[self.at] {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => Value::String(self.string()),
            _ => self.scalar(),
        }
    }

    fn array(&mut self) -> Value {
        let mut items = Vec::new();
        while self.enter(b']') {
            items.push(self.value());
        }
        Value::Array(items)
    }

    fn object(&mut self) -> Value {
        let mut members = Map::new();
        while self.enter(b'}') {
            let key = self.string();
            self.at += 1;
            let value = self.value();
            members.insert(key, value);
        }
        Value::Object(members)
    }

    /// Steps over an opening bracket or a comma to the next item, or over the end: then `false`.
    fn enter(&mut self, end: u8) -> bool {
        if self.text[self.at] != end {
            self.at += 1;
        }
        let more = self.text[self.at] != end;
        if !more {
            self.at += 1;
        }
        more
    }

    fn string(&mut self) -> String {
        let token = self.token(|text| {
            let mut end = 1;
            while text[end] != b'"' {
                end += if text[end] == b'\\' { 2 } else { 1 };
            }
            end + 1
        });
        serde_json::from_str(token)
            .unwrap_or_else(|_| serde_json::from_str(&replace_surrogates(token)).unwrap_or_default())
    }

    fn scalar(&mut self) -> Value {
        let token =
            self.token(|text| text.iter().position(|byte| b",]}".contains(byte)).unwrap_or(text.len()));
        serde_json::from_str(token).unwrap_or_else(|_| {
            let most = if token.starts_with('-') { f64::MIN } else { f64::MAX };
            Number::from_f64(most).map_or(Value::Null, Value::Number)
        })
    }

    fn token(&mut self, length: impl Fn(&[u8]) -> usize) -> &str {
        let rest = &self.text[self.at..];
        let token = &rest[..length(rest)];
        self.at += token.len();
        std::str::from_utf8(token).unwrap_or_default()
    }
}

/// In canonical text every `\ud…` is a lone surrogate.
fn replace_surrogates(token: &str) -> String {
    let mut out = String::with_capacity(token.len());
    let mut rest = token;
    while let Some(at) = rest.find('\\') {
        let length = if rest[at..].starts_with("\\u") { 6 } else { 2 };
        let (before, escape) = (&rest[..at], &rest[at..at + length]);
        out.push_str(before);
        out.push_str(if escape.starts_with("\\ud") { "\u{fffd}" } else { escape });
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}
