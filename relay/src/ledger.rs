//! What is read but not yet recorded, and how far the cursor may go.
//!
//! Events enter in the order they were read. Each waits until all its deliveries are recorded; the cursor may pass
//! everything before the first that still waits.

use std::collections::VecDeque;
use std::sync::Arc;

/// A place in the outbox: everything before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Which snapshots are being read; opaque, from the database.
    pub window: Arc<str>,
    /// The last event passed within the window.
    pub seq: i64,
    /// Its transaction.
    pub xid: i64,
}

/// An event's place in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Entry {
    outstanding: u32,
    seq: i64,
    /// Where the cursor stands once this event is done, and all that needed nothing after it.
    after: Position,
}

/// Events in reading order with their outstanding deliveries.
#[derive(Debug)]
pub struct Ledger {
    first: u64,
    entries: VecDeque<Entry>,
    done: Position,
    ahead: i64,
}

impl Ledger {
    /// Starts at `position`; `ahead` is the largest seq of which something may be recorded already.
    #[must_use]
    pub fn new(position: Position, ahead: i64) -> Self {
        Self { first: 0, entries: VecDeque::new(), done: position, ahead }
    }

    /// Enters an event with its number of deliveries (at least one).
    pub fn enter(&mut self, after: Position, deliveries: u32) -> Ticket {
        debug_assert!(deliveries > 0);
        let ticket = self.next();
        self.entries.push_back(Entry { outstanding: deliveries, seq: after.seq, after });
        ticket
    }

    /// Notes that reading went on to `position` without anything to deliver.
    pub fn pass(&mut self, position: Position) {
        match self.entries.back_mut() {
            Some(last) => last.after = position,
            None => self.done = position,
        }
    }

    /// One delivery of the event goes into the transaction being written now.
    pub fn settle(&mut self, ticket: Ticket) {
        let index = ticket.0.checked_sub(self.first).map(|index| index as usize);
        let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) else { return };
        entry.outstanding = entry.outstanding.saturating_sub(1);
        self.ahead = self.ahead.max(entry.seq);
        while self.entries.front().is_some_and(|entry| entry.outstanding == 0) {
            if let Some(entry) = self.entries.pop_front() {
                self.first += 1;
                self.done = entry.after;
            }
        }
    }

    /// The ticket that the next event will get.
    #[must_use]
    pub fn next(&self) -> Ticket {
        Ticket(self.first + self.entries.len() as u64)
    }

    /// Everything before this ticket is settled.
    #[must_use]
    pub fn has_passed(&self, ticket: Ticket) -> bool {
        self.first >= ticket.0
    }

    /// Up to here everything is settled.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.done
    }

    /// The largest seq of any event of which a delivery is settled.
    #[must_use]
    pub fn ahead(&self) -> i64 {
        self.ahead
    }

    /// Events that still wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seq: i64) -> Position {
        Position { window: "w".into(), seq, xid: 1 }
    }

    #[test]
    fn the_cursor_stops_before_the_first_unsettled_event() {
        let mut ledger = Ledger::new(at(0), 0);
        let one = ledger.enter(at(1), 1);
        let two = ledger.enter(at(2), 2);
        ledger.settle(two);
        assert_eq!((ledger.position(), ledger.ahead()), (&at(0), 2));
        ledger.settle(one);
        assert_eq!(ledger.position(), &at(1));
        ledger.settle(two);
        assert_eq!(ledger.position(), &at(2));
        assert!(ledger.is_empty());
    }

    #[test]
    fn events_without_deliveries_are_passed_with_the_one_before() {
        let mut ledger = Ledger::new(at(0), 0);
        ledger.pass(at(1));
        assert_eq!(ledger.position(), &at(1));
        let two = ledger.enter(at(2), 1);
        ledger.pass(at(3));
        assert_eq!(ledger.position(), &at(1));
        ledger.settle(two);
        assert_eq!(ledger.position(), &at(3));
    }

    proptest! {
        /// Against the definition: the position is that of the longest settled prefix.
        #[test]
        fn position_is_the_longest_settled_prefix(
            counts in proptest::collection::vec(0u32..4, 1..20),
            picks in proptest::collection::vec(any::<proptest::sample::Index>(), 0..60),
        ) {
            let mut ledger = Ledger::new(at(0), 0);
            let mut open: Vec<(i64, Ticket)> = Vec::new();
            for (index, &count) in counts.iter().enumerate() {
                let seq = index as i64 + 1;
                if count == 0 {
                    ledger.pass(at(seq));
                } else {
                    let ticket = ledger.enter(at(seq), count);
                    open.extend((0..count).map(|_| (seq, ticket)));
                }
            }
            for pick in picks {
                if open.is_empty() { break }
                let (_, ticket) = open.swap_remove(pick.index(open.len()));
                ledger.settle(ticket);
                let first_open = open.iter().map(|(seq, _)| *seq).min();
                let expected = first_open.map_or(counts.len() as i64, |seq| seq - 1);
                prop_assert_eq!(ledger.position().seq, expected);
            }
        }
    }
}
