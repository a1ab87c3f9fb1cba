//! The dispatcher over all lanes: round robin, one global in-flight limit, constant work per delivery.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

use crate::delivery::{Claim, Delivery};
use crate::lane::{Change, Gate, Lane};
use crate::matching::Hook;
use crate::outcome::{Course, Exchange, Reading, Verdict, judge};

mod hosts;
mod upkeep;

use hosts::Hosts;
pub use upkeep::{LONG_HEAVY_QUEUE, LONG_QUEUE};

/// Why a delivery is not sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The webhook takes nothing for so long, or has far too much to do.
    Later(Duration),
    /// Its lease is too old to start now.
    Late,
    /// The webhook is inactive or gone.
    Unwanted,
    /// Nothing can be signed for the webhook.
    Locked,
}

/// A request that is to start now.
#[derive(Debug)]
pub struct Launch {
    /// Names the flight when it ends.
    pub flight: usize,
    /// What to send.
    pub delivery: Arc<Delivery>,
    /// To whom, as configured now.
    pub hook: Arc<Hook>,
    /// How much of the answer to wait for.
    pub reading: Reading,
}

/// A request under way.
#[derive(Debug)]
pub struct Flight {
    /// What is being sent.
    pub delivery: Arc<Delivery>,
    /// By what right, by now.
    pub claim: Claim,
    /// Since when.
    pub started: Instant,
    hook: Arc<Hook>,
    /// Where to, if it was not known to be well.
    doubtful: Option<Arc<str>>,
    probe: bool,
}

/// A request that ended.
#[derive(Debug)]
pub struct Landing {
    /// What was sent, and to whom.
    pub flight: Flight,
    /// What becomes of it.
    pub verdict: Verdict,
    /// What it did to the webhook's breaker.
    pub change: Change,
    /// False when the attempt was a probe, which burns no try.
    pub counts: bool,
}

/// Webhooks that take nothing now.
#[derive(Debug, Default)]
pub struct Closed {
    /// Their ids.
    pub webhooks: Vec<String>,
    /// When the first of them takes something again, if that is up to the clock.
    pub reopens: Option<Instant>,
    /// True when one that is not closed takes just a probe.
    pub probe_due: bool,
}

/// All lanes.
#[derive(Debug)]
pub struct Post {
    lanes: Vec<Option<Lane>>,
    ready: VecDeque<u32>,
    sick: VecDeque<u32>,
    sick_turn: bool,
    sleepers: BinaryHeap<Reverse<(Instant, u32)>>,
    flights: Slab<Flight>,
    hosts: Hosts,
    max_in_flight: u32,
    most_carried: usize,
    relays: u32,
    queued: usize,
    leased: usize,
    /// The last pending delivery that was brought for some webhook went: there may be more where it came from.
    dry: bool,
    refused: Vec<(Delivery, Refusal)>,
}

impl Post {
    /// An empty post that sends at most `max_in_flight` requests at once.
    #[must_use]
    pub fn new(max_in_flight: u32) -> Self {
        Self {
            lanes: Vec::new(),
            ready: VecDeque::new(),
            sick: VecDeque::new(),
            sick_turn: false,
            sleepers: BinaryHeap::new(),
            flights: Slab::new(),
            hosts: Hosts::default(),
            max_in_flight: max_in_flight.max(1),
            most_carried: usize::MAX,
            relays: 1,
            queued: 0,
            leased: 0,
            dry: false,
            refused: Vec::new(),
        }
    }

    /// The same, with so many bytes of payload in flight for one webhook at most.
    #[must_use]
    pub fn carrying(self, most_carried: usize) -> Self {
        Self { most_carried, ..self }
    }

    /// At most so many in flight for one webhook that sets no limit.
    fn lane_cap(&self) -> u32 {
        (self.max_in_flight / 2).max(1)
    }

    /// Requests under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Deliveries that wait in lanes.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Leased deliveries that wait in lanes.
    #[must_use]
    pub fn leased(&self) -> usize {
        self.leased
    }

    /// How many pending deliveries may be leased now. However much is read, half the slots' worth may be pending ones.
    #[must_use]
    pub fn room(&self) -> usize {
        (self.max_in_flight as usize).div_ceil(2).saturating_sub(self.leased)
    }

