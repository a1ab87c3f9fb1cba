//! What all parts of one running relay know.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::{Database, Run};
use crate::event::Budget;
use crate::metrics::Metrics;
use crate::store::{KnownWay, Session, StoreError};

/// Silence of the database that makes the leader stop sending what it read: well within a lease.
pub const TRUST: Duration = Duration::from_secs(10);

/// What all parts of one running relay know.
#[derive(Debug)]
pub struct Context {
    /// This process's own id.
    pub instance: String,
    /// The machine's name, for the table of relays.
    pub host: String,
    /// Flags.
    pub config: Run,
    /// Memory for the payloads of what the leader read, …
    pub budget: Budget,
    /// … and of what is leased, so that neither waits for the other's.
    pub claimed: Budget,
    /// Counters.
    pub metrics: Metrics,
    /// The leader's session.
    pub pulse: Pulse,
    /// How sessions reach Postgres.
    pub way: KnownWay,
    /// The time.
    pub clock: Clock,
}

impl Context {
    /// A new relay's context.
    #[must_use]
    pub fn new(config: Run) -> Self {
        let memory = config.max_payload_mib as usize * 1024 * 1024;
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            instance: format!("relay_{:016x}", rand::random::<u64>()),
            host: host.trim().to_owned(),
            config,
            budget: Budget::of(memory / 2),
            claimed: Budget::of(memory / 4),
            metrics: Metrics::default(),
            pulse: Pulse::default(),
            way: KnownWay::default(),
            clock: Clock::default(),
        }
    }

    /// Where the database is.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.config.database
    }

    /// The session that is kept in `place`, or a new one if that has ended.
    pub async fn session<'a>(&self, place: &'a mut Option<Session>) -> Result<&'a Session, StoreError> {
        if place.as_ref().is_none_or(Session::is_closed) {
            let dsn = self.database().load().map_err(|error| StoreError::Lost(error.to_string()))?;
            *place = Some(Session::connect(&dsn, self.way.get()).await?);
        }
        place.as_ref().ok_or(StoreError::Timeout)
    }
}

/// When the main session was last known to work, and whether it may send.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    last_ms: AtomicU64,
    connected: AtomicBool,
    adopted: AtomicBool,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            last_ms: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            adopted: AtomicBool::new(false),
        }
    }
}

impl Pulse {
    /// The session answered a question that was asked at `asked`.
    pub fn beat(&self, asked: Instant) {
        let ms = asked.saturating_duration_since(self.start).as_millis() as u64;
        self.last_ms.fetch_max(ms, Ordering::Relaxed);
    }

    /// True while the last answer is recent enough to believe that we still lead.
    #[must_use]
    pub fn is_fresh(&self, now: Instant) -> bool {
        let last = self.start + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(last) < TRUST
    }

    /// Notes whether the main session stands.
    pub fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    /// Notes whether this database may send.
    pub fn set_adopted(&self, adopted: bool) {
        self.adopted.store(adopted, Ordering::Relaxed);
    }

    /// True while this database may send.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        self.adopted.load(Ordering::Relaxed)
    }

    /// True while connected to a database that may send.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.connected.load(Ordering::Relaxed) && self.is_adopted()
    }
}
