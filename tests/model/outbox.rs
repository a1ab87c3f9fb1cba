//! The outbox: transactions that commit late, relays that read between snapshots, send, record, die and are fenced, and a user who cancels.
//!
//! Reading as in sql/relay/read.sql (a snapshot is the set of transactions that it sees), the cursor and what may pass it as in
//! relay/src/ledger.rs, fence, pending rows and leases as in sql/relay/{lead,record,claim}.sql, who is due as in
//! sql/schema/pending.sql. Time is left out: a lease may run out whenever its holder is gone or frozen, which is a fault.

use crate::search::{State, search};

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
    /// What is put aside is put aside in the order in which it was read.
    PuttingAsideInOrder,
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

impl Outbox {
    /// Only `events` happen, so many faults, and so many failures of the receiver and cancels by a user (of ordered deliveries).
    fn new(without: Without, ordered: bool, events: &[usize], [faults, failures, cancels]: [u8; 3]) -> Self {
        let start = Position { low: 0, high: None, after: 0 };
        let mut txs = [Tx::Aborted; EVENTS];
        for event in events {
            txs[*event] = Tx::Before;
        }
        Self {
            without,
            ordered,
            txs,
            seqs: [0; EVENTS],
            cursor: (start, 0),
            lock: None,
            logged: [false; EVENTS],
            pending: [Pending::No; EVENTS],
            due: [false; EVENTS],
            cancel: None,
            canceled: [false; EVENTS],
            relays: Default::default(),
            arrived: [false; EVENTS],
            disorder: false,
            excess: false,
            excused: 0,
            faults,
            failures,
            cancels,
        }
    }

    fn committed(&self) -> Snapshot {
        (0..EVENTS).filter(|event| self.txs[*event] == Tx::Committed).fold(0, |set, event| set | 1 << event)
    }

    fn arrive(&mut self, event: usize) {
        if self.arrived[event] {
            self.excess |= self.excused == 0;
            self.excused = self.excused.saturating_sub(1);
        }
        self.arrived[event] = true;
        let is_newer = |other: usize| KEYS[other] == KEYS[event] && self.seqs[other] > self.seqs[event];
        // One that was on its way when it was canceled holds back nobody any more.
        self.disorder |=
            !self.canceled[event] && (0..EVENTS).any(|other| is_newer(other) && self.arrived[other]);
    }

    /// The pending events of an event's key before and after it, as everybody sees them.
    fn neighbours(&self, event: usize) -> (Option<usize>, Option<usize>) {
        let place = |other: &usize| self.seqs[*other];
        let of_key = |other: &usize| KEYS[*other] == KEYS[event] && self.pending[*other] != Pending::No;
        let before = (0..EVENTS).filter(of_key).filter(|other| place(other) < place(&event));
        let after = (0..EVENTS).filter(of_key).filter(|other| place(other) > place(&event));
        (before.max_by_key(place), after.min_by_key(place))
    }

    /// A user's open transaction keeps everybody else from changing it.
    fn is_locked(&self, event: usize) -> bool {
        self.cancel.is_some_and(|cancel| cancel.event == event || cancel.next == Some(event))
    }

    /// A user cancels what is pending, and ends that transaction one way or the other.
    fn cancels(&self, steps: &mut Vec<(String, Self)>) {
        let Some(Cancel { event, next: follower }) = self.cancel else {
            for event in (0..EVENTS).filter(|event| self.pending[*event] != Pending::No && self.cancels > 0) {
                let mut next = self.clone();
                let (before, after) = self.neighbours(event);
                next.cancel = Some(Cancel { event, next: after.filter(|_| before.is_none()) });
                next.cancels -= 1;
                steps.push((format!("a user cancels {event}"), next));
            }
            return;
        };
        let mut next = Self { cancel: None, ..self.clone() };
        steps.push((format!("the cancel of {event} is rolled back"), next.clone()));
        (next.pending[event], next.logged[event], next.canceled[event]) = (Pending::No, true, true);
        if let Some(follower) = follower {
            next.due[follower] = true;
        }
        steps.push((format!("the cancel of {event} is committed"), next));
    }

    /// A relay moves the cursor, or takes it over: nobody else's lead counts any more.
    fn fence(&mut self, by: usize) {
        for (relay, other) in self.relays.iter_mut().enumerate() {
            if let Some(lead) = &mut other.lead {
                lead.current = relay == by;
            }
        }
    }

    fn transactions(&self, steps: &mut Vec<(String, Self)>) {
        for (event, key) in KEYS.into_iter().enumerate() {
            let mut to = |word: &str, tx: Tx, seq: u8| {
                let mut next = self.clone();
                (next.txs[event], next.seqs[event]) = (tx, seq);
                steps.push((format!("transaction {event} {word}"), next));
            };
            match self.txs[event] {
                Tx::Before => {
                    let locked = (0..EVENTS).any(|other| KEYS[other] == key && self.txs[other] == Tx::Open);
                    if !locked {
                        to("emits", Tx::Open, self.seqs.iter().max().unwrap_or(&0) + 1);
                    }
                }
                Tx::Open => {
                    to("commits", Tx::Committed, self.seqs[event]);
                    to("rolls back", Tx::Aborted, self.seqs[event]);
                }
                Tx::Committed | Tx::Aborted => {}
            }
        }
    }