    /// Whether, since the last call, the last one that was leased for some webhook went.
    pub fn take_dry(&mut self) -> bool {
        std::mem::take(&mut self.dry)
    }

    /// Requests under way, to be held, handed over or marked.
    pub fn flights_mut(&mut self) -> impl Iterator<Item = (usize, &mut Flight)> {
        self.flights.iter_mut()
    }

    /// One request under way.
    pub fn flight_mut(&mut self, flight: usize) -> Option<&mut Flight> {
        self.flights.get_mut(flight)
    }

    /// What was refused since the last call.
    pub fn take_refused(&mut self) -> Vec<(Delivery, Refusal)> {
        std::mem::take(&mut self.refused)
    }

    /// Queues a delivery, or refuses it.
    pub fn offer(&mut self, delivery: Delivery, now: Instant) {
        let cap = self.lane_cap();
        let slot = delivery.hook.slot;
        let lane = self.lane(&delivery.hook, now);
        if !lane.hook().active {
            self.refused.push((delivery, Refusal::Unwanted));
            return;
        }
        if lane.hook().locked.is_some() {
            self.refused.push((delivery, Refusal::Locked));
            return;
        }
        match lane.gate(now, cap) {
            Gate::Shut(until) => self.refused.push((delivery, Refusal::Later(until - now))),
            // One probe at a time: what comes after it waits elsewhere.
            Gate::Open if lane.queued() > 0 && lane.probe_pause().is_some() => {
                let pause = lane.probe_pause().unwrap_or_default();
                self.refused.push((delivery, Refusal::Later(pause)));
            }
            _ => {
                self.leased += usize::from(is_leased(&delivery));
                self.queued += 1;
                self.lane(&delivery.hook.clone(), now).push(delivery);
                self.list(slot);
            }
        }
    }

    fn lane(&mut self, hook: &Arc<Hook>, now: Instant) -> &mut Lane {
        let slot = hook.slot as usize;
        if self.lanes.len() <= slot {
            self.lanes.resize_with(slot + 1, || None);
        }
        let (relays, most_carried) = (self.relays, self.most_carried);
        self.lanes[slot].get_or_insert_with(|| Lane::new(hook.clone(), relays, most_carried, now))
    }

    /// Puts a lane that has something to send into the ring it belongs to.
    fn list(&mut self, slot: u32) {
        let Some(Some(lane)) = self.lanes.get_mut(slot as usize) else { return };
        if !lane.listed && lane.queued() > 0 {
            lane.listed = true;
            let ring = if lane.is_sick() { &mut self.sick } else { &mut self.ready };
            ring.push_back(slot);
        }
    }

    /// The next request to start, if one may.
    pub fn next(&mut self, now: Instant) -> Option<Launch> {
        while let Some(&Reverse((at, slot))) = self.sleepers.peek() {
            if at > now {
                break;
            }
            self.sleepers.pop();
            if let Some(Some(lane)) = self.lanes.get_mut(slot as usize) {
                lane.listed = false;
            }
            self.list(slot);
        }
        let in_flight = self.flights.len() as u32;
        if in_flight >= self.max_in_flight {
            return None;
        }
        // Webhooks that fail or are slow never take the last quarter, nor do the others leave them less than one.
        let quarter = self.max_in_flight / 4;
        let sick_too = in_flight < self.max_in_flight - quarter || self.hosts.in_flight() < quarter;
        loop {
            self.sick_turn = !self.sick_turn;
            let slot = match (self.sick_turn && sick_too).then(|| self.sick.pop_front()).flatten() {
                Some(slot) => slot,
                None => match self.ready.pop_front() {
                    Some(slot) => slot,
                    None if sick_too => self.sick.pop_front()?,
                    None => return None,
                },
            };
            if let Some(launch) = self.launch(slot, now) {
                return Some(launch);
            }
        }
    }

    /// Starts the lane's next delivery, if it and its host may, and lists the lane again where it belongs.
    fn launch(&mut self, slot: u32, now: Instant) -> Option<Launch> {
        let cap = self.lane_cap();
        let lane = self.lanes.get_mut(slot as usize)?.as_mut()?;
        let host = lane.host().clone();
        if lane.is_doubtful() && self.hosts.is_full(&host, lane.ceiling(cap).max(cap)) {
            lane.parked = true;
            self.hosts.park(&host, slot);
            return None;
        }
        let launch = self.launch_lane(slot, now);
        self.unpark(&host);
        launch
    }

