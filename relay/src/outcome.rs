//! What one HTTP exchange means: pure decisions, without clock, network or chance of their own.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

/// `Retry-After` is obeyed up to this long.
pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What a receiver answered.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its `Retry-After`, already bounded.
    pub retry_after: Option<Duration>,
    /// Headers as a JSON object, if they are to be stored.
    pub headers: Option<String>,
    /// The first bytes of the body, if they are to be stored.
    pub body: Option<Bytes>,
    /// How the reading of its body ended.
    pub end: BodyEnd,
}

/// How much of an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// To its end within reason, because a new connection costs more than that.
    Whole,
    /// No more than its beginning: such a receiver's answers do not end.
    Start,
}

/// How the reading of an answer's body ended. Whatever is not complete has cost the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyEnd {
    /// There is no more.
    #[default]
    Complete,
    /// It failed.
    Broken,
    /// There is more than is ever read, or it takes longer.
    TooLong,
    /// Of what was read to its beginning alone there is more.
    Cut,
}

/// Why there was no usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The exchange took longer than the webhook's timeout.
    Timeout,
    /// The host's name could not be resolved.
    Dns(String),
    /// No connection, or it broke.
    Connect(String),
    /// The TLS handshake failed; nothing was sent.
    Tls(String),
    /// The target policy forbids the address; nothing was sent.
    Blocked(String),
    /// What came back is not HTTP.
    BadResponse(String),
    /// The webhook's URL or headers do not make a request.
    BadRequest(String),
    /// The event's data is not UTF-8, so there is no JSON to send.
    InvalidUtf8,
    /// The event was dropped by retention before it could be sent.
    EventExpired,
    /// The relay itself failed while sending.
    Internal,
}

impl Failure {
    /// The word for logs, metrics and the attempts table.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Dns(_) => "dns_error",
            Self::Connect(_) => "connect_error",
            Self::Tls(_) => "tls_error",
            Self::Blocked(_) => "blocked_target",
            Self::BadResponse(_) => "bad_response",
            Self::BadRequest(_) => "bad_request",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::EventExpired => "event_expired",
            Self::Internal => "internal_error",
        }
    }

    /// The word and what is known beyond it.
    #[must_use]
    pub fn text(&self) -> Cow<'static, str> {
        match self {
            Self::Dns(detail)
            | Self::Connect(detail)
            | Self::Tls(detail)
            | Self::Blocked(detail)
            | Self::BadResponse(detail)
            | Self::BadRequest(detail) => Cow::Owned(format!("{}: {detail}", self.word())),
            _ => Cow::Borrowed(self.word()),
        }
    }

    /// True when another attempt could not end otherwise.
    fn is_final(&self) -> bool {
        matches!(self, Self::InvalidUtf8 | Self::EventExpired)
    }

    /// True when it says something about the receiver, and not about the event or this relay.
    #[must_use]
    pub fn concerns_receiver(&self) -> bool {
        !self.is_final() && *self != Self::Internal
    }
}

/// One exchange's result.
pub type Exchange = Result<Answer, Failure>;

/// Error text of an exchange; none for a plain status.
#[must_use]
pub fn error_text(exchange: &Exchange) -> Option<Cow<'static, str>> {
    match exchange {
        Ok(answer) if (300..400).contains(&answer.status) => Some(Cow::Borrowed("redirect_refused")),
        Ok(_) => None,
        Err(failure) => Some(failure.text()),
    }
}

/// Where a delivery stands in its schedule when an attempt ends.
#[derive(Debug, Clone, Copy)]
pub struct Course<'a> {
    /// Waiting times after each failed try.
    pub schedule: &'a [Duration],
    /// Tries before this one.
    pub tries: u32,
    /// Set when this was a breaker's probe: the delivery keeps its tries and waits so long.
    pub probe: Option<Duration>,
}

/// What becomes of the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx.
    Delivered,
    /// Failed; comes back after the delay.
    Retry(Duration),
    /// Failed for good.
    Failed,
    /// 410: failed for good, and the webhook wants no more.
    Gone,
}

