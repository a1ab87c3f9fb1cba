//! The `Retry-After` header of a response.

use std::time::{Duration, UNIX_EPOCH};

/// No receiver can hold a delivery back for longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait: the header's seconds, or the time until its date (none when it has passed), at most 24
/// hours. `None` when the header is neither.
pub fn parse(header: &str, now_unix: i64) -> Option<Duration> {
    let text = header.trim_matches([' ', '\t']);
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date = i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
    let wait = u64::try_from(date.saturating_sub(now_unix)).unwrap_or(0);
    Some(Duration::from_secs(wait).min(LONGEST))
}
