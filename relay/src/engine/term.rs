//! Terms of leadership, and what is left over when one ends.
//!
//! Requests under way when the lead is lost become orphans. If we lead again within a minute and read their events
//! again, their outcomes are taken instead of sending once more, unless the database says that somebody recorded them.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Engine, Fence, Term};
use crate::delivery::Claim;
use crate::ledger::{Ledger, Ticket};
use crate::post::LONG_QUEUE;
use crate::read::Chunk;
use crate::record::{Judged, Word};
use crate::store::Lead;

/// Outcomes are kept in memory for so long.
pub(super) const KEPT: Duration = Duration::from_secs(60);
/// A request under way for so long does not hold the cursor back …
const HOLD_AFTER: Duration = Duration::from_secs(5);
/// … or for so long, when much has been read after it.
const HOLD_EARLY: Duration = Duration::from_secs(1);
const MUCH: usize = 1000;
/// What waits in memory for a slow webhook does not hold it back for longer than this.
const QUEUED: Duration = Duration::from_secs(5);

/// A delivery that we read in a former term and that is not recorded.
#[derive(Debug)]
pub(super) enum Orphan {
    /// Still under way.
    Flying(usize),
    /// Ended, at that moment.
    Judged(Judged, Instant),
}

impl Engine {
    /// A term begins.
    pub(super) fn begin(&mut self, id: u64, lead: Lead, chunks: mpsc::Receiver<Chunk>) {
        self.forget_term();
        let ledger = Ledger::new(lead.position.clone(), lead.ahead);
        let mark = (ledger.next(), Instant::now());
        self.term = Some(Term { id, n: lead.n, ledger, chunks, written: lead.position, mark });
        self.context.metrics.leader.set(1);
    }

    /// The main session says that the term is over.
    pub(super) fn depose(&mut self, id: u64) {
        if self.term.as_ref().is_some_and(|term| term.id == id) {
            self.forget_term();
        }
    }

    /// We found out ourselves that the term is over, and say so.
    pub(super) fn abdicate(&mut self) {
        if let Some(term) = &self.term {
            let id = term.id;
            self.out.orders.send_modify(|orders| orders.over = orders.over.max(id));
        }
        self.forget_term();
    }

    fn forget_term(&mut self) {
        self.term = None;
        self.end = None;
        self.fence = Fence::default();
        self.intake.clear();
        self.context.metrics.leader.set(0);
        self.post.forget_fresh();
        // Flights whose hold has not left are as fresh as the others.
        for (flight, _) in std::mem::take(&mut self.holds) {
            if let Some(flight) = self.post.flight_mut(flight) {
                flight.claim = Claim::Orphan;
            }
        }
        for (key, flight) in self.post.flights_mut() {
            if flight.claim == Claim::Orphan {
                self.orphans.insert(flight.delivery.id.clone(), Orphan::Flying(key));
            }
        }
        self.batch.forgotten.clear();
        let judged = std::mem::take(&mut self.batch.judged);
        self.batch.judged = self.orphaned(judged);
        if let Some(batch) = self.flush.take_again() {
            self.keep(batch);
        }
    }

    /// Keeps outcomes of what we read in a former term as orphans; returns the others.
    pub(super) fn orphaned(&mut self, judged: Vec<Judged>) -> Vec<Judged> {
        let now = Instant::now();
        let (fresh, others): (Vec<_>, Vec<_>) = judged.into_iter().partition(|one| one.ticket.is_some());
        for one in fresh {
            // What was only put aside is the next leader's.
            if one.attempt.is_some() {
                self.orphans.insert(one.delivery.id.clone(), Orphan::Judged(one, now));
            }
        }
        others
    }

    /// Takes an orphan that was read again back under its new ticket.
    pub(super) fn adopt(&mut self, id: &str, ticket: Ticket) -> Option<Orphan> {
        if self.orphans.is_empty() {
            return None;
        }
        match self.orphans.remove(id)? {
            Orphan::Flying(key) => {
                let flight = self.post.flight_mut(key).filter(|flight| &*flight.delivery.id == id)?;
                flight.claim = Claim::Fresh(ticket);
                Some(Orphan::Flying(key))
            }
            Orphan::Judged(mut judged, since) => {
                (judged.ticket, judged.lease) = (Some(ticket), 0);
                Some(Orphan::Judged(judged, since))
            }
        }
    }

    pub(super) fn forget_old_orphans(&mut self, now: Instant) {
        let post = &mut self.post;
        self.orphans.retain(|id, orphan| match orphan {
            Orphan::Flying(key) => post.flight_mut(*key).is_some_and(|flight| flight.delivery.id == *id),
            Orphan::Judged(_, since) => now.saturating_duration_since(*since) < KEPT,
        });
    }

    /// Lets the cursor pass requests that take long: they become pending deliveries leased to us.
    pub(super) fn hold_slow(&mut self, now: Instant) {
        let Some(term) = &self.term else { return };
        let patience = if term.ledger.len() > MUCH { HOLD_EARLY } else { HOLD_AFTER };
        self.hold_all(now, patience);
    }

    /// Lets the cursor pass what is queued for webhooks that are slow: others' events are read without them, but a new leader
    /// would have to read all since then again.
    pub(super) fn pass_slow_queues(&mut self, now: Instant) {
        let Some(term) = &mut self.term else { return };
        let (ticket, since) = term.mark;
        let passed = term.ledger.has_passed(ticket);
        if !passed && now.saturating_duration_since(since) < QUEUED {
            return;
        }
        term.mark = (term.ledger.next(), now);
        if !passed {
            self.post.relieve_slow(self.registry.active(), LONG_QUEUE, now);
            self.settle_refused();
        }
    }

    /// Holds all requests under way for longer than `patience`.
    pub(super) fn hold_all(&mut self, now: Instant, patience: Duration) {
        let token = self.claims.token();
        let lease = self.claims.lease();
        for (key, flight) in self.post.flights_mut() {
            let Claim::Fresh(ticket) = flight.claim else { continue };
            if now.saturating_duration_since(flight.started) < patience {
                continue;
            }
            flight.claim = Claim::Leased { token, send_by: now };
            self.holds.insert(key, self.batch.judged.len());
            self.batch.judged.push(Judged {
                delivery: flight.delivery.clone(),
                word: Word::Hold,
                ticket: Some(ticket),
                lease: token,
                tries: flight.delivery.tries,
                attempt: None,
                error: None,
                delay: lease,
            });
        }
    }

    /// Takes a hold back that has not left yet; returns the event's ticket.
    pub(super) fn unhold(&mut self, flight: usize) -> Option<Ticket> {
        let index = self.holds.remove(&flight)?;
        let hold = self.batch.judged.swap_remove(index);
        if let Some((_, moved)) = self.holds.iter_mut().find(|(_, place)| **place == self.batch.judged.len())
        {
            *moved = index;
        }
        hold.ticket
    }
}
