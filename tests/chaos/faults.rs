//! Doing to a round what its plan says.

use std::time::{Duration, SystemTime};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::time::{Instant, sleep};
use webhook_tests::cluster::Stop;
use webhook_tests::firewall::Firewall;
use webhook_tests::process::{Signal, children, signal_to};
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::session::Session;
use webhook_tests::until::until;

use crate::fleet::Fleet;
use crate::plan::{Fault, Plan};
use crate::servers::Servers;
use crate::ways::Way;

/// It takes the relays so long to notice a fault: what they send meanwhile may be doubled as well.
const NOTICE: Duration = Duration::from_secs(1);

/// A hard fault that landed.
#[derive(Debug)]
pub struct Landed {
    /// What it was.
    pub name: String,
    /// From when …
    pub began: SystemTime,
    /// … until when.
    pub ended: SystemTime,
}

/// What can be broken.
pub struct Scene<'a> {
    /// Postgres.
    pub servers: Servers,
    /// The relays.
    pub fleet: Fleet,
    /// Commits do not wait for the disk.
    pub forgetful: bool,
    /// The receiver.
    pub receiver: &'a Receiver,
    /// The paths that webhooks point at.
    pub paths: &'a [&'a str],
    /// The seed's chance.
    pub random: StdRng,
    /// What was done.
    pub landed: Vec<Landed>,
    /// What is broken, and until when.
    pub broken: Vec<(Way, Instant)>,
    /// Drops packets, where it may.
    pub firewall: Option<&'a Firewall>,
    /// What it says of that.
    pub dropped: String,
}

