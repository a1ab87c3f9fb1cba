//! What happens to the post from outside: webhooks change, the lead is lost, other relays come and go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Closed, Post, Refusal};
use crate::delivery::{Claim, Delivery};
use crate::lane::{Gate, Lane};
use crate::matching::Registry;

/// A lane that would need longer than this for its queue may be relieved of it …
pub const LONG_QUEUE: Duration = Duration::from_secs(5);
/// … or longer than this, when its payloads fill the memory.
pub const LONG_HEAVY_QUEUE: Duration = Duration::from_millis(500);

impl Post {
    /// Takes changed webhooks over and refuses what waits for those that want no more.
    pub fn configure(&mut self, registry: &Registry, now: Instant) {
        let (mut unwanted, mut locked) = (VecDeque::new(), VecDeque::new());
        for place in &mut self.lanes {
            let Some(lane) = place else { continue };
            let hook = registry.get(lane.hook().id());
            if let Some(hook) = hook.filter(|hook| !Arc::ptr_eq(hook, lane.hook())) {
                lane.configure(hook.clone(), now);
            }
            if hook.is_none_or(|hook| !hook.active) {
                unwanted.append(&mut lane.drain());
            } else if hook.is_some_and(|hook| hook.locked.is_some()) {
                locked.append(&mut lane.drain());
            }
            if hook.is_none() && lane.is_idle() {
                *place = None;
            }
        }
        self.refuse(unwanted, Refusal::Unwanted);
        self.refuse(locked, Refusal::Locked);
    }

    /// The lead is lost: what we read and did not send is the next leader's, what is under way is an orphan.
    pub fn forget_fresh(&mut self) {
        for lane in self.lanes.iter_mut().flatten() {
            self.queued -= lane.drain_fresh().len();
        }
        for (_, flight) in &mut self.flights {
            if matches!(flight.claim, Claim::Fresh(_)) {
                flight.claim = Claim::Orphan;
            }
        }
    }

    /// Everything that waits, to be given back.
    pub fn clear(&mut self) -> Vec<Delivery> {
        (self.queued, self.leased) = (0, 0);
        self.lanes.iter_mut().flatten().flat_map(Lane::drain).collect()
    }

    /// So many relays are alive and share the webhooks' limits.
    pub fn share(&mut self, relays: u32, now: Instant) {
        if relays.max(1) != self.relays {
            self.relays = relays.max(1);
            for lane in self.lanes.iter_mut().flatten() {
                lane.share(self.relays, now);
            }
        }
    }

    /// Reading is blocked: lanes that would need longer than `patience` for their queue give it away, so that they do not hold back
    /// other webhooks. Where there are no others (`webhooks` that are active in all), a backlog just waits.
    /// With every slot taken and other relays alive, they get half of what waits here.
    pub fn relieve(&mut self, webhooks: usize, patience: Duration, now: Instant) {
        if self.relays > 1 && self.flights.len() >= self.max_in_flight as usize {
            let given = self.lanes.iter_mut().flatten().flat_map(Lane::split_fresh).collect();
            self.refuse(given, Refusal::Later(Duration::ZERO));
        }
        self.relieve_slow(webhooks, patience, now);
    }

    /// The part of it that is about lanes that would need long for their queue.
    pub fn relieve_slow(&mut self, webhooks: usize, patience: Duration, now: Instant) {
        let cap = self.lane_cap();
        if self.lanes.iter().flatten().filter(|lane| lane.queued() > 0).count() >= webhooks {
            return;
        }
        let mut given = VecDeque::new();
        for lane in self.lanes.iter_mut().flatten() {
            if lane.drain_time(now, cap) > patience {
                given.append(&mut lane.drain_fresh());
            }
        }
        self.refuse(given, Refusal::Later(Duration::ZERO));
    }

    /// Puts aside all that was read and waits.
    pub fn give_away(&mut self) {
        let given = self.lanes.iter_mut().flatten().flat_map(Lane::drain_fresh).collect();
        self.refuse(given, Refusal::Later(Duration::ZERO));
    }

    /// For which webhooks nothing should be leased now.
    pub fn closed(&mut self, now: Instant) -> Closed {
        let cap = self.lane_cap();
        let mut closed = Closed::default();
        for lane in self.lanes.iter_mut().flatten() {
            if lane.is_closed(now, cap) {
                closed.webhooks.push(lane.hook().id().to_owned());
                if let Gate::Shut(until) = lane.gate(now, cap) {
                    closed.reopens = Some(closed.reopens.map_or(until, |at| at.min(until)));
                }
            } else {
                closed.probe_due |= lane.probe_pause().is_some();
            }
        }
        closed
    }
}
