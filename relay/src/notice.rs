//! What the database is told about webhooks, and what of it has to wait.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::context::Context;
use crate::store::{Session, StoreError};

/// How long a notice is worth repeating.
pub(crate) const NOTICE_TIME: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
/// An operator event that is about a delivery.
pub const DELIVERY_FAILED: &str = "delivery.failed";

/// Something the database should know about a webhook.
#[derive(Debug)]
pub enum Notice {
    /// It is made inactive.
    Disable {
        /// Which.
        webhook: String,
        /// Why.
        reason: String,
    },
    /// It does nothing but fail, or works again.
    Failing {
        /// Which.
        webhook: String,
        /// Fails or works.
        failing: bool,
    },
    /// An operator event about it.
    Signal {
        /// Which.
        webhook: String,
        /// The event's type.
        kind: &'static str,
        /// The event's data.
        data: Value,
    },
}

impl Notice {
    /// The webhook whose row it changes.
    fn changes(&self) -> Option<&str> {
        match self {
            Self::Signal { kind: DELIVERY_FAILED, .. } => None,
            Self::Disable { webhook, .. } | Self::Failing { webhook, .. } | Self::Signal { webhook, .. } => {
                Some(webhook)
            }
        }
    }

    async fn tell(&self, session: &Session) -> Result<(), StoreError> {
        match self {
            Self::Disable { webhook, reason } => session.disable(webhook, reason).await,
            Self::Failing { webhook, failing } => session.failing(webhook, *failing).await,
            Self::Signal { webhook, kind, data } => session.signal(webhook, kind, data).await,
        }
    }
}

/// Notices that are not told yet. Those of a webhook that somebody has locked wait, and hold up nobody else.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    waiting: VecDeque<(Notice, Instant)>,
    due: Option<Instant>,
}

impl Notices {
    /// One more to be told: at once, or with those that wait already.
    pub(crate) fn add(&mut self, notice: Notice) {
        let now = Instant::now();
        self.waiting.push_back((notice, now));
        self.due.get_or_insert(now);
    }

    /// Returns when it is time to tell what waits; never if nothing does.
    pub(crate) async fn are_due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Tells what can be told now, those of one webhook in their order.
    pub(crate) async fn tell(&mut self, context: &Context, place: &mut Option<Session>) {
        let mut locked = HashSet::new();
        let mut away = false;
        for (notice, since) in std::mem::take(&mut self.waiting) {
            let waits = away || notice.changes().is_some_and(|webhook| locked.contains(webhook));
            let result = match waits {
                true => Err(StoreError::Busy("it is not its turn".to_owned())),
                false => match context.session(place).await {
                    Ok(session) => notice.tell(session).await,
                    Err(error) => Err(error),
                },
            };
            let Err(error) = result else { continue };
            if error.ends_session() {
                *place = None;
                away = true;
            }
            let passes = error.ends_session() || matches!(error, StoreError::Busy(_));
            if !passes || since.elapsed() >= NOTICE_TIME {
                tracing::warn!(%error, ?notice, "the database could not be told");
                continue;
            }
            locked.extend(notice.changes().map(str::to_owned));
            self.waiting.push_back((notice, since));
        }
        self.due = (!self.waiting.is_empty()).then(|| Instant::now() + PAUSE);
    }
}
