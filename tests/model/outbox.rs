//! The outbox: transactions that commit late, relays that read between snapshots, send, record, die and are fenced, a user who cancels,
//! and a webhook that comes when events are under way to another one.
//!
//! Reading as in sql/relay/read.sql (a snapshot is the set of transactions that it sees), the cursor and what may pass it as in
//! relay/src/ledger.rs, fence, pending rows and leases as in sql/relay/{lead,record,claim}.sql, who is due as in
//! sql/schema/pending.sql. Time is left out: a lease may run out whenever its holder is gone or frozen, which is a fault.

use crate::search::{State, search};

mod steps;

const EVENTS: usize = 3;
const RELAYS: usize = 2;
/// Each transaction emits one event; two of them change the same row, which orders them.
const KEYS: [u8; EVENTS] = [0, 0, 1];

/// A rule of the protocol that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Without {
    Nothing,
    /// The reader takes what two snapshots differ in, not what has a larger number than the last.
    Snapshots,
    /// The cursor passes an event when it is recorded, not when it is read.
    WaitingForRecords,
    /// A record counts only while no other relay has moved the cursor.
    Fencing,
    /// A new leader leaves out what is recorded ahead of the cursor.
    LeavingOut,
    /// What is put aside is put aside in the order in which it was read …
    PuttingAsideInOrder,
    /// … and not before the cursor has passed what was read when the webhook was not there.
    PassingTheUnwanted,
    /// Of a key, only the first pending event may be leased: one behind another is not due …
    Queueing,
    /// … unless a user has that other one locked, and may cancel it without seeing who comes after it …
    DueBehindLocked,
    /// … and then it is not leased before it is the first.
    LeasingTheFirst,
    /// What makes the next of its key due is not written back while a user has that one locked, and may let it go.
    WaitingForTheNext,
    /// Nothing is sent under a lease that has run out.
    SendingInTime,
    /// A write-back counts only under the lease that the row has now.
    Tokens,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tx {
    Before,
    Open,
    Committed,
    Aborted,
}

/// A set of transactions.
type Snapshot = u8;

/// A place in the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Position {
    low: Snapshot,
    high: Option<Snapshot>,
    after: u8,
}

