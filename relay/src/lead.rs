//! The main session: greeting, leadership, reading, and sleeping until there is something to read.
//!
//! Leadership, LISTEN and reading live on one connection on purpose: when it is gone, all three are. Behind a pooler that lends
//! connections for one transaction each there is no LISTEN, and the lead is a lease.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::config::ConfigError;
use crate::context::{Context, TRUST};
use crate::error::Error;
use crate::failpoint;
use crate::keyring::Keyring;
use crate::matching::Registry;
use crate::read::Chunk;
use crate::store::{Lead, Session, StoreError, Way};

/// How long a lease of the lead lasts: longer than a relay that could not renew it goes on sending.
const LEASE: Duration = TRUST.saturating_add(Duration::from_secs(5));
/// It is renewed this often.
const RENEW: Duration = Duration::from_secs(2);
/// While away or not wanted, one line in the log this often.
const GRUMBLE: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// A follower reacts to rings at most this often: most of them are for the leader.
const FOLLOWER_REST: Duration = Duration::from_millis(250);
/// All webhooks are loaded again this often …
const RELOAD: Duration = Duration::from_secs(600);
/// … or this often while our key is not in use …
const RELOAD_DISAGREEING: Duration = Duration::from_secs(60);
/// … and when a secret expires, but not more often than this …
const RELOAD_EXPIRED: Duration = Duration::from_secs(1);
/// … or this often while they are being sealed.
const RELOAD_RESEALING: Duration = Duration::from_secs(5);
/// The older extensions whose verbs this relay can call.
const SERIES_BEFORE: &str = "0.1";

mod keys;
mod lease;
mod term;

/// What the main session tells the dispatcher.
#[derive(Debug)]
pub enum News {
    /// The webhooks as they are now.
    Registry(Arc<Registry>),
    /// We lead.
    Led {
        /// Which time; counts up.
        term: u64,
        /// From where.
        lead: Lead,
        /// Its pages, of which the dispatcher takes one when it has room. They come with the term, so that none can overtake it.
        chunks: mpsc::Receiver<Chunk>,
    },
    /// We do not lead any more.
    Deposed {
        /// Since which term.
        term: u64,
    },
    /// Somebody rang, and it was not for an event: something pending may be due.
    Rang,
}

/// What the dispatcher tells the main session.
#[derive(Debug, Clone, Copy, Default)]
pub struct Orders {
    /// This term is over.
    pub over: u64,
    /// Load changed webhooks when this number grows.
    pub refresh: u64,
    /// Read nothing more.
    pub stop: bool,
}

/// The ways to the dispatcher and back.
#[derive(Debug)]
pub struct Lines {
    /// News for the dispatcher.
    pub news: mpsc::UnboundedSender<News>,
    /// What the dispatcher wants.
    pub orders: watch::Receiver<Orders>,
    /// Rings when the dispatcher runs out of work.
    pub hungry: Arc<Notify>,
}

/// Why a session ended.
enum End {
    Stopped,
    Broken(StoreError),
    Config(ConfigError),
    Version(String),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Broken(error)
    }
}

/// The main session's life over all reconnections.
#[derive(Debug)]
pub struct Leader {
    context: Arc<Context>,
    lines: Lines,
    registry: Arc<Registry>,
    config: Option<String>,
    /// When all webhooks are to be loaded again.
    reload: Instant,
    terms: u64,
    refreshed: u64,
    /// When the lease was last asked for and granted.
    leased: Instant,
    /// It was said that notifications do not arrive.
    told_deaf: bool,
    grumbled: Option<Instant>,
    keyring: Keyring,
    /// What secrets are sealed with, as far as we know.
    key_in_use: Option<String>,
    /// So many webhooks wait for a key.
    locked: usize,
    /// Keys of which it was said that they can go.
    told_unused: HashSet<String>,
}

impl Leader {
    /// A leader that has not connected yet.
    #[must_use]
    pub fn new(context: Arc<Context>, lines: Lines, keyring: Keyring) -> Self {
        Self {
            context,
            lines,
            registry: Arc::default(),
            config: None,
            reload: Instant::now(),
            terms: 0,
            refreshed: 0,
            leased: Instant::now(),
            told_deaf: false,
            grumbled: None,
            keyring,
            key_in_use: None,
            locked: 0,
            told_unused: HashSet::new(),
        }
    }

    /// Connects, leads or follows, and connects again, until stopped. Ends with an error only where waiting is no help.
    pub async fn run(mut self) -> Result<(), Error> {
        let mut backoff = Duration::from_millis(50);
        loop {
            let begun = Instant::now();
            let end = self.session().await;
            self.context.pulse.set_connected(false);
            match end {
                Err(End::Stopped) | Ok(()) => return Ok(()),
                Err(End::Version(extension)) => return Err(Error::Version { extension }),
                Err(End::Config(error)) => {
                    if self.terms == 0 && self.config.is_none() {
                        return Err(error.into());
                    }
                    self.grumble(&error);
                }
                Err(End::Broken(error)) => self.grumble(&error),
            }
            if begun.elapsed() > LONGEST_BACKOFF {
                backoff = Duration::from_millis(50);
            }
            backoff = (backoff * 2).min(LONGEST_BACKOFF.mul_f64(0.8));
            self.pause(backoff.mul_f64(1.0 + 0.25 * rand::random::<f64>())).await;
            if self.lines.orders.borrow().stop {
                return Ok(());
            }
        }
    }

    fn grumble(&mut self, what: &dyn std::fmt::Display) {
        if self.grumbled.is_none_or(|last| last.elapsed() >= GRUMBLE) {
            self.grumbled = Some(Instant::now());
            tracing::warn!("{what}; trying again");
        }
    }

