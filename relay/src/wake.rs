//! When the leader reads next: the reader's side of the doorbell protocol.
//!
//! Emitters ring (NOTIFY) only while the bell is on. A reader that hears the bell and is on reads once for each ring:
//! every emitter that looks at the bell after it was switched on rings after its commit became visible, so a read that
//! starts after the ring sees it. Emitters that looked before are found by the scan that follows the switch, or are
//! still committing then: as long as there are such (drowsy), the reader looks again after 5 to 50 ms.
//! Ringing costs the emitters a lock at commit, so with many transactions a second the bell goes off and the reader polls,
//! until there is little to read again. For the same reason the bell counts for a few seconds only, and is switched on anew
//! by a reader that still sleeps: one that is stopped, or cut off from its server, is not rung for any more.

use std::time::Duration;

use tokio::time::Instant;

/// How busy the outbox is, is judged over so long.
const WINDOW: Duration = Duration::from_millis(200);
/// So many transactions with events switch the bell off (each of them rang, and rings are what costs) …
const MANY: usize = 20;
/// … and fewer than this switch it on again.
const FEW: usize = 5;
/// Polling, the outbox is read at least this often …
const LONGEST_GAP: Duration = Duration::from_millis(10);
/// … and, when the last page was not full, not more often than this …
const SHORTEST_GAP: Duration = Duration::from_millis(4);
/// … that many times as long the more transactions it held: a read costs as much as a hundred events, and the busier the
/// writers, the more they want the processor for themselves.
const LONGER_PER: usize = 16;
const MOST_TIMES: u32 = 5;
/// The bell is switched on anew this often; it counts for twice as long (`webhook._relay_arm`).
const RENEW: Duration = Duration::from_secs(5);
const DROWSY_FIRST: Duration = Duration::from_millis(5);
const DROWSY_LONGEST: Duration = Duration::from_millis(50);

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Events of so many transactions.
    pub transactions: usize,
    /// There are more.
    pub full: bool,
}

/// What to do before the next read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read at once.
    Read,
    /// Wait this long at most, and `least` at least; less than that only when the dispatcher runs out of work.
    Pause {
        /// At least.
        least: Duration,
        /// At most.
        most: Duration,
    },
    /// Switch the bell on, then read.
    Arm,
    /// Switch the bell off, then go on as after a read.
    Disarm,
    /// Wait for a ring, or so long, then read.
    Sleep(Duration),
    /// Wait for a ring, or so long, then ask who is committing, then read.
    Doze(Duration),
}

#[derive(Debug, Clone, Copy)]
enum Mode {
    /// The bell is as the leader before left it.
    Unknown,
    /// The bell is off.
    Polling { transactions: usize, since: Instant },
    /// The bell is on.
    Listening { armed: Instant, drowsy: Option<Duration>, transactions: usize, since: Instant },
}

/// The reader's wakefulness.
#[derive(Debug)]
pub struct Wakefulness {
    mode: Mode,
    poll: Duration,
    rung: bool,
    /// No ring is ever heard.
    deaf: bool,
}

impl Wakefulness {
    /// Of a new leader; asleep it will look every `poll`.
    #[must_use]
    pub fn new(poll: Duration) -> Self {
        Self { mode: Mode::Unknown, poll, rung: true, deaf: false }
    }

    /// One that hears no rings: it only polls, every `poll` when there is little to read.
    #[must_use]
    pub fn deaf(poll: Duration) -> Self {
        Self { deaf: true, ..Self::new(poll) }
    }

    /// The bell was switched on at `now`; an emitter that did not see that may be `committing`.
    pub fn armed(&mut self, committing: bool, now: Instant) {
        let (transactions, since) = match self.mode {
            Mode::Listening { transactions, since, .. } => (transactions, since),
            Mode::Polling { .. } | Mode::Unknown => (0, now),
        };
        let drowsy = committing.then_some(DROWSY_FIRST);
        self.mode = Mode::Listening { armed: now, drowsy, transactions, since };
        self.rung = true;
    }

    /// It was asked again whether such an emitter is `committing`.
    pub fn asked(&mut self, committing: bool) {
        if let Mode::Listening { drowsy, .. } = &mut self.mode {
            let next = drowsy.map_or(DROWSY_FIRST, |gap| (gap * 2).min(DROWSY_LONGEST));
            *drowsy = committing.then_some(next);
            self.rung = true;
        }
    }

