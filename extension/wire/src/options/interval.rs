//! Intervals as people and `PostgreSQL` write them.

use std::time::Duration;

const SECOND: f64 = 1.0;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 86_400.0;
const WEEK: f64 = 7.0 * DAY;

/// Reads `5 minutes`, `1h`, `00:05:00`, `1 day 02:00:00`, `100 milliseconds`, `PT5M` or a bare number of
/// seconds. `None` for anything else, months and years (their length varies) and negative intervals.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim().trim_start_matches('@').trim_start().to_ascii_lowercase();
    let seconds = match text.strip_prefix('p') {
        Some(iso) => iso_8601(iso)?,
        None => words(&text)?,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// Amounts with units and at most one clock time at the end.
fn words(text: &str) -> Option<f64> {
    if text.is_empty() {
        return None;
    }
    if let Some(seconds) = number(text) {
        return Some(seconds);
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let (amount, after) = split(rest, |char| char.is_ascii_digit() || char == '.');
        if after.starts_with(':') {
            return Some(total + clock(rest)?);
        }
        let (name, after) = split(after.trim_start(), |char| char.is_ascii_alphabetic());
        total += number(amount)? * unit(name)?;
        rest = after.trim_start();
    }
    Some(total)
}

/// `hh:mm` or `hh:mm:ss`, with a fraction of a second.
fn clock(text: &str) -> Option<f64> {
    let mut parts = text.split(':');
    let hours = number(parts.next()?)?;
    let minutes = number(parts.next()?)?;
    let seconds = parts.next().map_or(Some(0.0), number)?;
    let whole = [hours, minutes].iter().all(|part| part.fract() == 0.0);
    let valid = whole && parts.next().is_none() && minutes < 60.0 && seconds < 60.0;
    valid.then_some(hours * HOUR + minutes * MINUTE + seconds)
}

/// What follows the `P` of an ISO 8601 duration.
fn iso_8601(text: &str) -> Option<f64> {
    let (days, time) = text.split_once('t').unwrap_or((text, ""));
    let total = designated(days, &[('w', WEEK), ('d', DAY)])?
        + designated(time, &[('h', HOUR), ('m', MINUTE), ('s', SECOND)])?;
    (!(days.is_empty() && time.is_empty())).then_some(total)
}

fn designated(text: &str, units: &[(char, f64)]) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = text;
    for &(letter, length) in units {
        let (amount, after) = split(rest, |char| char.is_ascii_digit() || char == '.');
        if let Some(after) = after.strip_prefix(letter) {
            total += number(amount)? * length;
            rest = after;
        }
    }
    rest.is_empty().then_some(total)
}

/// Digits with at most one point.
fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

fn unit(name: &str) -> Option<f64> {
    match name {
        "us" | "usec" | "usecs" | "microsecond" | "microseconds" => Some(1e-6),
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => Some(1e-3),
        "s" | "sec" | "secs" | "second" | "seconds" => Some(SECOND),
        "m" | "min" | "mins" | "minute" | "minutes" => Some(MINUTE),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some(HOUR),
        "d" | "day" | "days" => Some(DAY),
        "w" | "week" | "weeks" => Some(WEEK),
        _ => None,
    }
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|char| !belongs(char)).unwrap_or(text.len()))
}
