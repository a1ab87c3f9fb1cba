//! The time by the database's clock, which all relays share, counted on by this machine's steady one.
//!
//! A relay whose own clock is wrong, or is set while it runs, still signs with times that receivers accept.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// More than this between the two clocks is said in the log.
const NOTABLE: i64 = 2_000_000;

/// A clock that was set by the database's.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// Microseconds since 1970 at `start`.
    at_start: AtomicI64,
    off: AtomicBool,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: Instant::now(), at_start: AtomicI64::new(own()), off: AtomicBool::new(false) }
    }
}

impl Clock {
    /// The database said a moment ago that it is so many microseconds since 1970.
    pub fn hear(&self, micros: i64) {
        self.at_start.store(micros - self.start.elapsed().as_micros() as i64, Ordering::Relaxed);
        let ahead = own() - micros;
        let off = ahead.abs() > NOTABLE;
        if self.off.swap(off, Ordering::Relaxed) != off {
            let seconds = ahead / 1_000_000;
            if off {
                tracing::warn!(
                    ahead = seconds,
                    "the clocks of this machine and PostgreSQL differ; PostgreSQL's is used"
                );
            } else {
                tracing::info!("the clocks of this machine and PostgreSQL agree again");
            }
        }
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn micros(&self) -> i64 {
        self.at_start.load(Ordering::Relaxed) + self.start.elapsed().as_micros() as i64
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.micros() / 1_000_000
    }
}

/// By this machine's own clock.
fn own() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn goes_on_from_what_it_heard() {
        let clock = Clock::default();
        assert!((clock.micros() - own()).abs() < 60_000_000);
        tokio::time::advance(Duration::from_secs(5)).await;
        clock.hear(7_000_000);
        assert_eq!(clock.seconds(), 7);
        tokio::time::advance(Duration::from_millis(2500)).await;
        assert_eq!(clock.micros(), 9_500_000);
    }
}
