//! The relays of a round: each behind a link of its own to Postgres, started again when it dies.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use rand::Rng;
use rand::rngs::StdRng;
use webhook_tests::clock;
use webhook_tests::fault::Proxy;
use webhook_tests::process::Signal;
use webhook_tests::relay::Relay;

use crate::servers;
use crate::ways::TRUST;

/// At most so many at once.
const MOST: usize = 3;

/// A relay and its links, one to each server.
#[derive(Debug)]
pub struct Place {
    links: Vec<Proxy>,
    relay: Relay,
    doomed: bool,
    /// Since when it is frozen, and until when.
    frozen: Option<(SystemTime, SystemTime)>,
}

impl Place {
    /// Its connections to Postgres are reset.
    pub fn cut(&self) {
        self.links.iter().for_each(Proxy::cut);
    }

    /// They are reset and refused.
    pub fn refuse(&self) {
        self.links.iter().for_each(Proxy::refuse);
    }

    /// They stand still.
    pub fn stall(&self) {
        self.links.iter().for_each(Proxy::stall);
    }

    /// From where Postgres sees them come.
    pub fn home(&self) -> Ipv4Addr {
        self.links[0].home()
    }

    /// They pass again.
    pub fn pass(&self) {
        self.links.iter().for_each(Proxy::pass);
    }
}

/// All relays.
#[derive(Debug)]
pub struct Fleet {
    servers: Vec<SocketAddr>,
    clock: Option<PathBuf>,
    places: Vec<Place>,
    /// Told to stop; true: doomed to die before that, perhaps.
    leaving: Vec<(Relay, bool)>,
    logs: Vec<String>,
    /// Relays died by themselves or woke, not before these moments.
    upset: Vec<SystemTime>,
    /// Whoever is found dead was alive then.
    looked: SystemTime,
}

impl Fleet {
    /// No relay yet. With `clock`, the file that their clocks follow.
    pub fn new(servers: Vec<SocketAddr>, clock: Option<&Path>) -> Self {
        let fleet = Self {
            servers,
            clock: clock.map(Into::into),
            places: Vec::new(),
            leaving: Vec::new(),
            logs: Vec::new(),
            upset: Vec::new(),
            looked: SystemTime::now(),
        };
        fleet.set_clock(0);
        fleet
    }

    /// One more, if there is room; `doom`, the point at which it dies.
    pub async fn join(&mut self, random: &mut StdRng, doom: Option<&str>) {
        if self.places.len() < MOST {
            let mut links = Vec::new();
            for server in &self.servers {
                links.push(Proxy::before(*server).await);
            }
            let relay = self.launch(&links, random, doom).await;
            self.places.push(Place { links, relay, doomed: doom.is_some(), frozen: None });
        }
    }

    async fn launch(&self, links: &[Proxy], random: &mut StdRng, doom: Option<&str>) -> Relay {
        let url = servers::url(&links.iter().map(Proxy::address).collect::<Vec<_>>());
        let in_flight = (1 << random.random_range(2..7)).to_string();
        let queued = (1 << random.random_range(4..9)).to_string();
        let mut environment = Vec::new();
        environment.extend(doom.map(|point| ("WEBHOOK_RELAY_FAILPOINT", point)));
        if let (Some(clock), Some(library)) = (&self.clock, clock::threaded()) {
            environment.extend([
                ("LD_PRELOAD", library.to_str().expect("a plain path")),
                ("FAKETIME_TIMESTAMP_FILE", clock.to_str().expect("a plain path")),
                ("FAKETIME_CACHE_DURATION", "1"),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ]);
        }
        let arguments = ["--max-in-flight", &in_flight, "--max-queued", &queued, "--shutdown-timeout", "10s"];
        Relay::doomed(&url, &arguments, &environment).await
    }

    /// Any of them.
    pub fn pick(&self, random: &mut StdRng) -> Option<usize> {
        (!self.places.is_empty()).then(|| random.random_range(0..self.places.len()))
    }

    /// A place.
    pub fn place(&self, place: usize) -> &Place {
        &self.places[place]
    }

    /// `kill -9`; [`Fleet::tend`] starts another one there.
    pub async fn kill(&self, place: usize) {
        self.places[place].relay.kill().await;
    }

