//! From read events to queued deliveries, as fast as memory and receivers allow.

use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use super::term::Orphan;
use crate::delivery::{Claim, Delivery};
use crate::outcome::Failure;
use crate::post::{LONG_HEAVY_QUEUE, LONG_QUEUE, Refusal};
use crate::read::Item;
use crate::record::{Judged, Word};

/// How often a blocked reader looks for lanes that hold others back.
const RELIEVE: Duration = Duration::from_millis(50);

impl Engine {
    /// Queues what was read, until a limit is reached.
    pub(super) fn admit(&mut self, now: Instant) {
        while !self.intake.is_empty() {
            if self.is_full() {
                if now.saturating_duration_since(self.relieved) >= RELIEVE {
                    self.relieved = now;
                    let heavy = self.context.budget.is_full();
                    let patience = if heavy { LONG_HEAVY_QUEUE } else { LONG_QUEUE };
                    self.post.relieve(self.registry.active(), patience, now);
                    self.settle_refused();
                }
                if self.is_full() {
                    return;
                }
            }
            if let Some(item) = self.intake.pop_front() {
                self.enter(item, now);
            }
        }
        if let (Some(term), Some(end)) = (&mut self.term, self.end.take()) {
            term.ledger.pass(end);
        }
        if self.post.queued() < self.context.config.max_in_flight as usize {
            self.out.hungry.notify_one();
        }
    }

    fn is_full(&self) -> bool {
        let config = &self.context.config;
        self.post.queued() + self.fence.len() >= config.max_queued as usize
            || self.batch.judged.len() >= config.max_queued as usize
            || self.context.budget.is_full()
    }

    /// Enters one event into the ledger and queues its deliveries.
    fn enter(&mut self, item: Item, now: Instant) {
        let Some(term) = &mut self.term else { return };
        let Item { matched, due, after } = item;
        let deliveries = matched.hooks.len() + matched.undecided.len();
        if deliveries == 0 {
            term.ledger.pass(after);
            return;
        }
        let ticket = term.ledger.enter(after, deliveries as u32);
        let fresh = |hook, id| Delivery {
            id,
            event: matched.event.clone(),
            hook,
            number: 1,
            tries: 0,
            in_turn: false,
            claim: Claim::Fresh(ticket),
        };
        for (hook, id) in matched.undecided {
            self.fail_unsent(fresh(hook, id), &Failure::Internal, now);
        }
        let wait = due.map(|due| due.saturating_duration_since(now)).filter(|wait| !wait.is_zero());
        for (hook, id) in matched.hooks {
            match self.adopt(&id, ticket) {
                Some(Orphan::Flying(_)) => continue,
                Some(Orphan::Judged(judged, _)) => {
                    self.batch.judged.push(judged);
                    continue;
                }
                None => {}
            }
            // As it is now: the page may have been matched before it changed. Deleted since, it gets nothing.
            let Some(hook) = self.registry.get(hook.id()).cloned() else {
                self.batch.forgotten.push(ticket);
                continue;
            };
            let delivery = fresh(hook, id);
            if let Some(wait) = wait {
                self.spill(delivery, "due", wait);
            } else if delivery.hook.options().ordered && delivery.event.facts().key.is_some() {
                if let Some(delivery) = self.stop_at_fence(delivery, now) {
                    self.spill(delivery, "ordered", Duration::ZERO);
                }
            } else {
                self.post.offer(delivery, now);
            }
        }
    }

    /// Puts a fresh delivery aside, into the database.
    pub(super) fn spill(&mut self, delivery: Delivery, reason: &'static str, delay: Duration) {
        self.context.metrics.spilled.add(1);
        if delay.is_zero() {
            self.batch.makes_due = true;
        } else {
            self.claims.within(Instant::now(), delay);
        }
        self.batch.judged.push(Judged::unsent(delivery, Word::Spill, Some(reason.into()), delay));
    }

    /// Does what the post's refusals call for.
    pub(super) fn settle_refused(&mut self) {
        for (delivery, why) in self.post.take_refused() {
            let delay = match why {
                Refusal::Later(delay) => delay,
                Refusal::Late | Refusal::Unwanted | Refusal::Locked => Duration::ZERO,
            };
            match delivery.claim {
                Claim::Leased { .. } => {
                    self.batch.judged.push(Judged::unsent(delivery, Word::Release, None, delay));
                }
                Claim::Fresh(ticket) if why == Refusal::Unwanted && !delivery.hook.options().keep_backlog => {
                    self.batch.forgotten.push(ticket);
                }
                Claim::Fresh(_) if why == Refusal::Unwanted => self.spill(delivery, "paused", delay),
                Claim::Fresh(_) if why == Refusal::Locked => self.spill(delivery, "secret", delay),
                Claim::Fresh(_) => self.spill(delivery, "capacity", delay),
                Claim::Orphan => {}
            }
        }
    }
}
