//! Regular duties, what is known of failing webhooks, and the end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::crew::Landed;
use super::{Engine, Fence, Inbox};
use crate::delivery::Claim;
use crate::errand::{self, Errand};
use crate::failpoint;
use crate::matching::Registry;
use crate::notice::NOTICE_TIME;
use crate::record::{Judged, Word};

const BEAT: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(200);
const MAINTAIN: Duration = Duration::from_secs(600);
/// A webhook that did nothing but fail for so long becomes inactive.
const FIVE_DAYS: i64 = 5 * 86_400 * 1_000_000;
/// What the database was to be told so long ago it was told, or never will be.
const TOLD: i64 = NOTICE_TIME.as_micros() as i64;

/// Regular duties.
#[derive(Debug)]
pub(super) struct Duty {
    pub(super) next_beat: Instant,
    pub(super) next_look: Instant,
    maintained: Option<Instant>,
    /// Microseconds since 1970 since when a webhook does nothing but fail.
    failing: HashMap<String, i64>,
    disabled: HashSet<String>,
}

impl Duty {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next_beat: now + BEAT,
            next_look: now + LOOK,
            maintained: None,
            failing: HashMap::new(),
            disabled: HashSet::new(),
        }
    }

    /// What the database knows of failing webhooks at `now`. One that is made active again begins anew, and one that another relay
    /// found well is so.
    pub(super) fn learn(&mut self, registry: &Registry, now: i64) {
        for hook in registry.iter() {
            if !hook.active {
                self.failing.remove(hook.id());
                continue;
            }
            self.disabled.remove(hook.id());
            match hook.failing_since {
                Some(since) => {
                    let known = self.failing.entry(hook.id().to_owned()).or_insert(since);
                    *known = since.max(*known);
                }
                // What it was not told yet it cannot know.
                None if self.failing.get(hook.id()).is_some_and(|since| now - since > TOLD) => {
                    self.failing.remove(hook.id());
                }
                None => {}
            }
        }
    }

    /// The webhook works; true if that is news.
    pub(super) fn works(&mut self, webhook: &str) -> bool {
        !self.failing.is_empty() && self.failing.remove(webhook).is_some()
    }

    /// The webhook fails; true if that is news.
    pub(super) fn fails(&mut self, webhook: &str, now: i64) -> bool {
        let news = !self.failing.contains_key(webhook);
        if news {
            self.failing.insert(webhook.to_owned(), now);
        }
        news
    }

    /// True when the webhook has done nothing but fail for five days.
    pub(super) fn failed_too_long(&self, webhook: &str, now: i64) -> bool {
        self.failing.get(webhook).is_some_and(|since| now - since > FIVE_DAYS)
    }

    /// The webhook is being made inactive; true if that is news.
    pub(super) fn disabled(&mut self, webhook: &str) -> bool {
        self.disabled.insert(webhook.to_owned())
    }
}

impl Engine {
    pub(super) fn housekeeping(&mut self, now: Instant) {
        if now >= self.duty.next_look {
            self.duty.next_look = now + LOOK;
            self.hold_slow(now);
            self.pass_slow_queues(now);
            self.clear_the_way(now);
        }
        if now < self.duty.next_beat {
            return;
        }
        self.duty.next_beat = now + BEAT;
        self.forget_old_orphans(now);
        self.unpark(now);
        let (in_flight, queued) = (self.post.in_flight(), self.post.queued());
        self.errand(Errand::Beat { leader: self.term.is_some(), in_flight, queued });
        let due = self.duty.maintained.is_none_or(|at| now.saturating_duration_since(at) >= MAINTAIN);
        if self.term.is_some() && due && self.context.pulse.is_ready() {
            self.duty.maintained = Some(now);
            tokio::spawn(errand::maintain(Arc::clone(&self.context)));
        }
    }

    /// Sends an errand; while the database is away for long, some are dropped rather than piled up.
    pub(super) fn errand(&mut self, errand: Errand) {
        let is_claim = matches!(errand, Errand::Claim(_));
        if self.out.errands.try_send(errand).is_err() {
            if is_claim {
                self.claims.not_sent();
            }
            tracing::debug!("the database is too slow to be told everything");
        }
    }

    /// Ends in order: nothing new, the lead given up at once with all that is under way leased to us, then whatever
    /// still comes in time is recorded and the rest given back.
    pub(super) async fn stop(&mut self, mut inbox: Inbox, mut landings: mpsc::UnboundedReceiver<Landed>) {
        let deadline = Instant::now() + self.context.config.shutdown_timeout;
        tracing::info!(in_flight = self.post.in_flight(), "stopping");
        self.out.orders.send_modify(|orders| orders.stop = true);
        self.intake.clear();
        self.end = None;
        self.fence = Fence::default();
        for delivery in self.post.clear() {
            if matches!(delivery.claim, Claim::Leased { .. }) {
                self.batch.judged.push(Judged::unsent(delivery, Word::Release, None, Duration::ZERO));
            }
        }
        if self.term.is_some() {
            self.hold_all(Instant::now(), Duration::ZERO);
        }
        let mut leading = self.term.is_some();
        loop {
            failpoint::pass("stopping");
            let now = Instant::now();
            if self.flush.is_done() && self.batch.is_empty() && self.locked.len() == 0 {
                if leading {
                    leading = false;
                    self.abdicate();
                }
                if self.post.in_flight() == 0 {
                    break;
                }
            }
            self.flush(now);
            let due = [self.flush.due(&self.batch), self.locked.due(), Some(deadline)];
            let wake = due.into_iter().flatten().min().unwrap_or(deadline);
            tokio::select! {
                Some(recorded) = inbox.recorded.recv() => self.recorded(recorded),
                Some(landed) = landings.recv() => self.land(landed),
                Some(errands) = inbox.errands.recv() => self.errand_done(errands),
                () = sleep_until(wake) => {}
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        self.give_back(&mut inbox).await;
        self.abdicate();
        self.errand(Errand::Bye);
    }

    /// What is still under way at the deadline is given back.
    async fn give_back(&mut self, inbox: &mut Inbox) {
        let mut rest = Vec::new();
        for (_, flight) in self.post.flights_mut() {
            if let Claim::Leased { token, .. } = flight.claim {
                let mut judged =
                    Judged::unsent((*flight.delivery).clone(), Word::Release, None, Duration::ZERO);
                (judged.ticket, judged.lease) = (None, token);
                rest.push(judged);
            }
        }
        if rest.is_empty() {
            return;
        }
        tracing::warn!(count = rest.len(), "requests still under way are given back and will be sent again");
        if self.flush.is_under_way()
            && let Ok(Some(recorded)) = timeout(Duration::from_secs(1), inbox.recorded.recv()).await
        {
            self.recorded(recorded);
        }
        self.batch.judged.append(&mut rest);
        self.flush_now(Instant::now());
        let _ = timeout(Duration::from_secs(2), inbox.recorded.recv()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hooks, plain};

    #[test]
    fn what_the_database_does_not_know_any_more_is_forgotten() {
        let (registry, hooks) = hooks("https://example.com/", &[plain()]);
        let (mut duty, id) = (Duty::new(Instant::now()), hooks[0].id());
        assert!(duty.fails(id, 0));
        duty.learn(&registry, TOLD);
        assert!(!duty.fails(id, TOLD), "it may not have been told yet");
        let later = FIVE_DAYS + TOLD;
        assert!(duty.failed_too_long(id, later));
        duty.learn(&registry, later);
        assert!(!duty.failed_too_long(id, later) && duty.fails(id, later));
    }
}