    /// The bell was switched off.
    pub fn disarmed(&mut self, now: Instant) {
        self.mode = Mode::Polling { transactions: 0, since: now };
    }

    /// A wait ended, by a ring or by the clock.
    pub fn woke(&mut self, rung: bool) {
        self.rung = rung;
    }

    /// A read ended: what now?
    pub fn after_read(&mut self, found: Found, now: Instant) -> Step {
        match &mut self.mode {
            // Where there is little to do the first event rings; busy, or deaf, somebody may have left the bell on.
            Mode::Unknown if found.full || found.transactions >= FEW || self.deaf => Step::Disarm,
            Mode::Unknown => Step::Arm,
            Mode::Polling { transactions, since } => {
                *transactions += found.transactions;
                if now.saturating_duration_since(*since) >= WINDOW {
                    let few = *transactions < FEW && !found.full;
                    if few && !self.deaf {
                        return Step::Arm;
                    }
                    (*transactions, *since) = (0, now);
                    if few {
                        return Step::Sleep(self.poll);
                    }
                }
                match found.full {
                    true => Step::Read,
                    false => pause(found.transactions),
                }
            }
            Mode::Listening { armed, drowsy, transactions, since } => {
                if found.transactions > 0 {
                    if drowsy.is_none() && !self.rung {
                        // Work without a ring: somebody switched the bell off.
                        return Step::Arm;
                    }
                    if now.saturating_duration_since(*since) > WINDOW {
                        (*transactions, *since) = (0, now);
                    }
                    *transactions += found.transactions;
                    // There is more, perhaps of one large transaction: nobody need ring for that.
                    if *transactions >= MANY || found.full {
                        return Step::Disarm;
                    }
                }
                let left = RENEW.saturating_sub(now.saturating_duration_since(*armed));
                match *drowsy {
                    _ if left.is_zero() => Step::Arm,
                    Some(gap) => Step::Doze(gap),
                    None => Step::Sleep(self.poll.min(left)),
                }
            }
        }
    }
}

