//! What a seed decides: how many relays, and which faults in which order.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use webhook_tests::cluster::Stop;
use webhook_tests::firewall::Deaf;

/// A fault, or the end of one.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// `kill -9` of a relay.
    Kill,
    /// A relay that dies when it passes a point of its code for the nth time.
    Doom(&'static str, u32),
    /// SIGTERM, and another relay in its place.
    Replace,
    /// One relay more.
    Join,
    /// SIGSTOP, and SIGCONT so much later.
    Freeze(Duration),
    /// `kill -9` of a process of Postgres, which restarts itself.
    Backend,
    /// The whole server ends and starts again.
    Server(Stop),
    /// A relay's connections to Postgres are reset.
    Cut,
    /// They are reset and refused for so long.
    Refuse(Duration),
    /// They stand still for so long.
    Stall(Duration),
    /// Packets between a relay and Postgres are dropped for so long.
    Silence(Deaf, Duration),
    /// Those between all relays and the receivers.
    Hush(Deaf, Duration),
    /// The receivers fail in every way, each request in another.
    Receivers,
    /// They answer again.
    Recover,
    /// The disk of Postgres is full for so long.
    Disk(Duration),
    /// The relays' clocks are off by so many seconds from now on.
    Clock(i64),
    /// The standby falls behind for so long, and then takes the primary's place.
    FailOver(Standby, Duration, Takeover),
}

/// How a standby takes the place of its primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// It was killed.
    Killed,
    /// No relay reaches it any more, and so much later it is killed; others still write there.
    CutOff(Duration),
    /// Both can be reached, until it is killed so much later.
    Beside(Duration),
}

/// A round's standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standby {
    /// Commits wait for it.
    Synchronous,
    /// What it has not received is lost.
    Asynchronous,
}

/// Points of the relay's code at which it can be told to die: see `relay/src/failpoint.rs`.
const POINTS: [&str; 11] = [
    "led",
    "read",
    "handed",
    "claimed",
    "send",
    "sending",
    "answered",
    "record",
    "recording",
    "recorded",
    "stopping",
];

/// A round's course.
#[derive(Debug)]
pub struct Plan {
    /// Relays at the start.
    pub relays: usize,
    /// Faults, each so much later than the one before.
    pub steps: Vec<(Duration, Fault)>,
    /// What can go wrong.
    pub kind: Kind,
    /// No commit waits until it is on disk: what a killed server forgets, nobody may have heard of.
    pub forgetful: bool,
    /// Takes the primary's place.
    pub standby: Option<Standby>,
}

/// Rounds differ in what can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only what must double nothing: rolling restarts and failing receivers.
    Polite,
    /// Relays die.
    Relays,
    /// Postgres dies.
    Postgres,
    /// Links break and relays freeze, one for longer than its leases.
    Links,
    /// All that, full disks and wrong clocks.
    Everything,
    /// Postgres dies for good, and a standby takes its place.
    Failover,
    /// Packets are dropped, on one relay's way to Postgres for longer than its leases.
    Network,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let kinds = [
            Kind::Everything,
            Kind::Polite,
            Kind::Relays,
            Kind::Postgres,
            Kind::Links,
            Kind::Failover,
            Kind::Network,
        ];
        let kind = kinds[seed as usize % kinds.len()];
        let mut steps: Vec<_> = (0..random.random_range(8..14))
            .map(|_| (Duration::from_millis(random.random_range(200..1800)), kind.fault(&mut random)))
            .collect();
        if kind == Kind::Links {
            let asleep = Duration::from_secs(random.random_range(32..40));
            steps.insert(0, (Duration::from_secs(1), Fault::Freeze(asleep)));
        }
        if kind == Kind::Network {
            let silent = Duration::from_secs(random.random_range(32..40));
            steps.insert(0, (Duration::from_secs(1), Fault::Silence(deaf(&mut random), silent)));
        }
        let least = if matches!(kind, Kind::Links | Kind::Network) { 2 } else { 1 };
        let may_die = matches!(kind, Kind::Postgres | Kind::Everything | Kind::Failover);
        let relays = random.random_range(least..=3);
        let mut plan =
            Self { relays, steps, kind, forgetful: may_die && random.random_bool(0.5), standby: None };
        if kind == Kind::Failover {
            plan.fail_over(&mut random);
        }
        plan
    }
}