    /// Waits, unless told to stop.
    async fn pause(&mut self, time: Duration) {
        let stop = self.lines.orders.wait_for(|orders| orders.stop);
        let _ = timeout(time, stop).await;
    }

    fn tell(&self, news: News) -> Result<(), End> {
        self.lines.news.send(news).map_err(|_| End::Stopped)
    }

    /// One connection from greeting to its end.
    async fn session(&mut self) -> Result<(), End> {
        let config = self.context.database().load().map_err(End::Config)?;
        let session = Session::explore(&config).await?;
        self.context.way.set(session.way());
        self.greet(&session).await?;
        self.tell_way(session.way());
        self.config = None;
        self.refresh(&session).await?;
        self.context.pulse.set_connected(true);
        loop {
            if self.lines.orders.borrow().stop {
                return Err(End::Stopped);
            }
            let asked = Instant::now();
            match session.lead(&self.context.instance, LEASE).await? {
                Some(lead) => {
                    self.leased = asked;
                    self.context.pulse.beat(asked);
                    failpoint::pass("led");
                    self.terms += 1;
                    let term = self.terms;
                    tracing::info!(term, "this relay leads");
                    let (chunks, taken) = mpsc::channel(1);
                    self.tell(News::Led { term, lead: lead.clone(), chunks: taken })?;
                    let end = self.term(&session, term, lead, chunks).await;
                    self.tell(News::Deposed { term })?;
                    end?;
                    session.resign(&self.context.instance).await?;
                    tracing::info!(term, "this relay does not lead any more");
                }
                None => self.follow(&session).await?,
            }
        }
    }

    /// Says hello until the database is one that may send.
    async fn greet(&mut self, session: &Session) -> Result<(), End> {
        loop {
            let hello = session.hello(&self.context.instance, &self.context.host).await?;
            self.context.clock.hear(hello.clock);
            if !is_spoken(&hello.extension_version, &self.keyring) {
                return Err(End::Version(hello.extension_version));
            }
            self.context.pulse.set_adopted(hello.adopted && !hello.in_recovery);
            if hello.in_recovery {
                self.grumble(&"this PostgreSQL server is a standby, not a primary");
            } else if !hello.adopted {
                self.grumble(&"this database is a copy of another one, or was restored: nothing is sent until somebody runs SELECT webhook_adopt()");
            } else {
                tracing::info!(database = hello.identity, extension = hello.extension_version, "connected");
                if hello.library_version != hello.extension_version {
                    tracing::warn!(
                        library = hello.library_version,
                        "the extension is not up to date: run ALTER EXTENSION pg_webhook UPDATE"
                    );
                }
                return Ok(());
            }
            self.pause(Duration::from_secs(3)).await;
            if self.lines.orders.borrow().stop {
                return Err(End::Stopped);
            }
        }
    }

    /// Says once what a pooler costs.
    fn tell_way(&mut self, way: Way) {
        if way == Way::Lent && !self.told_deaf {
            tracing::warn!(
                "notifications do not arrive: there seems to be a connection pooler in transaction mode in between. \
                 Events are polled for every {:?}, and another relay takes over {:?} after this one dies; \
                 a direct connection, or a pooler in session mode, is faster",
                self.context.config.poll_interval,
                LEASE
            );
        }
        self.told_deaf = way == Way::Lent;
    }

    /// Loads webhooks that changed and hands the registry on.
    async fn refresh(&mut self, session: &Session) -> Result<(), End> {
        let asked = Instant::now();
        self.refreshed = self.lines.orders.borrow().refresh;
        let fresh = self.config.is_none() || asked >= self.reload;
        let agreed = !fresh || self.agree_on_key(session).await?;
        let mut webhooks = session.webhooks(self.config.as_deref().filter(|_| !fresh)).await?;
        self.proved(session, asked);
        self.config = Some(webhooks.config);
        if !fresh && webhooks.rows.is_empty() {
            return Ok(());
        }
        let plain = self.keyring.open(&mut webhooks.rows, self.key_in_use.as_deref(), fresh);
        for (webhook, error) in Arc::make_mut(&mut self.registry).apply(webhooks.rows, fresh) {
            tracing::error!(webhook, %error, "a webhook cannot be used");
        }
        self.tell_locked();
        self.tell(News::Registry(self.registry.clone()))?;
        let resealed = self.reseal(session, plain).await?;
        let wait = if resealed {
            RELOAD_RESEALING
        } else if !agreed {
            RELOAD_DISAGREEING
        } else {
            RELOAD
        };
        self.reload = if fresh { asked + wait } else { self.reload.min(asked + wait) };
        if let Some(until) = self.registry.secrets_until() {
            self.reload = self.reload.min(until.max(asked + RELOAD_EXPIRED));
        }
        if fresh && !resealed {
            self.tell_unused();
        }
        Ok(())
    }

    /// Another relay leads: keep the webhooks up to date and try again soon.
    async fn follow(&mut self, session: &Session) -> Result<(), End> {
        let rested = sleep(FOLLOWER_REST);
        let rung = timeout(Duration::from_secs(1), session.rings().notified()).await.is_ok();
        rested.await;
        self.refresh(session).await?;
        if rung {
            self.tell(News::Rang)?;
        }
        Ok(())
    }
}

/// Whether this relay works with an extension of that version: of its own series (major and minor), or of the one before, so
/// that relays can be replaced first and `ALTER EXTENSION UPDATE` come later. The one before knows nothing of sealed secrets.
pub(crate) fn is_spoken(extension: &str, keyring: &Keyring) -> bool {
    let series = |version: &str| version.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    let own = series(env!("CARGO_PKG_VERSION"));
    series(extension) == own || series(extension) == series(SERIES_BEFORE) && keyring.ids().is_empty()
}
