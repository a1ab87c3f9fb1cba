//! After ten failures in a row a webhook gets one probe at a time instead of its deliveries.

use std::time::Duration;

use tokio::time::Instant;

const FAILURES_TO_OPEN: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What an outcome did to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing an operator would want to hear of.
    None,
    /// It opened.
    Opened,
    /// It closed again.
    Recovered,
}

/// Counts failures in a row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    probe_at: Instant,
    pause: Duration,
}

impl Breaker {
    /// When the next probe may go; none while the breaker is closed.
    #[must_use]
    pub fn probe_at(&self) -> Option<Instant> {
        self.open.map(|open| open.probe_at)
    }

    /// How long a delivery that failed as a probe waits; none while closed.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.open.map(|open| open.pause)
    }

    /// Failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// An attempt failed.
    pub fn fail(&mut self, now: Instant) -> Change {
        self.failures = self.failures.saturating_add(1);
        if let Some(open) = &mut self.open {
            // Attempts that were under way when it opened say nothing new.
            if now >= open.probe_at {
                open.pause = (open.pause * 2).min(LONGEST_PAUSE);
                open.probe_at = now + open.pause;
            }
            return Change::None;
        }
        if self.failures < FAILURES_TO_OPEN {
            return Change::None;
        }
        self.open = Some(Open { probe_at: now + FIRST_PAUSE, pause: FIRST_PAUSE });
        Change::Opened
    }

    /// An attempt succeeded.
    pub fn succeed(&mut self) -> Change {
        let was_open = self.open.is_some();
        *self = Self::default();
        if was_open { Change::Recovered } else { Change::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_open_it_and_one_success_closes_it() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..9 {
            assert_eq!(breaker.fail(now), Change::None);
        }
        assert_eq!(breaker.probe_at(), None);
        assert_eq!(breaker.fail(now), Change::Opened);
        assert_eq!(breaker.probe_at(), Some(now + FIRST_PAUSE));
        assert_eq!(breaker.succeed(), Change::Recovered);
        assert_eq!(breaker.succeed(), Change::None);
        assert_eq!(breaker.probe_at(), None);
    }

    #[test]
    fn failed_probes_wait_twice_as_long_up_to_a_minute() {
        let mut now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            breaker.fail(now);
        }
        breaker.fail(now);
        assert_eq!(breaker.pause(), Some(FIRST_PAUSE), "a straggler is no probe");
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            now = breaker.probe_at().unwrap();
            breaker.fail(now);
            assert_eq!(breaker.pause(), Some(Duration::from_secs(seconds)));
        }
    }
}