impl Plan {
    /// In the midst of it all the standby takes over.
    fn fail_over(&mut self, random: &mut StdRng) {
        let modes = [Standby::Synchronous, Standby::Asynchronous];
        let mode = *modes.choose(random).expect("modes");
        let time = Duration::from_millis(random.random_range(0..4000));
        let how = [Takeover::Killed, Takeover::CutOff(time), Takeover::Beside(time)];
        let behind = Duration::from_millis(random.random_range(0..1500));
        let step =
            (Duration::from_secs(1), Fault::FailOver(mode, behind, *how.choose(random).expect("ways")));
        self.steps.insert(random.random_range(1..self.steps.len()), step);
        self.standby = Some(mode);
    }

    /// What kind of round it is, for the report.
    pub fn name(&self) -> String {
        let standby = match self.standby {
            Some(Standby::Synchronous) => " (synchronous)",
            Some(Standby::Asynchronous) => " (asynchronous)",
            None => "",
        };
        format!("{:?}{standby}{}", self.kind, if self.forgetful { " (forgetful)" } else { "" })
    }

    /// What was acknowledged may be lost all the same.
    pub fn may_lose(&self) -> bool {
        self.forgetful || self.standby == Some(Standby::Asynchronous)
    }
}

impl Kind {
    fn fault(self, random: &mut StdRng) -> Fault {
        use Fault::{
            Backend, Clock, Cut, Disk, Doom, Freeze, Hush, Join, Kill, Receivers, Recover, Refuse, Replace,
            Server, Silence, Stall,
        };
        let short = Duration::from_millis(random.random_range(300..7000));
        let doom = Doom(POINTS.choose(random).expect("points"), 1 << random.random_range(0..6));
        let stop = *[Stop::Fast, Stop::Immediate, Stop::Kill].choose(random).expect("ways");
        let polite = [Replace, Replace, Join, Receivers, Recover];
        let relays = [Kill, doom, doom, doom];
        let server = [Backend, Server(stop), Backend, Server(Stop::Kill)];
        // Longer than the relay waits for an answer.
        let long = Duration::from_millis(random.random_range(5500..8000));
        let links = [Cut, Refuse(short), Stall(long), Freeze(short)];
        let rare = [Disk(short / 2), Clock(*[3600, -3600, 90, 0].choose(random).expect("steps"))];
        let all: Vec<Fault> = match self {
            Self::Polite => polite.into(),
            Self::Relays => [&polite[..], &relays, &relays].concat(),
            Self::Postgres => [&polite[..], &relays, &server, &server].concat(),
            Self::Links => [&polite[..], &relays, &links, &links].concat(),
            Self::Everything => [&polite[..], &relays, &server, &links, &rare, &rare].concat(),
            Self::Network => {
                let packets =
                    [Silence(deaf(random), long), Hush(deaf(random), short), Hush(deaf(random), short)];
                [&polite[..], &relays, &packets, &packets, &packets].concat()
            }
            Self::Failover => [&polite[..], &relays, &server, &[Cut]].concat(),
        };
        *all.choose(random).expect("faults")
    }
}

fn deaf(random: &mut StdRng) -> Deaf {
    *[Deaf::There, Deaf::Here, Deaf::Both].choose(random).expect("sides")
}

impl Fault {
    /// True for a fault that may double what is unrecorded.
    pub fn is_hard(self) -> bool {
        !matches!(self, Self::Replace | Self::Join | Self::Receivers | Self::Recover | Self::Clock(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doom(point, nth) => write!(f, "Doom({point}:{nth})"),
            Self::FailOver(to, behind, how) => write!(f, "FailOver({to:?}, {behind:?}, {how:?})"),
            other => write!(f, "{other:?}"),
        }
    }
}
