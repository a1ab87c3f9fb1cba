//! What is in flight to hosts that are not known to be well, and which webhooks wait for them: however many lead to one that
//! hangs, together they take no more slots than a single webhook may.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Hosts with something in flight.
#[derive(Debug, Default)]
pub struct Hosts(HashMap<Arc<str>, Host>);

#[derive(Debug, Default)]
struct Host {
    in_flight: u32,
    /// Slots of lanes.
    waiting: VecDeque<u32>,
}

impl Hosts {
    /// Whether `cap` requests are in flight to it.
    pub fn is_full(&self, host: &str, cap: u32) -> bool {
        self.0.get(host).is_some_and(|host| host.in_flight >= cap)
    }

    /// A lane waits until something of that host, which is full, has landed.
    pub fn park(&mut self, host: &Arc<str>, slot: u32) {
        self.0.entry(host.clone()).or_default().waiting.push_back(slot);
    }

    /// A request goes there.
    pub fn depart(&mut self, host: &Arc<str>) {
        self.0.entry(host.clone()).or_default().in_flight += 1;
    }

    /// One has ended.
    pub fn land(&mut self, host: &Arc<str>) {
        if let Some(place) = self.0.get_mut(host) {
            place.in_flight = place.in_flight.saturating_sub(1);
            if place.in_flight == 0 && place.waiting.is_empty() {
                self.0.remove(host);
            }
        }
    }

    /// A lane that waited for it, if there is one and `cap` leaves room.
    pub fn unpark(&mut self, host: &Arc<str>, cap: u32) -> Option<u32> {
        let place = self.0.get_mut(host).filter(|place| place.in_flight < cap)?;
        let slot = place.waiting.pop_front();
        if place.in_flight == 0 && place.waiting.is_empty() {
            self.0.remove(host);
        }
        slot
    }
}
