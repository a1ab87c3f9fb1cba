//! One event for one webhook, and by what right this relay sends it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::event::Event;
use crate::ledger::Ticket;
use crate::matching::Hook;

/// By what right a delivery is ours to send and to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Read by us as leader: the cursor may not pass its event before it is recorded.
    Fresh(Ticket),
    /// A pending row leased to us under this token.
    Leased {
        /// Fences the write-back.
        token: i64,
        /// Later than this the request must not start any more.
        send_by: Instant,
    },
    /// It was fresh, but we lost the lead while it was under way. Its outcome counts only if we read it again.
    Orphan,
}

/// One event for one webhook.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// `del_…`, the same for all attempts.
    pub id: Box<str>,
    /// What is sent.
    pub event: Arc<Event>,
    /// To whom.
    pub hook: Arc<Hook>,
    /// Number of the attempt to make next, from 1.
    pub number: i32,
    /// Attempts already made in the present schedule.
    pub tries: u32,
    /// Of a past that is sent in its order: it waits until the one before it is answered.
    pub in_turn: bool,
    /// Ours by this right.
    pub claim: Claim,
}
