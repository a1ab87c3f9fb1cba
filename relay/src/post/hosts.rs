//! What is in flight to hosts that are not known to be well, and which webhooks wait for them: however many lead to one that
//! hangs, together they take no more slots than a single webhook may.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Hosts with something in flight.
#[derive(Debug, Default)]
pub struct Hosts {
    hosts: HashMap<Arc<str>, Host>,
    in_flight: u32,
}

#[derive(Debug, Default)]
struct Host {
    in_flight: u32,
    /// Slots of lanes.
    waiting: VecDeque<u32>,
}

impl Hosts {
    /// Requests to all of them.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether `cap` requests are in flight to it.
    pub fn is_full(&self, host: &str, cap: u32) -> bool {
        self.hosts.get(host).is_some_and(|host| host.in_flight >= cap)
    }

    /// A lane waits until something of that host, which is full, has landed.
    pub fn park(&mut self, host: &Arc<str>, slot: u32) {
        self.hosts.entry(host.clone()).or_default().waiting.push_back(slot);
    }

    /// A request goes there.
    pub fn depart(&mut self, host: &Arc<str>) {
        self.hosts.entry(host.clone()).or_default().in_flight += 1;
        self.in_flight += 1;
    }

    /// One has ended.
    pub fn land(&mut self, host: &Arc<str>) {
        if let Some(place) = self.hosts.get_mut(host) {
            place.in_flight -= 1;
            self.in_flight -= 1;
            self.forget_idle(host);
        }
    }

    /// A lane that waited for it, if there is one and `cap` leaves room.
    pub fn unpark(&mut self, host: &Arc<str>, cap: u32) -> Option<u32> {
        let place = self.hosts.get_mut(host).filter(|place| place.in_flight < cap)?;
        let slot = place.waiting.pop_front();
        self.forget_idle(host);
        slot
    }

    fn forget_idle(&mut self, host: &Arc<str>) {
        if self.hosts.get(host).is_some_and(|place| place.in_flight == 0 && place.waiting.is_empty()) {
            self.hosts.remove(host);
        }
    }
}
