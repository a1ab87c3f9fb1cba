//! Ordered webhooks that appear, or change, while older events are under way.
//!
//! What an ordered webhook is to get is recorded ahead of the cursor. The next leader reads again what lies between, and may find that
//! such a webhook wants some of it, which was matched before we knew: those would come after newer ones of their key. So what is for
//! the webhook waits until the cursor has passed all that was matched without it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use crate::delivery::Delivery;
use crate::ledger::{Ledger, Ticket};
use crate::matching::Registry;

/// If that takes so long, what is under way or queued is put aside for the cursor to pass it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What waits in this term, and for what.
#[derive(Debug, Default)]
pub(super) struct Fence {
    /// With what the last page was matched.
    matched_with: Option<Arc<Registry>>,
    /// By their slots, webhooks that were not known as they are when events before this ticket were matched.
    young: HashMap<u32, Ticket>,
    waiting: Vec<(Ticket, Delivery)>,
    since: Option<Instant>,
}

impl Fence {
    /// A page comes that was matched with this registry.
    pub(super) fn learn(&mut self, registry: &Arc<Registry>, ledger: &Ledger) {
        self.young.retain(|_, ticket| !ledger.has_passed(*ticket));
        let Some(before) = self.matched_with.replace(Arc::clone(registry)) else { return };
        if ledger.is_empty() || !registry.is_newer_than(&before) {
            return;
        }
        for hook in registry.iter().filter(|hook| hook.options().ordered) {
            if before.get(hook.id()).is_none_or(|old| !Arc::ptr_eq(old, hook)) {
                self.young.insert(hook.slot, ledger.next());
            }
        }
    }

    /// Takes a delivery that has to wait; others come back.
    fn stop(&mut self, delivery: Delivery, ledger: &Ledger, now: Instant) -> Option<Delivery> {
        match self.young.get(&delivery.hook.slot) {
            Some(&ticket) if !ledger.has_passed(ticket) => {
                self.since.get_or_insert(now);
                self.waiting.push((ticket, delivery));
                None
            }
            _ => Some(delivery),
        }
    }

    /// What need not wait any more, in order.
    fn lift(&mut self, ledger: &Ledger) -> Vec<Delivery> {
        let (free, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(ticket, _)| ledger.has_passed(*ticket));
        self.waiting = waiting;
        if self.waiting.is_empty() {
            self.since = None;
        }
        free.into_iter().map(|(_, delivery)| delivery).collect()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Something has waited for too long.
    fn is_overdue(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE)
    }
}

impl Engine {
    /// Keeps a delivery that has to wait; others come back.
    pub(super) fn stop_at_fence(&mut self, delivery: Delivery, now: Instant) -> Option<Delivery> {
        match &self.term {
            Some(term) => self.fence.stop(delivery, &term.ledger, now),
            None => Some(delivery),
        }
    }

    /// Records what waited and need not any more.
    pub(super) fn lift_fence(&mut self) {
        let Some(term) = &self.term else { return };
        if self.fence.len() > 0 {
            for delivery in self.fence.lift(&term.ledger) {
                self.spill(delivery, "ordered", Duration::ZERO);
            }
        }
    }

    /// Does something for the cursor to pass what others wait for.
    pub(super) fn clear_the_way(&mut self, now: Instant) {
        if self.fence.is_overdue(now) {
            self.hold_all(now, Duration::ZERO);
            self.post.give_away();
            self.settle_refused();
        }
    }
}
