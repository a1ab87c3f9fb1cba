//! One webhook's deliveries: queue, in-flight limit, rate limit, breaker and pauses.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::delivery::{Claim, Delivery};
use crate::matching::Hook;
use crate::outcome::{BodyEnd, Exchange, Reading};

mod breaker;
mod bucket;

use breaker::Breaker;
pub use breaker::Change;
use bucket::Bucket;

/// In flight at most, before the receiver has shown that it can take more.
const FIRST_WINDOW: u32 = 8;
/// Without `Retry-After`, an overloaded receiver rests so long, doubling up to the longest.
const FIRST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// An answer that is too long to be read, or does not end in time, costs a connection and the reading. For others not to
/// wait for that, such a receiver rests after each, so that it gets some fifteen requests a second.
const LONG_ANSWER_REST: Duration = Duration::from_millis(500);
/// A pause up to this long is waited out in memory.
const SHORT_PAUSE: Duration = Duration::from_secs(1);
/// A receiver slower than this is kept apart from the quick ones.
const SLOW: Duration = Duration::from_secs(1);

/// Whether a lane may send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// One delivery may go.
    Open,
    /// As much is in flight as may be; ask again when one is done.
    Full,
    /// Not before then, but soon.
    Wait(Instant),
    /// Not before then, and nobody should queue up for it.
    Shut(Instant),
}

/// One webhook's deliveries.
#[derive(Debug)]
pub struct Lane {
    hook: Arc<Hook>,
    relays: u32,
    fresh: VecDeque<Delivery>,
    leased: VecDeque<Delivery>,
    leased_turn: bool,
    /// A delivery that is sent in turn is under way.
    in_turn: bool,
    in_flight: u32,
    /// Bytes of payload in flight.
    carried: usize,
    most_carried: usize,
    window: u32,
    breaker: Breaker,
    bucket: Option<Bucket>,
    rest: Option<Instant>,
    strikes: u32,
    latency: Option<Duration>,
    /// Its last answer that was read as a whole did not end.
    long_answers: bool,
    progress: Instant,
    host: Arc<str>,
    /// Set while the dispatcher has it in one of its rings, among its sleepers or parked.
    pub listed: bool,
    /// Set while it waits for its host to have room.
    pub parked: bool,
}

impl Lane {
    /// An idle lane of one of `relays` that share the webhook's limits. Of payloads it may have `most_carried` bytes in flight, or one.
    #[must_use]
    pub fn new(hook: Arc<Hook>, relays: u32, most_carried: usize, now: Instant) -> Self {
        let bucket = hook.options().rate_limit.map(|rate| Bucket::new(rate / f64::from(relays), now));
        Self {
            relays,
            host: host_of(&hook),
            hook,
            fresh: VecDeque::new(),
            leased: VecDeque::new(),
            leased_turn: false,
            in_turn: false,
            in_flight: 0,
            carried: 0,
            most_carried,
            window: FIRST_WINDOW,
            breaker: Breaker::default(),
            bucket,
            rest: None,
            strikes: 0,
            latency: None,
            long_answers: false,
            progress: now,
            listed: false,
            parked: false,
        }
    }

    /// The webhook as last configured.
    #[must_use]
    pub fn hook(&self) -> &Arc<Hook> {
        &self.hook
    }

    /// Host and port that it leads to.
    #[must_use]
    pub fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// Takes a changed configuration; a new URL starts with a clean record.
    pub fn configure(&mut self, hook: Arc<Hook>, now: Instant) {
        if hook.endpoint.url.as_str() != self.hook.endpoint.url.as_str() {
            self.breaker = Breaker::default();
            (self.rest, self.strikes, self.latency, self.window) = (None, 0, None, FIRST_WINDOW);
            self.long_answers = false;
            self.host = host_of(&hook);
        }
        self.hook = hook;
        self.share(self.relays, now);
    }

    /// From now on so many relays share the webhook's limits.
    pub fn share(&mut self, relays: u32, now: Instant) {
        self.relays = relays;
        let rate = self.hook.options().rate_limit.map(|rate| rate / f64::from(relays));
        self.bucket = match (self.bucket.take(), rate) {
            (Some(mut bucket), Some(rate)) => {
                bucket.set_rate(rate);
                Some(bucket)
            }
            (None, Some(rate)) => Some(Bucket::new(rate, now)),
            (_, None) => None,
        };
    }

