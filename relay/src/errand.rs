//! Errands to the database that are neither reading nor recording: claims, heartbeats, notices about webhooks.
//! They share one session and are run one after the other.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::context::Context;
use crate::failpoint;
use crate::store::{Beat, Claimed, Session, StoreError, Wanted};

/// How long a notice is worth repeating.
const NOTICE_TIME: Duration = Duration::from_secs(60);

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

/// Something to do.
#[derive(Debug)]
pub enum Errand {
    /// Lease pending deliveries.
    Claim(Wanted),
    /// Say that we live.
    Beat {
        /// Whether this relay leads.
        leader: bool,
        /// Requests under way.
        in_flight: usize,
        /// Deliveries waiting in memory.
        queued: usize,
    },
    /// Tell something.
    Notice(Notice),
    /// Say goodbye; the last errand.
    Bye,
}

/// What came of an errand.
#[derive(Debug)]
pub enum Errands {
    /// A claim's answer, and when it was asked.
    Claimed {
        /// The lease's token.
        lease: i64,
        /// When the lease began at the earliest.
        asked: Instant,
        /// The deliveries.
        result: Result<Claimed, StoreError>,
    },
    /// A heartbeat's answer.
    Beat(Beat),
}

/// Runs errands until the sender is dropped.
pub async fn runner(
    context: Arc<Context>,
    mut errands: mpsc::Receiver<Errand>,
    done: impl Fn(Errands) + Send,
) {
    let mut place = None;
    while let Some(errand) = errands.recv().await {
        match errand {
            Errand::Claim(wanted) => {
                let asked = Instant::now();
                let result = match session(&context, &mut place).await {
                    Ok(session) => session.claim(&context.instance, &wanted).await,
                    Err(error) => Err(error),
                };
                failpoint::pass("claimed");
                forget_broken(&mut place, result.as_ref().err());
                done(Errands::Claimed { lease: wanted.lease, asked, result });
            }
            Errand::Beat { leader, in_flight, queued } => {
                let result = match session(&context, &mut place).await {
                    Ok(session) => {
                        session.beat(&context.instance, leader, in_flight as i32, queued as i32).await
                    }
                    Err(error) => Err(error),
                };
                forget_broken(&mut place, result.as_ref().err());
                if let Ok(beat) = result {
                    context.clock.hear(beat.clock);
                    done(Errands::Beat(beat));
                }
            }
            Errand::Notice(notice) => tell(&context, &mut place, &notice).await,
            Errand::Bye => {
                if let Ok(session) = session(&context, &mut place).await {
                    let _ = session.bye(&context.instance).await;
                }
            }
        }
    }
}

async fn session<'a>(context: &Context, place: &'a mut Option<Session>) -> Result<&'a Session, StoreError> {
    if place.as_ref().is_none_or(Session::is_closed) {
        let config = context.database().load().map_err(|error| StoreError::Lost(error.to_string()))?;
        *place = Some(Session::connect(&config, context.way.get()).await?);
    }
    place.as_ref().ok_or(StoreError::Timeout)
}

fn forget_broken(place: &mut Option<Session>, error: Option<&StoreError>) {
    if matches!(error, Some(StoreError::Lost(_) | StoreError::Timeout)) {
        *place = None;
    }
}

/// Tells a notice, again and again for a while if the database is away.
async fn tell(context: &Context, place: &mut Option<Session>, notice: &Notice) {
    let give_up = Instant::now() + NOTICE_TIME;
    loop {
        let result = match session(context, place).await {
            Ok(session) => match notice {
                Notice::Disable { webhook, reason } => session.disable(webhook, reason).await,
                Notice::Failing { webhook, failing } => session.failing(webhook, *failing).await,
                Notice::Signal { webhook, kind, data } => session.signal(webhook, kind, data).await,
            },
            Err(error) => Err(error),
        };
        forget_broken(place, result.as_ref().err());
        match result {
            Ok(()) => return,
            Err(StoreError::Lost(_) | StoreError::Timeout | StoreError::Busy(_))
                if Instant::now() < give_up =>
            {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => {
                tracing::warn!(%error, ?notice, "the database could not be told");
                return;
            }
        }
    }
}

/// Partitions and retention, in a session of its own because it may take long.
pub async fn maintain(context: Arc<Context>) {
    let work = async {
        let config = context.database().load().map_err(|error| StoreError::Lost(error.to_string()))?;
        Session::connect(&config, context.way.get()).await?.maintain().await
    };
    match work.await {
        Ok(Some(done)) if !done.is_empty() => tracing::info!(done, "maintenance"),
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(%error, "maintenance could not be done; it is tried again in ten minutes");
        }
    }
}
