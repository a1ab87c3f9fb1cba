//! Numbers as JavaScript prints them, wherever that is exactly the same number.

use super::JsonError;

/// Decimal digits that every `f64` of the ordinary range gives back unchanged.
const SAFE_DIGITS: usize = 15;
/// No `f64` is told apart by more digits than these.
const MOST_DIGITS: usize = 17;
/// The ordinary range: powers of ten well inside it, so that nothing under- or overflows.
const SAFE_POINT: u64 = 300;

/// Copies the number token at `at` and returns where it ends.
pub(super) fn copy(src: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, JsonError> {
    let token = Token::scan(src, at)?;
    let text = &src[at..token.end];
    let integer = &src[token.integer..token.fraction];
    if token.end == token.fraction && integer.len() <= SAFE_DIGITS {
        // The common case: a short integer is its own spelling, but for -0.
        out.extend_from_slice(if integer == b"0" { integer } else { text });
        return Ok(token.end);
    }
    let negative = token.integer > at;
    match Decimal::of(&token, src) {
        None => out.push(b'0'),
        Some(decimal) if decimal.survives(text) => {
            if negative {
                out.push(b'-');
            }
            decimal.write(out);
        }
        Some(_) => out.extend_from_slice(text),
    }
    Ok(token.end)
}

/// Where the parts of a number lie: `-` integer `.` fraction `e` exponent.
struct Token {
    integer: usize,
    /// End of the integer, where a point may stand.
    fraction: usize,
    /// End of the fraction, where an `e` may stand.
    exponent: usize,
    end: usize,
}

impl Token {
    fn scan(src: &[u8], at: usize) -> Result<Self, JsonError> {
        let integer = at + usize::from(src[at] == b'-');
        let fraction = if src.get(integer) == Some(&b'0') { integer + 1 } else { digits(src, integer)? };
        let exponent = if src.get(fraction) == Some(&b'.') { digits(src, fraction + 1)? } else { fraction };
        let mut end = exponent;
        if matches!(src.get(exponent), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(src.get(exponent + 1), Some(b'+' | b'-')));
            end = digits(src, exponent + 1 + sign)?;
        }
        Ok(Self { integer, fraction, exponent, end })
    }
}

/// The end of the run of digits at `at`; there must be one.
fn digits(src: &[u8], at: usize) -> Result<usize, JsonError> {
    let length = src[at..].iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(src.len() - at);
    if length == 0 { Err(JsonError::Syntax { offset: at }) } else { Ok(at + length) }
}

/// `0.digits` times ten to the power of `point`, whatever the sign; the first and the last digit are not 0.
#[derive(PartialEq)]
struct Decimal {
    digits: [u8; MOST_DIGITS],
    /// How many digits there are; more than [`MOST_DIGITS`] when they did not fit.
    len: usize,
    point: i64,
}

impl Decimal {
    /// `None` for zero.
    fn of(token: &Token, src: &[u8]) -> Option<Self> {
        let integer = &src[token.integer..token.fraction];
        let fraction = src.get(token.fraction + 1..token.exponent).unwrap_or_default();
        let all = || integer.iter().chain(fraction);
        let leading = all().position(|&digit| digit != b'0')?;
        let trailing = all().rev().position(|&digit| digit != b'0')?;
        let len = integer.len() + fraction.len() - leading - trailing;
        let mut digits = [b'0'; MOST_DIGITS];
        digits.iter_mut().zip(all().skip(leading).take(len)).for_each(|(to, &digit)| *to = digit);
        let exponent = exponent(src.get(token.exponent + 1..token.end).unwrap_or_default());
        let point = exponent.saturating_add(integer.len() as i64 - leading as i64);
        Some(Self { digits, len, point })
    }

    /// Whether reading `text` into an `f64` and printing it gives these digits.
    fn survives(&self, text: &[u8]) -> bool {
        if self.len > MOST_DIGITS {
            return false;
        }
        if self.len <= SAFE_DIGITS && self.point.unsigned_abs() < SAFE_POINT {
            return true;
        }
        let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
        // Like JavaScript's engines, and unlike Rust's own formatting, serde_json breaks ties between two
        // shortest spellings towards the even digit.
        value.and_then(|value| serde_json::to_string(&value).ok()).is_some_and(|printed| {
            let printed = printed.as_bytes();
            Token::scan(printed, 0)
                .ok()
                .and_then(|token| Self::of(&token, printed))
                .is_some_and(|other| other == *self)
        })
    }

    /// ECMAScript's `Number::toString`.
    fn write(&self, out: &mut Vec<u8>) {
        let digits = &self.digits[..self.len];
        let len = self.len as i64;
        match self.point {
            point if len <= point && point <= 21 => {
                out.extend_from_slice(digits);
                zeros(point - len, out);
            }
            point @ 1..=21 => {
                let (integer, fraction) = digits.split_at(point as usize);
                out.extend_from_slice(integer);
                out.push(b'.');
                out.extend_from_slice(fraction);
            }
            point @ -5..=0 => {
                out.extend_from_slice(b"0.");
                zeros(-point, out);
                out.extend_from_slice(digits);
            }
            point => {
                out.push(digits[0]);
                if len > 1 {
                    out.push(b'.');
                    out.extend_from_slice(&digits[1..]);
                }
                out.extend_from_slice(format!("e{:+}", point - 1).as_bytes());
            }
        }
    }
}

fn zeros(count: i64, out: &mut Vec<u8>) {
    out.extend((0..count).map(|_| b'0'));
}

/// A signed exponent; one that does not fit is as good as infinite.
fn exponent(text: &[u8]) -> i64 {
    let negative = text.first() == Some(&b'-');
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let size = digits
        .iter()
        .fold(0_i64, |size, digit| size.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    if negative { -size } else { size }
}