impl Scene<'_> {
    /// All steps of a plan.
    pub async fn play(&mut self, plan: &Plan) {
        for (pause, fault) in &plan.steps {
            self.wait(*pause).await;
            self.strike(*fault).await;
        }
    }

    /// Everything whole again, once the firewall has been silent for as long as it should.
    pub async fn heal(&mut self) {
        self.receiver_recovers();
        while self.broken.iter().any(|(way, _)| matches!(way, Way::Packets(_))) {
            self.wait(Duration::from_millis(100)).await;
        }
        self.postgres_runs().await;
        self.fleet.heal(&mut self.random).await;
        for (way, _) in std::mem::take(&mut self.broken) {
            self.mend(way);
        }
        loop {
            self.wait(Duration::from_millis(100)).await;
            if !self.fleet.is_unsettled() {
                return;
            }
        }
    }

    fn note_upset(&mut self) {
        for since in self.fleet.take_upset() {
            self.note("a relay died or woke", since);
        }
    }

    /// Lets time pass and looks after the relays.
    pub async fn wait(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            sleep(Duration::from_millis(20)).await;
            self.fleet.tend(&mut self.random).await;
            self.note_upset();
            for (way, until) in std::mem::take(&mut self.broken) {
                if until <= Instant::now() {
                    self.mend(way);
                } else {
                    self.broken.push((way, until));
                }
            }
        }
    }

    pub(crate) fn note(&mut self, name: &str, began: SystemTime) {
        self.landed.push(Landed { name: name.into(), began, ended: SystemTime::now() + NOTICE });
    }

    async fn strike(&mut self, fault: Fault) {
        let began = SystemTime::now();
        let random = &mut self.random;
        let place = self.fleet.pick(random);
        match (fault, place) {
            (Fault::Kill, Some(place)) => self.fleet.kill(place).await,
            (Fault::Replace, Some(place)) => self.fleet.replace(place, random, None).await,
            (Fault::Doom(point, nth), Some(place)) => {
                let doom = format!("{point}:{nth}");
                self.fleet.replace(place, random, Some(&doom)).await;
            }
            (Fault::Freeze(time), Some(place)) => {
                self.fleet.freeze(place, time);
            }
            (Fault::Cut, Some(place)) => self.fleet.place(place).cut(),
            (Fault::Refuse(time), Some(place)) => {
                self.fleet.place(place).refuse();
                self.broken.push((Way::Link(place), Instant::now() + time));
            }
            (Fault::Stall(time), Some(place)) => {
                self.fleet.place(place).stall();
                self.broken.push((Way::Link(place), Instant::now() + time));
            }
            (Fault::Silence(deaf, time), Some(place)) => {
                let home = self.fleet.place(place).home();
                self.silence("postgres", (home, 0).into(), deaf, time);
            }
            (Fault::Hush(deaf, time), _) => {
                let receiver = self.receiver.address();
                self.silence("receiver", receiver, deaf, time);
            }
            (Fault::Join, _) => self.fleet.join(random, None).await,
            (Fault::Backend, _) => {
                let writer = self.write_no_wal().await;
                let victim = writer
                    .or_else(|| children(self.servers.primary().pid()).choose(&mut self.random).copied());
                if let Some(victim) = victim {
                    signal_to(victim, Signal::KILL);
                }
                self.postgres_runs().await;
            }
            (Fault::Server(how), _) => {
                if matches!(how, Stop::Kill) {
                    self.write_no_wal().await;
                }
                self.servers.primary().restart(how).await;
            }
            (Fault::Receivers, _) => self.receivers_fail(),
            (Fault::Recover, _) => self.receiver_recovers(),
            (Fault::Disk(time), _) => {
                if let Some(disk) = self.servers.primary().disk() {
                    disk.fill();
                    self.wait(time).await;
                }
                self.postgres_runs().await;
            }
            (Fault::Clock(seconds), _) => self.fleet.set_clock(seconds),
            (Fault::FailOver(to, behind, how), _) => self.fail_over(to, behind, how).await,
            (_, None) => {}
        }
        if fault.is_hard() && !matches!(fault, Fault::Doom(..)) {
            self.note(&fault.to_string(), began);
        }
    }

    /// In a forgetful round, lets commits pile up in the server's memory, where a kill loses them; returns who should write them.
    async fn write_no_wal(&mut self) -> Option<u32> {
        let writer = if self.forgetful { self.servers.primary().freeze_wal_writer() } else { None };
        if writer.is_some() {
            self.wait(Duration::from_millis(500)).await;
        }
        writer
    }

    /// There is room on the disk, and the server accepts connections. One that could not recover, for want of room or because
    /// it was killed while it did, has ended.
    pub(crate) async fn postgres_runs(&mut self) {
        if let Some(disk) = self.servers.primary().disk() {
            disk.free();
        }
        let url = self.servers.primary().url("postgres");
        until("Postgres to accept connections", async || {
            if self.servers.primary().is_down() {
                self.servers.primary().restart(Stop::Kill).await;
            }
            Session::try_open(&url).await.map(drop)
        })
        .await;
    }

    fn receivers_fail(&mut self) {
        for path in self.paths {
            let random = &mut self.random;
            if random.random_bool(0.6) {
                let replies: Vec<_> =
                    (0..3000).map(|_| bad_reply(random)).chain([Reply::status(200)]).collect();
                self.receiver.answer(path, replies);
            }
        }
    }

    fn receiver_recovers(&mut self) {
        for path in self.paths {
            self.receiver.answer(path, [Reply::status(200)]);
        }
    }
}

fn bad_reply(random: &mut StdRng) -> Reply {
    let ok = Reply::status(200);
    match random.random_range(0..40) {
        0..=2 => Reply::status(500),
        3 => Reply::status(503),
        4 => Reply::status(429).header("Retry-After", "1"),
        5 => Reply::status(302).header("Location", "http://127.0.0.1:1/"),
        6 => Reply::hang(),
        7 | 8 => Reply::close(),
        9 => ok.slowly("slow bytes", Duration::from_millis(100)),
        10 => ok.endless(),
        11..=14 => ok.after(Duration::from_millis(random.random_range(1..1400))),
        _ => ok,
    }
}
