//! Connections that wait to be used again, and those that several requests use at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::http::uri::Authority;
use tokio::time::{Instant, interval};

use super::door::Door;
use super::http1::Link;
use super::http2::{Ride, Shared};
use super::line::Line;
use crate::outcome::Failure;

/// Shorter than common receivers keep an idle connection, so that few are closed under a request.
const IDLE: Duration = Duration::from_secs(4);
/// So long it is remembered that a host does not speak HTTP/2.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Where a connection leads, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    /// With TLS.
    pub(super) secure: bool,
    /// Host and port.
    pub(super) authority: Authority,
    /// Name of the client certificate.
    pub(super) client_cert: Option<String>,
}

/// The turn to connect to a host. It remembers when and why the last one failed: those who waited for it fail with it.
pub(super) type Turn = Arc<tokio::sync::Mutex<Option<(Instant, Failure)>>>;

/// The turn of the one who has it.
pub(super) type Held = tokio::sync::OwnedMutexGuard<Option<(Instant, Failure)>>;

/// Connections.
#[derive(Debug)]
pub(super) struct Pool {
    hosts: Mutex<Hosts>,
    max_idle: usize,
}

#[derive(Debug, Default)]
struct Hosts {
    /// Idle connections of HTTP/1.1, all hosts' together.
    idle: usize,
    hosts: HashMap<Origin, Host>,
}

/// What is known of a host.
#[derive(Debug, Default)]
struct Host {
    idle: Vec<Idle>,
    shared: Vec<Arc<Shared>>,
    door: Door,
    /// Held by who finds out whether it speaks HTTP/2.
    turn: Turn,
    /// When it was last seen to speak HTTP/1.1 alone.
    plain: Option<Instant>,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    since: Instant,
}

impl Pool {
    /// A pool of at most `max_idle` connections that closes what waits for too long.
    pub(super) fn start(max_idle: usize) -> Arc<Self> {
        let pool = Arc::new(Self { hosts: Mutex::default(), max_idle });
        let weak = Arc::downgrade(&pool);
        tokio::spawn(async move {
            let mut clock = interval(IDLE / 4);
            loop {
                clock.tick().await;
                let Some(pool) = weak.upgrade() else { return };
                let mut all = pool.lock();
                all.hosts.retain(|_, host| host.sweep());
                all.idle = all.hosts.values().map(|host| host.idle.len()).sum();
            }
        });
        pool
    }

    /// A connection that stands: one with a free seat, or the one that was used last.
    pub(super) async fn take(&self, origin: &Origin) -> Option<Line> {
        loop {
            let mut link = {
                let mut all = self.lock();
                let host = all.hosts.get_mut(origin)?;
                if let Some(ride) = host.shared.iter().find_map(Shared::ride) {
                    return Some(Line::Shared(ride));
                }
                let last = host.idle.pop()?;
                all.idle -= 1;
                Some(last).filter(|one| one.since.elapsed() < IDLE)?.link
            };
            if link.is_usable().await {
                return Some(Line::Own(link));
            }
        }
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(super) async fn put(&self, origin: Origin, mut link: Box<Link>) {
        if link.is_usable().await {
            let mut all = self.lock();
            if all.idle < self.max_idle {
                all.idle += 1;
                all.hosts.entry(origin).or_default().idle.push(Idle { link, since: Instant::now() });
            }
        }
    }

    /// Who is to connect next where one connection may do for many; none where each request needs its own.
    pub(super) fn turn(&self, origin: &Origin) -> Option<Turn> {
        if !origin.secure {
            return None;
        }
        let mut all = self.lock();
        let host = all.host(origin);
        host.plain.is_none().then(|| host.turn.clone())
    }

    /// Where to wait before connecting.
    pub(super) fn door(&self, origin: &Origin) -> Door {
        self.lock().host(origin).door.clone()
    }

    /// Lets others use a connection too, and takes the first seat.
    pub(super) fn share(&self, origin: &Origin, shared: Arc<Shared>) -> Option<Ride> {
        let ride = shared.ride();
        let mut all = self.lock();
        let host = all.host(origin);
        host.plain = None;
        host.shared.push(shared);
        ride
    }

    /// The host does not speak HTTP/2.
    pub(super) fn is_plain(&self, origin: &Origin) {
        if origin.secure {
            self.lock().host(origin).plain = Some(Instant::now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hosts {
    fn host(&mut self, origin: &Origin) -> &mut Host {
        self.hosts.entry(origin.clone()).or_default()
    }
}

impl Host {
    /// Closes what waits for too long; false when there is nothing to remember.
    fn sweep(&mut self) -> bool {
        self.idle.retain(|one| one.since.elapsed() < IDLE);
        let is_idle = |shared: &Arc<Shared>| shared.idle_since().is_some_and(|since| since.elapsed() >= IDLE);
        // Requests under way hold what is dropped here.
        self.shared.retain(|shared| !shared.is_over() && !is_idle(shared));
        self.plain = self.plain.filter(|seen| seen.elapsed() < REMEMBERED);
        let awaited = Arc::strong_count(&self.turn) > 1 || self.door.is_busy();
        awaited || self.plain.is_some() || !self.idle.is_empty() || !self.shared.is_empty()
    }
}