    /// One lane that waited for the host is listed again. Whether it sends or not, the next one's turn comes with it.
    fn unpark(&mut self, host: &Arc<str>) {
        while let Some(slot) = self.hosts.unpark(host, self.lane_cap()) {
            let Some(Some(lane)) = self.lanes.get_mut(slot as usize) else { continue };
            if std::mem::take(&mut lane.parked) {
                lane.listed = false;
                self.list(slot);
                if self.lanes[slot as usize].as_ref().is_some_and(|lane| lane.listed) {
                    return;
                }
            }
        }
    }

    fn launch_lane(&mut self, slot: u32, now: Instant) -> Option<Launch> {
        let cap = self.lane_cap();
        let lane = self.lanes.get_mut(slot as usize)?.as_mut()?;
        lane.listed = false;
        while let Some(late) = lane.take_late(now) {
            self.queued -= 1;
            self.leased -= 1;
            self.dry |= !lane.has_leased();
            self.refused.push((late, Refusal::Late));
        }
        match lane.gate(now, cap) {
            Gate::Full => return None,
            Gate::Wait(until) | Gate::Shut(until) => {
                if lane.queued() > 0 {
                    lane.listed = true;
                    self.sleepers.push(Reverse((until, slot)));
                }
                return None;
            }
            Gate::Open => {}
        }
        let doubtful = lane.is_doubtful().then(|| lane.host().clone());
        let reading = lane.reading();
        let (delivery, probe) = lane.take(now)?;
        // As last configured, unless the request has an endpoint of its own.
        let hook = if delivery.hook.one_off { delivery.hook.clone() } else { lane.hook().clone() };
        self.queued -= 1;
        if is_leased(&delivery) {
            self.leased -= 1;
            self.dry |= !lane.has_leased();
        }
        self.list(slot);
        let claim = delivery.claim;
        let delivery = Arc::new(delivery);
        if let Some(host) = &doubtful {
            self.hosts.depart(host);
        }
        let flight = self.flights.insert(Flight {
            delivery: delivery.clone(),
            claim,
            started: now,
            hook: hook.clone(),
            doubtful,
            probe,
        });
        Some(Launch { flight, delivery, hook, reading })
    }

    /// A request ended. `chance` in `0.0..1.0` spreads its retry.
    pub fn land(&mut self, flight: usize, exchange: &Exchange, now: Instant, chance: f64) -> Option<Landing> {
        let flight = self.flights.try_remove(flight)?;
        if let Some(host) = &flight.doubtful {
            self.hosts.land(host);
        }
        let cap = self.lane_cap();
        let slot = flight.hook.slot;
        let lane = self.lane(&flight.hook, now);
        let took = now.saturating_duration_since(flight.started);
        lane.unload(&flight.delivery);
        let change = match flight.hook.one_off {
            // Each is tried as often as it asks, whatever became of others to that host.
            true => lane.done_once(took, now),
            false => lane.done(exchange, took, now, cap),
        };
        let probe = flight.probe.then(|| lane.probe_pause()).flatten();
        let course =
            Course { schedule: &flight.hook.options().retry_schedule, tries: flight.delivery.tries, probe };
        let verdict = judge(exchange, course, chance);
        if let Gate::Shut(until) = lane.gate(now, cap) {
            let gone = lane.drain();
            self.refuse(gone, Refusal::Later(until - now));
        }
        self.list(slot);
        if let Some(host) = &flight.doubtful {
            self.unpark(host);
        }
        Some(Landing { verdict, change, counts: probe.is_none(), flight })
    }

    /// When something that waits for the clock may go.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        self.sleepers.peek().map(|Reverse((at, _))| *at)
    }

    fn refuse(&mut self, gone: VecDeque<Delivery>, why: Refusal) {
        self.queued -= gone.len();
        self.leased -= gone.iter().filter(|delivery| is_leased(delivery)).count();
        self.refused.extend(gone.into_iter().map(|delivery| (delivery, why)));
    }
}

fn is_leased(delivery: &Delivery) -> bool {
    matches!(delivery.claim, Claim::Leased { .. })
}

#[cfg(test)]
mod tests;
