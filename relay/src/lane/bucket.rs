//! A webhook's rate limit as a token bucket.

use std::time::Duration;

use tokio::time::Instant;

/// Grants `rate` permits a second, at most a tenth of a second's worth (at least one) at once.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: f64, now: Instant) -> Self {
        Self { rate, tokens: Self::size(rate), filled: now }
    }

    fn size(rate: f64) -> f64 {
        (rate / 10.0).max(1.0)
    }

    /// Changes the rate and keeps what is in it.
    pub fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
        self.tokens = self.tokens.min(Self::size(rate));
    }

    /// When the next permit can be had; `now` or earlier means at once.
    #[must_use]
    pub fn ready_at(&mut self, now: Instant) -> Instant {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + gained).min(Self::size(self.rate));
        self.filled = self.filled.max(now);
        if self.tokens >= 1.0 {
            now
        } else {
            // A nanosecond more, so that rounding never wakes us just too early.
            now + Duration::from_secs_f64((1.0 - self.tokens) / self.rate) + Duration::from_nanos(1)
        }
    }

    /// Takes one permit; call it when `ready_at` allows.
    pub fn take(&mut self) {
        self.tokens -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_no_less(rate in 0.5f64..500.0) {
            let start = Instant::now();
            let mut now = start;
            let mut bucket = Bucket::new(rate, now);
            let mut sent = 0u32;
            while now < start + Duration::from_secs(20) {
                now = bucket.ready_at(now).max(now);
                bucket.take();
                sent += 1;
            }
            let allowed = 20.0 * rate + Bucket::size(rate) + 1.0;
            prop_assert!(f64::from(sent) <= allowed, "{sent} > {allowed}");
            prop_assert!(f64::from(sent) >= 20.0 * rate - 1.0, "{sent} at {rate}/s");
        }
    }
}
