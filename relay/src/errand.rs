//! Errands to the database that are neither reading nor recording: claims, heartbeats, notices about webhooks.
//! They share one session and are run one after the other. None may take long: the others wait.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::context::Context;
use crate::failpoint;
use crate::notice::{Notice, Notices};
use crate::store::{Beat, Claimed, Session, StoreError, Wanted};

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
    let mut notices = Notices::default();
    loop {
        let errand = tokio::select! {
            errand = errands.recv() => errand,
            () = notices.are_due() => {
                notices.tell(&context, &mut place).await;
                continue;
            }
        };
        let Some(errand) = errand else { return };
        match errand {
            Errand::Claim(wanted) => {
                let asked = Instant::now();
                let result = match context.session(&mut place).await {
                    Ok(session) => session.claim(&context.instance, &wanted).await,
                    Err(error) => Err(error),
                };
                failpoint::pass("claimed");
                forget_broken(&mut place, result.as_ref().err());
                done(Errands::Claimed { lease: wanted.lease, asked, result });
            }
            Errand::Beat { leader, in_flight, queued } => {
                let result = match context.session(&mut place).await {
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
            Errand::Notice(notice) => notices.add(notice),
            Errand::Bye => {
                notices.tell(&context, &mut place).await;
                if let Ok(session) = context.session(&mut place).await {
                    let _ = session.bye(&context.instance).await;
                }
            }
        }
    }
}

fn forget_broken(place: &mut Option<Session>, error: Option<&StoreError>) {
    if error.is_some_and(StoreError::ends_session) {
        *place = None;
    }
}

/// Partitions and retention, in a session of its own because it may take long.
pub async fn maintain(context: Arc<Context>) {
    let mut place = None;
    let work = async { context.session(&mut place).await?.maintain().await };
    match work.await {
        Ok(Some(done)) if !done.is_empty() => tracing::info!(done, "maintenance"),
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(%error, "maintenance could not be done; it is tried again in ten minutes");
        }
    }
}
