//! Outcomes that could not be recorded with the others of their batch, as somebody has locked the rows that they change.
//!
//! That may be another relay for a moment, or a transaction that a user left open for the day. So they are recorded again soon, and then
//! less and less often. All are under a lease, and none of them holds the cursor back.

use std::time::Duration;

use tokio::time::Instant;

use crate::record::Judged;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// This often it is said.
const TELL: Duration = Duration::from_secs(30);

/// What is to be recorded again.
#[derive(Debug)]
pub(super) struct Locked {
    judged: Vec<Judged>,
    again: Instant,
    pause: Duration,
    told: Instant,
}

impl Locked {
    pub(super) fn new(now: Instant) -> Self {
        Self { judged: Vec::new(), again: now, pause: FIRST_PAUSE, told: now }
    }

    /// Of a batch that was recorded, keeps what is at these places.
    pub(super) fn keep(&mut self, mut judged: Vec<Judged>, places: &[usize], now: Instant) {
        if !places.is_empty() {
            let mut place = 0..;
            judged.retain(|_| place.next().is_some_and(|place| places.contains(&place)));
            self.judged.append(&mut judged);
            self.again = now + self.pause;
            self.tell(now);
        } else if self.judged.is_empty() {
            self.pause = FIRST_PAUSE;
            self.told = now;
        }
    }

    fn tell(&mut self, now: Instant) {
        if now.saturating_duration_since(self.told) >= TELL
            && let Some(one) = self.judged.first()
        {
            self.told = now;
            tracing::warn!(
                count = self.judged.len(),
                delivery = &*one.delivery.id,
                "somebody keeps deliveries locked in an open transaction: their outcomes are recorded when it ends"
            );
        }
    }

    /// When they should be recorded again.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.judged.is_empty()).then_some(self.again)
    }

    /// All of them, to be recorded.
    pub(super) fn take(&mut self) -> Vec<Judged> {
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        std::mem::take(&mut self.judged)
    }

    /// The outcome of a delivery that was leased to us once more.
    pub(super) fn reclaim(&mut self, delivery: &str) -> Option<Judged> {
        let place = self.judged.iter().position(|one| &*one.delivery.id == delivery)?;
        Some(self.judged.swap_remove(place))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.judged.len()
    }
}