    /// SIGSTOP, until so much later.
    pub fn freeze(&mut self, place: usize, time: Duration) {
        self.places[place].relay.signal(Signal::STOP);
        let now = SystemTime::now();
        self.places[place].frozen = Some((now, now + time));
    }

    /// SIGTERM; another one takes its place at once.
    pub async fn replace(&mut self, place: usize, random: &mut StdRng, doom: Option<&str>) {
        let relay = self.launch(&self.places[place].links, random, doom).await;
        self.thaw(place);
        let place = &mut self.places[place];
        let old = std::mem::replace(&mut place.relay, relay);
        let was_doomed = std::mem::replace(&mut place.doomed, doom.is_some());
        old.signal(Signal::TERM);
        self.leaving.push((old, was_doomed));
    }

    fn thaw(&mut self, place: usize) {
        if let Some((since, _)) = self.places[place].frozen.take() {
            // If it was not for long, it may go on with what it had read before it sees that another one leads.
            let now = SystemTime::now();
            self.upset.push(if since + TRUST > now { since } else { now });
        }
        self.places[place].relay.signal(Signal::CONT);
    }

    /// Starts dead relays again and thaws those whose time has come.
    pub async fn tend(&mut self, random: &mut StdRng) {
        let looking = SystemTime::now();
        for place in 0..self.places.len() {
            if self.places[place].frozen.is_some_and(|(_, until)| until <= SystemTime::now()) {
                self.thaw(place);
            }
            if let Some(status) = self.places[place].relay.status() {
                self.upset.push(self.looked);
                let relay = self.launch(&self.places[place].links, random, None).await;
                let dead = std::mem::replace(&mut self.places[place].relay, relay);
                self.places[place].doomed = false;
                self.bury(&dead, status);
            }
        }
        for (relay, was_doomed) in std::mem::take(&mut self.leaving) {
            let Some(status) = relay.status() else {
                self.leaving.push((relay, was_doomed));
                continue;
            };
            if !status.success() {
                self.upset.push(self.looked);
                // One that has hardly begun does not listen to signals yet.
                let log = relay.logs().text();
                let begun = log.contains("connected");
                assert!(was_doomed || !begun, "a relay told to stop ended with {status}:\n{log}");
            }
            self.bury(&relay, status);
        }
        self.looked = looking;
    }

    /// Since when relays may have died that were found dead since the last call, and since when those that woke had been frozen, or
    /// when they woke.
    pub fn take_upset(&mut self) -> Vec<SystemTime> {
        std::mem::take(&mut self.upset)
    }

    /// None of them reaches this server any more.
    pub fn cut_off(&self, server: SocketAddr) {
        let links = self.places.iter().flat_map(|place| self.servers.iter().zip(&place.links));
        links.filter(|(address, _)| **address == server).for_each(|(_, link)| link.stall());
    }

    /// True while one is frozen or about to end.
    pub fn is_unsettled(&self) -> bool {
        !self.leaving.is_empty() || self.places.iter().any(|place| place.frozen.is_some())
    }

    /// The relays' clocks are off by so many seconds.
    pub fn set_clock(&self, seconds: i64) {
        if let Some(clock) = &self.clock {
            std::fs::write(clock, format!("{seconds:+}\n")).expect("write the clock's file");
        }
    }

    /// Links pass, clocks are right, and sound relays are in every place.
    pub async fn heal(&mut self, random: &mut StdRng) {
        self.set_clock(0);
        if self.places.is_empty() {
            self.join(random, None).await;
        }
        for place in 0..self.places.len() {
            self.places[place].pass();
            if self.places[place].doomed {
                self.replace(place, random, None).await;
            }
        }
    }

    /// Ends them all, politely.
    pub async fn end(&mut self) {
        for Place { relay, .. } in std::mem::take(&mut self.places) {
            relay.signal(Signal::TERM);
            let status = relay.ended().await;
            self.bury(&relay, status);
        }
    }

    fn bury(&mut self, relay: &Relay, status: ExitStatus) {
        self.logs.push(format!("{}\nended by {status}", relay.logs().text()));
    }

    /// What they all logged.
    pub fn logs(&self) -> String {
        let running = self.places.iter().map(|place| place.relay.logs().text());
        self.logs.iter().cloned().chain(running).collect::<Vec<_>>().join("\n----\n")
    }
}