    /// The next event after a position and the position after it; or the position of the next window.
    fn next_read(&self, from: Position) -> (Option<usize>, Position) {
        let snapshots = self.without != Without::Snapshots;
        let high = from.high.filter(|_| snapshots).unwrap_or(self.committed());
        let unread = |event: &usize| {
            let set = 1 << event;
            high & set != 0 && (!snapshots || from.low & set == 0) && self.seqs[*event] > from.after
        };
        match (0..EVENTS).filter(unread).min_by_key(|event| self.seqs[*event]) {
            Some(event) => (Some(event), Position { high: Some(high), after: self.seqs[event], ..from }),
            None if snapshots => (None, Position { low: high, high: None, after: 0 }),
            None => (None, from),
        }
    }

    fn reads(&self, relay: usize, lead: &Lead, steps: &mut Vec<(String, Self)>) {
        let (event, position) = self.next_read(lead.read);
        if position == lead.read {
            return;
        }
        let mut next = self.clone();
        let Some(lead) = &mut next.relays[relay].lead else { return };
        lead.read = position;
        let is_recorded = |event: usize| self.logged[event] || self.pending[event] != Pending::No;
        let leaves_out = |event: usize| {
            self.without != Without::LeavingOut && self.seqs[event] <= lead.ahead && is_recorded(event)
        };
        match event.filter(|event| !leaves_out(*event)) {
            Some(event) => lead.entries.push(Entry { event, sent: false, settled: false, after: position }),
            None => match lead.entries.last_mut() {
                Some(last) => last.after = position,
                None => lead.done = position,
            },
        }
        if self.without == Without::WaitingForRecords {
            lead.done = position;
        }
        steps.push((format!("relay {relay} reads {event:?}"), next));
    }

    /// Records one entry, delivered or put aside, or just where the cursor is; in one transaction with the cursor.
    fn records(&self, relay: usize, entry: Option<(usize, bool)>, steps: &mut Vec<(String, Self)>) {
        let mut next = self.clone();
        let Some(lead) = &mut next.relays[relay].lead else { return };
        if !lead.current && self.without != Without::Fencing {
            next.relays[relay].lead = None;
            steps.push((format!("relay {relay} is fenced"), next));
            return;
        }
        if let Some((index, delivered)) = entry {
            let event = lead.entries[index].event;
            lead.entries[index].settled = true;
            lead.ahead = lead.ahead.max(self.seqs[event]);
            if delivered {
                next.logged[event] = true;
            } else if self.pending[event] == Pending::No && !self.logged[event] {
                next.pending[event] = Pending::Free;
                let before = self.neighbours(event).0;
                let may_be_locked = self.without != Without::DueBehindLocked;
                next.due[event] = before.is_none_or(|before| self.is_locked(before) && may_be_locked);
            }
        }
        while lead.entries.first().is_some_and(|entry| entry.settled) {
            lead.done = lead.entries.remove(0).after;
        }
        next.cursor = (lead.done, lead.ahead);
        next.fence(relay);
        steps.push((format!("relay {relay} records {entry:?}"), next));
    }

    fn leads(&self, relay: usize, steps: &mut Vec<(String, Self)>) {
        let Some(lead) = &self.relays[relay].lead else {
            if self.lock.is_none() {
                let mut next = self.clone();
                let (read, ahead) = self.cursor;
                next.lock = Some(relay);
                next.relays[relay].lead =
                    Some(Lead { current: true, read, done: read, ahead, entries: Vec::new() });
                next.fence(relay);
                steps.push((format!("relay {relay} leads"), next));
            }
            return;
        };
        if self.lock == Some(relay) && lead.entries.len() < 2 {
            self.reads(relay, lead, steps);
        }
        for (index, entry) in lead.entries.iter().enumerate().filter(|(_, entry)| !entry.settled) {
            if entry.sent {
                self.records(relay, Some((index, true)), steps);
            } else if self.ordered {
                let is_next = lead.entries[..index].iter().all(|before| before.settled);
                if is_next || self.without == Without::PuttingAsideInOrder {
                    self.records(relay, Some((index, false)), steps);
                }
            } else {
                let mut next = self.clone();
                if let Some(lead) = &mut next.relays[relay].lead {
                    lead.entries[index].sent = true;
                }
                next.arrive(entry.event);
                steps.push((format!("relay {relay} sends {}", entry.event), next));
            }
        }
        if lead.entries.is_empty() && (lead.done != self.cursor.0 || !lead.current) {
            self.records(relay, None, steps);
        }
    }

