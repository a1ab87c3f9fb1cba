//! When outcomes go to the recorder, and what its answer means.

use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use super::term::KEPT;
use crate::errand::Errand;
use crate::record::{Batch, Recorded};
use crate::store::{Cursor, StoreError};

/// Outcomes wait for company this long …
const LINGER: Duration = Duration::from_millis(5);
/// … or this long when there is much of it.
const LINGER_BUSY: Duration = Duration::from_millis(20);
const BUSY: usize = 64;
/// As many go at once, whatever the time.
const BIG: usize = 1024;
/// A cursor that moves without outcomes is written this much later.
const CURSOR_LAG: Duration = Duration::from_secs(1);
/// When the recorder does not answer for so long, nothing more is sent.
const STUCK: Duration = Duration::from_secs(5);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// Said again this often.
const TELL: Duration = Duration::from_secs(30);

/// The state of recording.
#[derive(Debug)]
pub(super) struct Flush {
    under_way: Option<Instant>,
    waiting_since: Option<Instant>,
    last_size: usize,
    failing_since: Option<Instant>,
    told: Option<Instant>,
    retry_at: Instant,
    backoff: Duration,
    /// A batch that was certainly not written: it goes once more, as it is, before any other.
    again: Option<Batch>,
}

impl Flush {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            under_way: None,
            waiting_since: None,
            last_size: 0,
            failing_since: None,
            told: None,
            retry_at: now,
            backoff: FIRST_BACKOFF,
            again: None,
        }
    }

    /// True while outcomes are recorded in time.
    pub(super) fn is_healthy(&self, now: Instant) -> bool {
        self.failing_since.is_none()
            && self.under_way.is_none_or(|since| now.saturating_duration_since(since) < STUCK)
    }

    /// True while a batch is with the recorder.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// True while all that was handed over is written.
    pub(super) fn is_done(&self) -> bool {
        self.under_way.is_none() && self.again.is_none()
    }

    /// The batch that is to go once more.
    pub(super) fn take_again(&mut self) -> Option<Batch> {
        self.again.take()
    }

    /// When the next batch should go; none while one is under way or there is nothing to record.
    pub(super) fn due(&self, batch: &Batch) -> Option<Instant> {
        if self.under_way.is_some() {
            return None;
        }
        if self.failing_since.is_some() {
            return Some(self.retry_at);
        }
        let since = self.waiting_since?;
        let linger = match batch.len() {
            BIG.. => Duration::ZERO,
            _ if batch.makes_due => Duration::ZERO,
            0 => CURSOR_LAG,
            _ if self.last_size >= BUSY => LINGER_BUSY,
            _ => LINGER,
        };
        Some(since + linger)
    }
}

impl Engine {
    /// Sends the batch to the recorder if it is time.
    pub(super) fn flush(&mut self, now: Instant) {
        if self.locked.due().is_some_and(|due| due <= now) {
            self.batch.makes_due = true;
            self.batch.judged.append(&mut self.locked.take());
        }
        let moved = self.term.as_ref().is_some_and(|term| term.ledger.position() != &term.written);
        if self.flush.waiting_since.is_none() && (moved || !self.batch.is_empty()) {
            self.flush.waiting_since = Some(now);
        }
        if self.flush.due(&self.batch).is_some_and(|due| due <= now) {
            self.flush_now(now);
        }
    }

    /// Sends whatever there is to the recorder.
    pub(super) fn flush_now(&mut self, now: Instant) {
        if let Some(batch) = self.flush.take_again() {
            return self.hand_over(batch, now);
        }
        let mut batch = std::mem::take(&mut self.batch);
        self.batch.judged.reserve(batch.judged.len());
        self.holds.clear();
        self.flush.waiting_since = None;
        self.flush.last_size = batch.len();
        if let Some(term) = &mut self.term {
            for ticket in batch.forgotten.drain(..) {
                term.ledger.settle(ticket);
            }
            let mut fresh = false;
            for ticket in batch.judged.iter().filter_map(|one| one.ticket) {
                term.ledger.settle(ticket);
                fresh = true;
            }
            let position = term.ledger.position();
            if fresh || *position != term.written {
                batch.term = Some(term.id);
                batch.cursor =
                    Some(Cursor { n: term.n, position: position.clone(), ahead: term.ledger.ahead() });
            }
        }
        self.hand_over(batch, now);
    }

    fn hand_over(&mut self, batch: Batch, now: Instant) {
        self.flush.under_way = Some(now);
        // One batch at a time: there is always room.
        let _ = self.out.batches.try_send(batch);
    }

    /// The recorder is done with a batch.
    pub(super) fn recorded(&mut self, recorded: Recorded) {
        let Recorded { batch, result } = recorded;
        let now = Instant::now();
        self.flush.under_way = None;
        match result {
            Ok(written) => {
                if self.flush.failing_since.take().is_some() && self.flush.told.take().is_some() {
                    tracing::info!("outcomes are recorded again");
                }
                self.flush.backoff = FIRST_BACKOFF;
                if let (Some(term), Some(n)) = (&mut self.term, written.n)
                    && batch.term == Some(term.id)
                {
                    term.n = n;
                    if let Some(cursor) = batch.cursor {
                        term.written = cursor.position;
                    }
                }
                self.locked.keep(batch.judged, &written.locked, now);
                if batch.makes_due {
                    self.claims.soon(now);
                }
                for notice in batch.notices {
                    self.errand(Errand::Notice(notice));
                }
            }
            Err(error) => self.not_recorded(batch, &error, now),
        }
    }

    fn not_recorded(&mut self, batch: Batch, error: &StoreError, now: Instant) {
        let fenced = matches!(error, StoreError::Fenced);
        if fenced {
            tracing::info!("another relay leads: it sends what this one has not recorded");
        } else {
            let since = *self.flush.failing_since.get_or_insert(now);
            if self.flush.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL) {
                self.flush.told = Some(now);
                tracing::warn!(%error, "outcomes cannot be recorded; nothing is sent until they can");
            }
            self.flush.retry_at = now + self.flush.backoff.mul_f64(1.0 + 0.25 * rand::random::<f64>());
            self.flush.backoff = (self.flush.backoff * 2).min(LONGEST_BACKOFF.mul_f64(0.8));
            if now.saturating_duration_since(since) > KEPT {
                // What we read is forgotten with its place in the ledger, and read again.
                self.abdicate();
                self.batch.judged.clear();
                self.batch.notices.clear();
            } else if matches!(error, StoreError::Busy(_)) && self.is_current(&batch) {
                self.flush.again = Some(batch);
                return;
            }
        }
        // We cannot know whether it was written, so the cursor has to be read again.
        let ours = batch.term.is_some() && self.is_current(&batch);
        if ours {
            self.abdicate();
        }
        self.keep(batch);
    }

    /// True for a batch that moves no cursor, or that of this term.
    fn is_current(&self, batch: &Batch) -> bool {
        batch.term.is_none_or(|id| self.term.as_ref().is_some_and(|term| term.id == id))
    }

    /// What is left of a batch that was to move no cursor, or that of a term that is over.
    pub(super) fn keep(&mut self, batch: Batch) {
        self.batch.makes_due |= batch.makes_due;
        let mut kept = self.orphaned(batch.judged);
        kept.retain(|one| one.attempt.as_ref().is_none_or(|attempt| attempt.started.elapsed() < KEPT));
        // Behind what is there: the places of holds stay as they are.
        self.batch.judged.append(&mut kept);
        self.batch.notices.splice(0..0, batch.notices);
    }
}