/// After a read that found so many transactions.
fn pause(transactions: usize) -> Step {
    let least =
        SHORTEST_GAP * u32::try_from(transactions / LONGER_PER).unwrap_or(u32::MAX).clamp(1, MOST_TIMES);
    Step::Pause { least, most: LONGEST_GAP.max(least) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL: Duration = Duration::from_secs(1);
    const PAUSE: Step = Step::Pause { least: SHORTEST_GAP, most: LONGEST_GAP };

    fn found(transactions: usize) -> Found {
        Found { transactions, full: false }
    }

    fn polling(now: Instant) -> Wakefulness {
        let mut wake = Wakefulness::new(POLL);
        assert_eq!(wake.after_read(found(FEW), now), Step::Disarm, "somebody may have left the bell on");
        wake.disarmed(now);
        wake
    }

    fn asleep(now: Instant) -> Wakefulness {
        let mut wake = polling(now);
        assert_eq!(wake.after_read(found(0), now + WINDOW), Step::Arm);
        wake.armed(false, now + WINDOW);
        assert_eq!(wake.after_read(found(0), now + WINDOW), Step::Sleep(POLL));
        wake
    }

    #[test]
    fn polls_while_there_is_much_to_read() {
        let mut now = Instant::now();
        let mut wake = polling(now);
        assert_eq!(wake.after_read(found(0), now), PAUSE);
        assert_eq!(wake.after_read(Found { transactions: 500, full: true }, now), Step::Read);
        now += WINDOW;
        assert_eq!(wake.after_read(found(1), now), PAUSE);
        now += WINDOW;
        assert_eq!(wake.after_read(found(FEW), now), PAUSE);
        now += WINDOW;
        assert_eq!(wake.after_read(found(FEW - 1), now), Step::Arm);
    }

    #[test]
    fn the_busier_the_writers_the_larger_the_pages() {
        let millis = Duration::from_millis;
        for (transactions, least, most) in
            [(0, 4, 10), (31, 4, 10), (32, 8, 10), (48, 12, 12), (80, 20, 20), (10_000, 20, 20)]
        {
            assert_eq!(pause(transactions), Step::Pause { least: millis(least), most: millis(most) });
        }
    }

    #[test]
    fn deaf_it_never_switches_the_bell_on() {
        let mut now = Instant::now();
        let mut wake = Wakefulness::deaf(POLL);
        assert_eq!(wake.after_read(found(0), now), Step::Disarm);
        wake.disarmed(now);
        assert_eq!(wake.after_read(found(0), now), PAUSE);
        now += WINDOW;
        assert_eq!(wake.after_read(found(0), now), Step::Sleep(POLL));
        now += POLL;
        wake.woke(false);
        assert_eq!(wake.after_read(found(FEW), now), PAUSE, "much to read");
        assert_eq!(wake.after_read(Found { transactions: 500, full: true }, now), Step::Read);
        now += WINDOW;
        assert_eq!(wake.after_read(found(1), now), PAUSE);
        now += WINDOW;
        assert_eq!(wake.after_read(found(1), now), Step::Sleep(POLL));
    }

    #[test]
    fn drowsy_while_an_emitter_that_did_not_ring_is_committing() {
        let now = Instant::now();
        let mut wake = polling(now);
        wake.after_read(found(0), now + WINDOW);
        wake.armed(true, now);
        for gap in [5, 10, 20, 40, 50, 50] {
            assert_eq!(wake.after_read(found(0), now), Step::Doze(Duration::from_millis(gap)));
            wake.woke(false);
            wake.asked(true);
        }
        wake.asked(false);
        assert_eq!(wake.after_read(found(0), now), Step::Sleep(POLL));
    }

    #[test]
    fn one_read_for_each_ring_until_there_are_many() {
        let mut now = Instant::now();
        let mut wake = asleep(now);
        now += WINDOW * 2;
        for _ in 0..50 {
            now += Duration::from_millis(50);
            wake.woke(true);
            assert_eq!(wake.after_read(found(3), now), Step::Sleep(POLL));
        }
        now += WINDOW * 2;
        for _ in 1..MANY {
            now += Duration::from_millis(1);
            wake.woke(true);
            assert_eq!(wake.after_read(found(1), now), Step::Sleep(POLL));
        }
        wake.woke(true);
        assert_eq!(wake.after_read(found(1), now), Step::Disarm);
        wake.disarmed(now);
        assert_eq!(wake.after_read(found(1), now), PAUSE);
    }

    #[test]
    fn one_read_that_finds_many_transactions_switches_the_bell_off() {
        let now = Instant::now();
        let mut wake = asleep(now);
        wake.woke(true);
        assert_eq!(wake.after_read(found(MANY), now), Step::Disarm);
    }

    #[test]
    fn awake_while_one_large_transaction_is_read() {
        let now = Instant::now();
        let page = Found { transactions: 1, full: true };
        let mut wake = asleep(now);
        wake.woke(true);
        assert_eq!(wake.after_read(page, now), Step::Disarm);
        wake.disarmed(now);
        for later in 0..100 {
            assert_eq!(wake.after_read(page, now + WINDOW * later), Step::Read);
        }
    }

    #[test]
    fn work_without_a_ring_switches_the_bell_on_again() {
        let now = Instant::now();
        let mut wake = asleep(now);
        wake.woke(false);
        assert_eq!(wake.after_read(found(1), now), Step::Arm);
        wake.armed(false, now);
        assert_eq!(wake.after_read(found(0), now), Step::Sleep(POLL));
    }

    #[test]
    fn asleep_it_goes_on_saying_so() {
        let start = Instant::now();
        let mut wake = Wakefulness::new(Duration::from_secs(3));
        let mut now = start;
        assert_eq!(wake.after_read(found(FEW - 1), now), Step::Arm, "a new leader with little to do");
        for _ in 0..3 {
            wake.armed(false, now);
            assert_eq!(wake.after_read(found(0), now), Step::Sleep(Duration::from_secs(3)));
            now += Duration::from_secs(3);
            wake.woke(false);
            let rest = Duration::from_secs(2);
            assert_eq!(
                wake.after_read(found(0), now),
                Step::Sleep(rest),
                "no longer than the bell may be left"
            );
            now += rest;
            wake.woke(true);
            assert_eq!(wake.after_read(found(1), now), Step::Arm);
        }
    }
}