/// Judges an exchange. `chance` in `0.0..1.0` spreads retries.
#[must_use]
pub fn judge(exchange: &Exchange, course: Course<'_>, chance: f64) -> Verdict {
    let retry_after = match exchange {
        Ok(answer) if (200..300).contains(&answer.status) => return Verdict::Delivered,
        Ok(answer) if answer.status == 410 => return Verdict::Gone,
        Ok(answer) => answer.retry_after,
        Err(failure) if failure.is_final() => return Verdict::Failed,
        Err(_) => None,
    };
    match course.probe {
        Some(pause) => Verdict::Retry(pause.max(retry_after.unwrap_or_default())),
        None => next_attempt(course.schedule, course.tries, retry_after, chance)
            .map_or(Verdict::Failed, Verdict::Retry),
    }
}

/// When the next attempt is due after `tries` + 1 failures; none when the schedule is exhausted.
/// The schedule's time is spread by ±10 %; it is never before `retry_after`.
#[must_use]
pub fn next_attempt(
    schedule: &[Duration],
    tries: u32,
    retry_after: Option<Duration>,
    chance: f64,
) -> Option<Duration> {
    let planned = schedule.get(tries as usize)?.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0));
    Some(planned.max(retry_after.unwrap_or_default().min(LONGEST_WAIT)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[allow(clippy::unnecessary_wraps, reason = "an exchange is what is wanted")]
    fn status(status: u16) -> Exchange {
        Ok(Answer { status, ..Answer::default() })
    }

    const SCHEDULE: [Duration; 2] = [MINUTE, Duration::from_secs(300)];

    fn course(tries: u32) -> Course<'static> {
        Course { schedule: &SCHEDULE, tries, probe: None }
    }

    #[test]
    fn table() {
        let retry = Verdict::Retry(MINUTE);
        let last = Verdict::Failed;
        for (exchange, tries, expected) in [
            (status(200), 0, Verdict::Delivered),
            (status(204), 1, Verdict::Delivered),
            (status(299), 2, Verdict::Delivered),
            (status(301), 0, retry),
            (status(308), 2, last),
            (status(400), 0, retry),
            (status(404), 2, last),
            (status(410), 0, Verdict::Gone),
            (status(429), 0, retry),
            (status(500), 0, retry),
            (status(503), 1, Verdict::Retry(Duration::from_secs(300))),
            (status(100), 0, retry),
            (Err(Failure::Timeout), 0, retry),
            (Err(Failure::Timeout), 2, last),
            (Err(Failure::Blocked("loopback".into())), 0, retry),
            (Err(Failure::InvalidUtf8), 0, last),
            (Err(Failure::EventExpired), 0, last),
        ] {
            assert_eq!(judge(&exchange, course(tries), 0.5), expected, "{exchange:?} after {tries} tries");
        }
    }

    #[test]
    fn a_redirect_is_named_in_the_error() {
        assert_eq!(error_text(&status(302)).as_deref(), Some("redirect_refused"));
        assert_eq!(error_text(&status(500)), None);
        assert_eq!(error_text(&Err(Failure::Timeout)).as_deref(), Some("timeout"));
    }

    #[test]
    fn a_probe_burns_no_try() {
        let probe = Course { probe: Some(Duration::from_secs(4)), ..course(2) };
        assert_eq!(judge(&status(500), probe, 0.5), Verdict::Retry(Duration::from_secs(4)));
        assert_eq!(judge(&status(200), probe, 0.5), Verdict::Delivered);
    }

    #[test]
    fn an_empty_schedule_means_one_attempt() {
        assert_eq!(
            judge(&status(500), Course { schedule: &[], tries: 0, probe: None }, 0.5),
            Verdict::Failed
        );
    }

    proptest! {
        #[test]
        fn next_attempt_is_spread_obeys_the_receiver_and_is_capped(
            seconds in 0u64..3000, wait in proptest::option::of(0u64..u64::from(u32::MAX)), chance in 0.0f64..1.0,
        ) {
            let planned = Duration::from_secs(seconds);
            let wait = wait.map(Duration::from_secs);
            let next = next_attempt(&[planned], 0, wait, chance).unwrap();
            prop_assert!(next >= planned.mul_f64(0.9));
            prop_assert!(next >= wait.unwrap_or_default().min(LONGEST_WAIT));
            prop_assert!(next <= planned.mul_f64(1.1).max(LONGEST_WAIT));
            prop_assert_eq!(next_attempt(&[planned], 1, wait, chance), None);
        }
    }
}