/// An event that a leader has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    event: usize,
    /// The webhook was there when it was read; if not, it is for another one alone.
    wanted: bool,
    sent: bool,
    settled: bool,
    after: Position,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Lead {
    /// Nobody else has moved the cursor.
    current: bool,
    read: Position,
    done: Position,
    ahead: u8,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Claim {
    event: usize,
    sent: bool,
    /// The lease has not run out.
    current: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Relay {
    lead: Option<Lead>,
    claim: Option<Claim>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pending {
    No,
    Free,
    Leased(usize),
}

/// A user's transaction that cancels an event and is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Cancel {
    event: usize,
    /// It was the first of its key: this one is due when the transaction commits, and locked until it ends.
    next: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Outbox {
    without: Without,
    ordered: bool,
    // The database.
    webhook: bool,
    txs: [Tx; EVENTS],
    seqs: [u8; EVENTS],
    /// And the largest number of an event with anything recorded.
    cursor: (Position, u8),
    lock: Option<usize>,
    logged: [bool; EVENTS],
    pending: [Pending; EVENTS],
    due: [bool; EVENTS],
    cancel: Option<Cancel>,
    canceled: [bool; EVENTS],
    relays: [Relay; RELAYS],
    /// It was emitted when the webhook was there.
    must_arrive: [bool; EVENTS],
    // The receiver.
    arrived: [bool; EVENTS],
    disorder: bool,
    excess: bool,
    /// So many requests may still be repeated: they were unrecorded at a fault, or failed.
    excused: u8,
    // What may still go wrong.
    faults: u8,
    failures: u8,
    cancels: u8,
}

impl State for Outbox {
    fn steps(&self) -> Vec<(String, Self)> {
        let mut steps = Vec::new();
        self.transactions(&mut steps);
        self.cancels(&mut steps);
        if !self.webhook {
            steps.push(("the webhook comes".into(), Self { webhook: true, ..self.clone() }));
        }
        for relay in 0..RELAYS {
            self.leads(relay, &mut steps);
            self.claims(relay, &mut steps);
            if self.faults > 0 {
                self.faults(relay, &mut steps);
            }
        }
        for event in 0..EVENTS {
            if let Pending::Leased(relay) = self.pending[event]
                && self.relays[relay].claim.is_none_or(|claim| claim.event != event || !claim.current)
            {
                let mut next = self.clone();
                next.pending[event] = Pending::Free;
                steps.push((format!("the lease of {event} runs out"), next));
            }
        }
        steps
    }

    fn wrong(&self, at_rest: bool) -> Option<String> {
        for event in 0..EVENTS {
            let committed = self.txs[event] == Tx::Committed;
            if self.arrived[event] && !committed {
                return Some(format!("{event} arrived and was not committed"));
            }
            let is_done = self.logged[event] && (self.arrived[event] || self.canceled[event]);
            if at_rest && committed && !is_done && self.must_arrive[event] {
                return Some(format!("{event} is lost"));
            }
        }
        if self.ordered && self.disorder {
            return Some("something older arrived after something newer of its key".into());
        }
        self.excess.then(|| "something was repeated that was recorded at every fault".into())
    }

    fn is_fault(step: &str) -> bool {
        step.starts_with("fault")
    }
}

/// With so many faults, failures and cancels.
fn holds(ordered: bool, rounds: &[(&[usize], [u8; 3])]) {
    for (events, happens) in rounds {
        let start = Outbox::new(Without::Nothing, ordered, events, *happens);
        let states = search(start).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(states > 5000, "only {states} states: the model does next to nothing");
    }
}

#[test]
fn nothing_is_lost_and_only_the_unrecorded_is_repeated() {
    holds(false, &[(&[0, 1], [2, 0, 0]), (&[0, 2], [2, 0, 0]), (&[0, 1, 2], [1, 0, 0])]);
}

#[test]
fn and_the_events_of_a_key_keep_their_order() {
    holds(true, &[(&[0, 1], [2, 0, 0]), (&[0, 1], [1, 1, 0]), (&[0, 1], [1, 0, 1]), (&[0, 1], [0, 1, 2])]);
}

#[test]
fn nor_does_a_webhook_that_comes_late_get_anything_out_of_order() {
    for ordered in [false, true] {
        let start = Outbox::new(Without::Nothing, ordered, &[0, 1], [2, 0, 0]).before_the_webhook();
        let states = search(start).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(states > 5000, "only {states} states");
    }
}

#[test]
fn each_rule_is_needed() {
    let (faults, a_cancel) = ([2, 0, 0], [0, 0, 1]);
    for (without, ordered, events, happens, expected) in [
        (Without::Snapshots, false, [0, 2], faults, "is lost"),
        (Without::WaitingForRecords, false, [0, 2], faults, "is lost"),
        (Without::Fencing, false, [0, 2], faults, "repeated"),
        (Without::LeavingOut, false, [0, 2], faults, "repeated"),
        (Without::PuttingAsideInOrder, true, [0, 1], faults, "something older"),
        (Without::PassingTheUnwanted, true, [0, 1], faults, "something older"),
        (Without::Queueing, true, [0, 1], faults, "something older"),
        (Without::DueBehindLocked, true, [0, 1], a_cancel, "is lost"),
        (Without::LeasingTheFirst, true, [0, 1], a_cancel, "something older"),
        (Without::WaitingForTheNext, true, [0, 1], a_cancel, "is lost"),
        (Without::SendingInTime, true, [0, 1], faults, "repeated"),
        (Without::Tokens, true, [0, 1], faults, "something older"),
    ] {
        let start = Outbox::new(without, ordered, &events, happens);
        let late = without == Without::PassingTheUnwanted;
        let wrong = search(if late { start.before_the_webhook() } else { start });
        let wrong = wrong.expect_err(&format!("nothing goes wrong without {without:?}"));
        assert!(wrong.contains(expected), "without {without:?}: {wrong}");
    }
}
