//! Outcomes on their way into the database: batches, one transaction each, one under way at a time.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::context::Context;
use crate::delivery::{Claim, Delivery};
use crate::failpoint;
use crate::ledger::Ticket;
use crate::notice::Notice;
use crate::store::{Columns, Cursor, Session, StoreError, Written};

/// What is recorded of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Answered by 2xx.
    Delivered,
    /// Failed for good.
    Failed,
    /// Failed, comes back.
    Retry,
    /// Not attempted; waits in the database.
    Spill,
    /// Under way for long; waits in the database, leased to us.
    Hold,
    /// Leased, not attempted; the lease ends.
    Release,
}

impl Word {
    fn text(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Retry => "retry",
            Self::Spill => "spill",
            Self::Hold => "hold",
            Self::Release => "release",
        }
    }
}

/// One HTTP exchange as it is logged.
#[derive(Debug)]
pub struct Attempt {
    /// When it started.
    pub started: Instant,
    /// How long it took.
    pub took: Duration,
    /// HTTP status, if there was an answer.
    pub code: Option<u16>,
    /// Headers as a JSON object.
    pub headers: Option<String>,
    /// Beginning of the body.
    pub body: Option<Bytes>,
}

/// A delivery with what is to be recorded of it.
#[derive(Debug)]
pub struct Judged {
    /// Which.
    pub delivery: Arc<Delivery>,
    /// What.
    pub word: Word,
    /// The event's place in the ledger, if we read it.
    pub ticket: Option<Ticket>,
    /// The lease under which we hold (or are to hold) its pending row; 0: none.
    pub lease: i64,
    /// Tries in the present schedule, this one included.
    pub tries: u32,
    /// The exchange, if there was one.
    pub attempt: Option<Attempt>,
    /// What went wrong, or why it waits.
    pub error: Option<Cow<'static, str>>,
    /// When it comes back, or how long the lease lasts.
    pub delay: Duration,
}

/// What goes into one transaction.
#[derive(Debug, Default)]
pub struct Batch {
    /// The term whose cursor it moves.
    pub term: Option<u64>,
    /// The cursor's new place.
    pub cursor: Option<Cursor>,
    /// Outcomes.
    pub judged: Vec<Judged>,
    /// Recording it makes something pending due at once.
    pub makes_due: bool,
    /// Events of which a delivery needs nothing any more.
    pub forgotten: Vec<Ticket>,
    /// What is to be told once this is recorded.
    pub notices: Vec<Notice>,
}

impl Batch {
    /// How much there is to record.
    #[must_use]
    pub fn len(&self) -> usize {
        self.judged.len() + self.forgotten.len() + self.notices.len()
    }

    /// True when there is nothing to record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Judged {
    /// What is recorded of a delivery that was not sent.
    #[must_use]
    pub fn unsent(delivery: Delivery, word: Word, error: Option<Cow<'static, str>>, delay: Duration) -> Self {
        let (ticket, lease) = match delivery.claim {
            Claim::Fresh(ticket) => (Some(ticket), 0),
            Claim::Leased { token, .. } => (None, token),
            Claim::Orphan => (None, 0),
        };
        let tries = delivery.tries;
        Self { delivery: Arc::new(delivery), word, ticket, lease, tries, attempt: None, error, delay }
    }
}

/// A batch that was tried.
#[derive(Debug)]
pub struct Recorded {
    /// What was in it.
    pub batch: Batch,
    /// What came of it.
    pub result: Result<Written, StoreError>,
}

/// Records batches one after the other until the sender is dropped.
pub async fn recorder(
    context: Arc<Context>,
    mut batches: mpsc::Receiver<Batch>,
    done: impl Fn(Recorded) + Send,
) {
    let mut session = None;
    while let Some(batch) = batches.recv().await {
        failpoint::pass("record");
        failpoint::begin("recording");
        let result = write(&context, &mut session, &batch).await;
        failpoint::pass("recorded");
        done(Recorded { batch, result });
    }
}

async fn write(context: &Context, place: &mut Option<Session>, batch: &Batch) -> Result<Written, StoreError> {
    let session = context.session(place).await?;
    let mut result = Ok(Written::default());
    if batch.cursor.is_some() || !batch.judged.is_empty() {
        result =
            session.record(&context.instance, batch.cursor.as_ref(), &columns(&batch.judged, true)).await;
        if let Err(StoreError::Refused { code, message }) = &result {
            // A database in another encoding cannot hold every text a receiver sends.
            tracing::warn!(code, message, "recording again without what receivers answered");
            result = session
                .record(&context.instance, batch.cursor.as_ref(), &columns(&batch.judged, false))
                .await;
        }
    }
    if result.as_ref().is_err_and(StoreError::ends_session) {
        *place = None;
    }
    result
}

fn columns(judged: &[Judged], in_full: bool) -> Columns<'_> {
    let now = Instant::now();
    let mut columns = Columns::default();
    for one in judged {
        let facts = one.delivery.event.facts();
        let attempt = one.attempt.as_ref();
        columns.delivery_ids.push(&one.delivery.id);
        columns.event_ids.push(&facts.id);
        columns.webhook_ids.push(one.delivery.hook.id());
        columns.keys.push(facts.key.as_deref());
        columns.outcomes.push(one.word.text());
        columns.numbers.push(one.delivery.number);
        columns.tries.push(one.tries as i32);
        columns.leases.push(one.lease);
        columns
            .ages_ms
            .push(attempt.map_or(0, |attempt| millis(now.saturating_duration_since(attempt.started))));
        columns.codes.push(attempt.and_then(|attempt| attempt.code).map(i32::from));
        columns.times_ms.push(attempt.map(|attempt| millis(attempt.took)));
        columns
            .errors
            .push(one.error.as_deref().map(|text| if in_full || text.is_ascii() { text } else { "error" }));
        columns
            .response_headers
            .push(attempt.and_then(|attempt| attempt.headers.as_deref()).filter(|_| in_full));
        columns.response_bodies.push(attempt.and_then(|attempt| attempt.body.as_deref()).filter(|_| in_full));
        // Never too soon: a part of a millisecond counts as a whole one.
        columns.delays_ms.push(one.delay.as_micros().div_ceil(1000) as i64);
    }
    columns
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
