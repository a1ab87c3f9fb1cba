//! Leasing pending deliveries: when, how many, and what to do with them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::Engine;
use crate::delivery::{Claim, Delivery};
use crate::errand::Errand;
use crate::event::Event;
use crate::outcome::Failure;
use crate::record::{Judged, Word};
use crate::store::{Claimed, ClaimedRow, StoreError, Wanted};

/// A lease lasts at least this long …
const SHORTEST_LEASE: Duration = Duration::from_secs(30);
/// … and this much longer than the longest request.
const LEASE_MARGIN: Duration = Duration::from_secs(15);
/// Without any sign that something is due, look this often.
const LOOK: Duration = Duration::from_secs(2);
/// … or this often, and less and less, while all that is due is locked by somebody.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// … or this often, while what was brought fills its memory or most of its room.
const LOOK_FULL: Duration = Duration::from_millis(50);
const PER_WEBHOOK: i32 = 64;
/// A webhook of which we have not heard may appear within this.
const PATIENCE: Duration = Duration::from_secs(2);

/// The state of claiming.
#[derive(Debug)]
pub(super) struct Claims {
    next: Instant,
    under_way: bool,
    /// After the last claim, what is due already is not looked for sooner.
    pause: Duration,
    token: i64,
    lease: Duration,
    parked: Vec<(ClaimedRow, i64, Instant)>,
}

impl Claims {
    pub(super) fn new(now: Instant) -> Self {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64;
        Self {
            next: now,
            under_way: false,
            pause: SHORTEST_PAUSE,
            // Unlike any other relay's and any former one's of this relay.
            token: (micros << 10) | i64::from(rand::random::<u16>() >> 6),
            lease: SHORTEST_LEASE,
            parked: Vec::new(),
        }
    }

    /// A new lease's token.
    pub(super) fn token(&mut self) -> i64 {
        self.token += 1;
        self.token
    }

    /// How long leases last.
    pub(super) fn lease(&self) -> Duration {
        self.lease
    }

    /// Look at once.
    pub(super) fn soon(&mut self, now: Instant) {
        self.next = self.next.min(now);
    }

    /// Something of ours is due after `delay`.
    pub(super) fn within(&mut self, now: Instant, delay: Duration) {
        self.next = self.next.min(now + delay);
    }

    /// A claim could not be asked for.
    pub(super) fn not_sent(&mut self) {
        self.under_way = false;
    }

    pub(super) fn wake_at(&self) -> Instant {
        match self.under_way {
            true => Instant::now() + LOOK,
            false => self.next,
        }
    }
}

impl Engine {
    /// Asks for pending deliveries if it is time and there is room for them.
    pub(super) fn claim(&mut self, now: Instant) {
        let room = self.post.room();
        let claims = &mut self.claims;
        if self.post.take_dry() {
            claims.within(now, if room >= self.post.leased() { Duration::ZERO } else { LOOK_FULL });
        }
        if claims.under_way || claims.next > now {
            return;
        }
        claims.next = now + LOOK;
        if room == 0 || !self.context.pulse.is_ready() || !self.flush.is_healthy(now) {
            return;
        }
        if self.context.claimed.is_full() {
            self.claims.next = now + LOOK_FULL;
            return;
        }
        let longest = self.registry.iter().map(|hook| hook.timeout()).max().unwrap_or_default();
        let closed = self.post.closed(now);
        let claims = &mut self.claims;
        claims.lease = SHORTEST_LEASE.max(longest + LEASE_MARGIN);
        claims.under_way = true;
        if let Some(reopens) = closed.reopens {
            claims.next = claims.next.min(reopens.max(now + Duration::from_millis(10)));
        }
        // Another relay may have the key.
        let locked = self.registry.locked().map(|(webhook, _)| webhook.to_owned());
        let wanted = Wanted {
            lease: claims.token(),
            lease_ms: claims.lease.as_millis() as i32,
            skip: closed.webhooks.into_iter().chain(locked).collect(),
            // A probe is one delivery; the others of this round are not many.
            per_webhook: if closed.probe_due { 1 } else { PER_WEBHOOK },
            total: room as i32,
            max_bytes: (self.context.claimed.most() / 4) as i64,
        };
        self.errand(Errand::Claim(wanted));
    }

    /// Pending deliveries came.
    pub(super) fn claimed(&mut self, lease: i64, asked: Instant, result: Result<Claimed, StoreError>) {
        let now = Instant::now();
        self.claims.under_way = false;
        let claimed = match result {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::debug!(%error, "pending deliveries could not be claimed");
                self.claims.next = now + Duration::from_secs(1);
                return;
            }
        };
        self.context.metrics.claimed.add(claimed.rows.len() as u64);
        if let Some(due) = claimed.next_due_ms {
            // What is due and was not brought is locked by somebody, or not its key's turn: not at once again.
            let claims = &mut self.claims;
            claims.pause = match claimed.rows.is_empty() {
                true => (claims.pause * 2).clamp(SHORTEST_PAUSE, LOOK),
                false => Duration::from_millis(5),
            };
            claims.within(now, claims.pause.max(Duration::from_millis(u64::try_from(due).unwrap_or(0))));
        }
        for row in claimed.rows {
            self.take_claimed(row, lease, asked, now);
        }
    }

    fn take_claimed(&mut self, row: ClaimedRow, token: i64, asked: Instant, now: Instant) {
        // Sent already; unless somebody wants it sent once more.
        if !row.replayed
            && let Some(mut judged) = self.locked.reclaim(&row.delivery_id)
        {
            judged.lease = token;
            self.batch.judged.push(judged);
            return;
        }
        let Some(hook) = self.registry.get(&row.webhook_id).cloned() else {
            self.claims.parked.push((row, token, asked));
            self.out.orders.send_modify(|orders| orders.refresh += 1);
            return;
        };
        let redirected = row.one_off.as_ref().map(|one_off| hook.redirected(one_off)).transpose();
        let (hook, broken) = match redirected {
            Ok(own) => (own.map_or(hook, Arc::new), None),
            Err(error) => (hook, Some(Failure::BadRequest(error.to_string()))),
        };
        let ordered = hook.options().ordered;
        let delivery = Delivery {
            id: row.delivery_id,
            event: Arc::new(Event::new(row.facts, &self.context.claimed)),
            hook,
            number: row.number,
            tries: u32::try_from(row.tries).unwrap_or(0),
            // An ordered webhook has an order per key already, which lets other keys go on.
            in_turn: row.replayed && !ordered,
            claim: Claim::Leased { token, send_by: asked + self.claims.lease / 2 },
        };
        if self.stopping {
            self.batch.judged.push(Judged::unsent(delivery, Word::Release, None, Duration::ZERO));
        } else if let Some(failure) = broken {
            self.fail_unsent(delivery, &failure, now);
        } else if delivery.event.facts().data.is_none() {
            self.fail_unsent(delivery, &Failure::EventExpired, now);
        } else {
            self.post.offer(delivery, now);
        }
    }

    /// The webhooks changed: what waited for one that was not known may go. A webhook that stays unknown has been
    /// deleted, and its lease just runs out.
    pub(super) fn unpark(&mut self, now: Instant) {
        for (row, token, asked) in std::mem::take(&mut self.claims.parked) {
            if self.registry.get(&row.webhook_id).is_some() || now.saturating_duration_since(asked) < PATIENCE
            {
                self.take_claimed(row, token, asked, now);
            }
        }
    }
}