    /// Deliveries that wait here.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.fresh.len() + self.leased.len()
    }

    /// True when leased deliveries wait.
    #[must_use]
    pub fn has_leased(&self) -> bool {
        !self.leased.is_empty()
    }

    /// True when it would be pointless to lease more for it: it has some, or it is shut.
    pub fn is_closed(&mut self, now: Instant, cap: u32) -> bool {
        self.has_leased() || matches!(self.gate(now, cap), Gate::Shut(_))
    }

    /// True when nothing waits and nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queued() == 0 && self.in_flight == 0
    }

    /// How long a delivery that failed as a probe waits; none while the breaker is closed.
    #[must_use]
    pub fn probe_pause(&self) -> Option<Duration> {
        self.breaker.pause()
    }

    /// True for receivers that fail, are slow or not yet known: together they may not take every slot.
    #[must_use]
    pub fn is_sick(&self) -> bool {
        self.breaker.failures() > 0 || self.latency.map_or(self.in_flight > 0, |latency| latency > SLOW)
    }

    /// True for these and for receivers of which nothing is known: those of one host may not take every slot.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.latency.is_none() || self.is_sick()
    }

    /// May it send now? `cap` bounds what is in flight if the webhook sets no limit of its own.
    pub fn gate(&mut self, now: Instant, cap: u32) -> Gate {
        if let Some(probe_at) = self.breaker.probe_at() {
            return if self.in_flight > 0 {
                Gate::Shut(probe_at.max(now + SHORT_PAUSE))
            } else if probe_at > now {
                Gate::Shut(probe_at)
            } else {
                Gate::Open
            };
        }
        if let Some(until) = self.rest {
            if until > now + SHORT_PAUSE {
                return Gate::Shut(until);
            } else if until > now {
                return Gate::Wait(until);
            }
            self.rest = None;
        }
        if self.in_flight >= self.limit(cap) || self.is_laden() {
            return Gate::Full;
        }
        match self.bucket.as_mut().map(|bucket| bucket.ready_at(now)) {
            Some(ready) if ready > now => Gate::Wait(ready),
            _ => Gate::Open,
        }
    }

    /// What may ever be in flight: our part of the webhook's own limit, or `cap`.
    #[must_use]
    pub fn ceiling(&self, cap: u32) -> u32 {
        self.hook.options().max_in_flight.map_or(cap, |limit| limit / self.relays).max(1)
    }

    /// What may be in flight now: no more than the receiver has shown to bear.
    fn limit(&self, cap: u32) -> u32 {
        self.ceiling(cap).min(self.window)
    }

    /// Large payloads on their way hold memory that others wait for.
    fn is_laden(&self) -> bool {
        self.in_flight > 0 && self.carried >= self.most_carried
    }

    /// Queues a delivery.
    pub fn push(&mut self, delivery: Delivery) {
        match delivery.claim {
            Claim::Leased { .. } => self.leased.push_back(delivery),
            Claim::Fresh(_) | Claim::Orphan => self.fresh.push_back(delivery),
        }
    }

    /// Takes a delivery whose lease is too old to start now.
    pub fn take_late(&mut self, now: Instant) -> Option<Delivery> {
        let late = |delivery: &mut Delivery| matches!(delivery.claim, Claim::Leased { send_by, .. } if send_by < now);
        self.leased.pop_front_if(late)
    }

    /// Takes the next delivery to send; call it when the gate is open. Also says whether it is a probe.
    /// Fresh and leased ones take turns, so that a backlog of one kind never starves the other. None while the next leased
    /// one has to wait for its turn and there is no other.
    pub fn take(&mut self, now: Instant) -> Option<(Delivery, bool)> {
        self.leased_turn = !self.leased_turn;
        let (first, second) = match self.leased_turn {
            true => (&mut self.leased, &mut self.fresh),
            false => (&mut self.fresh, &mut self.leased),
        };
        let waits = |delivery: &Delivery| self.in_turn && delivery.in_turn;
        let pop = |queue: &mut VecDeque<Delivery>| queue.pop_front_if(|delivery| !waits(delivery));
        let delivery = pop(first).or_else(|| pop(second))?;
        self.in_turn |= delivery.in_turn;
        if self.in_flight == 0 {
            self.progress = now;
        }
        self.in_flight += 1;
        self.carried += delivery.event.weight();
        if let Some(bucket) = &mut self.bucket {
            bucket.take();
        }
        Some((delivery, self.breaker.probe_at().is_some()))
    }

    /// How much is waited for of the answer to what is sent next. While answers do not end, one at a time shows whether they still
    /// do not.
    #[must_use]
    pub fn reading(&self) -> Reading {
        if self.long_answers && self.in_flight > 0 { Reading::Start } else { Reading::Whole }
    }

    /// That delivery is answered; what is to be learned from it is up to [`Lane::done`].
    pub fn unload(&mut self, delivery: &Delivery) {
        self.carried = self.carried.saturating_sub(delivery.event.weight());
        self.in_turn &= !delivery.in_turn;
    }

    /// Gives away the later half of what was read and waits.
    pub fn split_fresh(&mut self) -> VecDeque<Delivery> {
        self.fresh.split_off(self.fresh.len() / 2)
    }

    /// Gives away all that was read and waits.
    pub fn drain_fresh(&mut self) -> VecDeque<Delivery> {
        std::mem::take(&mut self.fresh)
    }

    /// Gives away all that waits.
    pub fn drain(&mut self) -> VecDeque<Delivery> {
        let mut all = self.drain_fresh();
        all.append(&mut self.leased);
        all
    }

    /// An exchange ended from which nothing is to be learned.
    pub fn done_once(&mut self, took: Duration, now: Instant) -> Change {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.progress = now;
        self.latency = Some(took);
        Change::None
    }

    /// An exchange ended: learns from it.
    pub fn done(&mut self, exchange: &Exchange, took: Duration, now: Instant, cap: u32) -> Change {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.progress = now;
        self.latency = Some(self.latency.map_or(took, |latency| (latency * 7 + took) / 8));
        match exchange {
            Ok(answer) if (200..300).contains(&answer.status) => {
                self.strikes = 0;
                let ended = matches!(answer.end, BodyEnd::Complete | BodyEnd::Broken);
                if answer.end != BodyEnd::Cut {
                    self.long_answers = !ended;
                }
                (self.window, self.rest) = match ended {
                    true => ((self.window + 1).min(self.ceiling(cap)), None),
                    false => (self.window.min(FIRST_WINDOW), Some(now + LONG_ANSWER_REST)),
                };
                self.breaker.succeed()
            }
            Ok(answer) => {
                if matches!(answer.status, 429 | 502 | 503 | 504) {
                    let rest = FIRST_REST.saturating_mul(1 << self.strikes.min(10)).min(LONGEST_REST);
                    self.strikes += 1;
                    self.rest = self.rest.max(Some(now + answer.retry_after.unwrap_or(rest)));
                }
                self.window = (self.window / 2).max(1);
                self.breaker.fail(now)
            }
            Err(failure) if failure.concerns_receiver() => {
                self.window = (self.window / 2).max(1);
                self.breaker.fail(now)
            }
            Err(_) => Change::None,
        }
    }

    /// How long the queue would take at the present pace.
    #[must_use]
    pub fn drain_time(&self, now: Instant, cap: u32) -> Duration {
        let stalled =
            if self.in_flight > 0 { now.saturating_duration_since(self.progress) } else { Duration::ZERO };
        let rest = if self.long_answers { LONG_ANSWER_REST } else { Duration::ZERO };
        let latency = self.latency.unwrap_or_default().max(stalled) + rest;
        let queued = self.queued() as f64;
        let abreast = if self.is_laden() { self.in_flight } else { self.limit(cap) };
        let by_latency = latency.as_secs_f64() * queued / f64::from(abreast);
        let by_rate = self.hook.options().rate_limit.map_or(0.0, |rate| queued / rate);
        Duration::try_from_secs_f64(by_latency.max(by_rate)).unwrap_or(Duration::MAX)
    }
}

fn host_of(hook: &Hook) -> Arc<str> {
    let url = &hook.endpoint.url;
    format!("{}:{}", url.host(), url.port()).into()
}