    fn claims(&self, relay: usize, steps: &mut Vec<(String, Self)>) {
        let Some(claim) = self.relays[relay].claim else {
            for event in (0..EVENTS).filter(|event| !self.is_locked(*event)) {
                let is_first = self.neighbours(event).0.is_none() || self.without == Without::LeasingTheFirst;
                let may = self.due[event] && is_first || self.without == Without::Queueing;
                if self.pending[event] == Pending::Free && may {
                    let mut next = self.clone();
                    next.pending[event] = Pending::Leased(relay);
                    next.relays[relay].claim = Some(Claim { event, sent: false, current: true });
                    steps.push((format!("relay {relay} leases {event}"), next));
                }
            }
            return;
        };
        let Claim { event, sent, current } = claim;
        if !sent {
            let mut next = self.clone();
            let word = if current || self.without == Without::SendingInTime {
                next.relays[relay].claim = Some(Claim { sent: true, ..claim });
                next.arrive(event);
                "sends"
            } else {
                next.relays[relay].claim = None;
                "is too late to send"
            };
            steps.push((format!("relay {relay} {word} {event}"), next));
            return;
        }
        if self.is_locked(event) {
            return;
        }
        let counts = (current || self.without == Without::Tokens) && self.pending[event] != Pending::No;
        let after = self.neighbours(event).1;
        let mut next = self.clone();
        next.relays[relay].claim = None;
        if counts {
            (next.pending[event], next.logged[event]) = (Pending::No, true);
            if let Some(after) = after.filter(|after| !self.is_locked(*after)) {
                next.due[after] = true;
            }
        }
        let must_wait = counts && after.is_some_and(|after| self.is_locked(after));
        if !must_wait || self.without == Without::WaitingForTheNext {
            steps.push((format!("relay {relay} writes {event} back"), next.clone()));
        }
        if counts && self.failures > 0 {
            next.due = self.due;
            (next.pending[event], next.logged[event]) = (Pending::Free, self.logged[event]);
            (next.failures, next.excused) = (self.failures - 1, self.excused + 1);
            steps.push((format!("relay {relay} writes {event} back as failed"), next));
        }
    }

    fn faults(&self, relay: usize, steps: &mut Vec<(String, Self)>) {
        let Relay { lead, claim, .. } = &self.relays[relay];
        let entries = lead.iter().flat_map(|lead| &lead.entries).filter(|entry| !entry.settled);
        let claimed = u8::from(claim.is_some_and(|claim| claim.sent));
        let mut next = self.clone();
        next.faults -= 1;
        let mut dead = next.clone();
        dead.excused += entries.clone().filter(|entry| entry.sent).count() as u8 + claimed;
        dead.lock = self.lock.filter(|holder| *holder != relay);
        dead.relays[relay] = Relay::default();
        steps.push((format!("fault: relay {relay} dies and starts again"), dead));
        if self.lock == Some(relay) {
            // It goes on until it records or asks for something: what it has read it may still send.
            let mut cut = next.clone();
            cut.excused += entries.count() as u8;
            cut.lock = None;
            steps.push((format!("fault: relay {relay} loses the lock unnoticed"), cut));
        }
        if let Some(claim) = claim.filter(|claim| claim.current) {
            next.excused += claimed;
            if self.pending[claim.event] != Pending::No {
                next.pending[claim.event] = Pending::Free;
            }
            next.relays[relay].claim = Some(Claim { current: false, ..claim });
            steps.push((format!("fault: relay {relay} freezes for longer than its lease"), next));
        }
    }
}

impl State for Outbox {
    fn steps(&self) -> Vec<(String, Self)> {
        let mut steps = Vec::new();
        self.transactions(&mut steps);
        self.cancels(&mut steps);
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
            if at_rest && committed && !is_done {
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
fn each_rule_is_needed() {
    let (faults, a_cancel) = ([2, 0, 0], [0, 0, 1]);
    for (without, ordered, events, happens, expected) in [
        (Without::Snapshots, false, [0, 2], faults, "is lost"),
        (Without::WaitingForRecords, false, [0, 2], faults, "is lost"),
        (Without::Fencing, false, [0, 2], faults, "repeated"),
        (Without::LeavingOut, false, [0, 2], faults, "repeated"),
        (Without::PuttingAsideInOrder, true, [0, 1], faults, "something older"),
        (Without::Queueing, true, [0, 1], faults, "something older"),
        (Without::DueBehindLocked, true, [0, 1], a_cancel, "is lost"),
        (Without::LeasingTheFirst, true, [0, 1], a_cancel, "something older"),
        (Without::WaitingForTheNext, true, [0, 1], a_cancel, "is lost"),
        (Without::SendingInTime, true, [0, 1], faults, "repeated"),
        (Without::Tokens, true, [0, 1], faults, "something older"),
    ] {
        let found = search(Outbox::new(without, ordered, &events, happens));
        let wrong = found.expect_err(&format!("nothing goes wrong without {without:?}"));
        assert!(wrong.contains(expected), "without {without:?}: {wrong}");
    }
}
