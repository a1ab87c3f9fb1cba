//! What may happen next.

use super::*;

impl Outbox {
    /// Only `events` happen, so many faults, and so many failures of the receiver and cancels by a user (of ordered deliveries).
    pub(super) fn new(
        without: Without,
        ordered: bool,
        events: &[usize],
        [faults, failures, cancels]: [u8; 3],
    ) -> Self {
        let start = Position { low: 0, high: None, after: 0 };
        let mut txs = [Tx::Aborted; EVENTS];
        for event in events {
            txs[*event] = Tx::Before;
        }
        Self {
            without,
            ordered,
            webhook: true,
            txs,
            seqs: [0; EVENTS],
            cursor: (start, 0),
            lock: None,
            logged: [false; EVENTS],
            pending: [Pending::No; EVENTS],
            due: [false; EVENTS],
            cancel: None,
            canceled: [false; EVENTS],
            must_arrive: [false; EVENTS],
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

    /// The same, with another webhook for the events until this one comes.
    pub(super) fn before_the_webhook(self) -> Self {
        Self { webhook: false, ..self }
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
    pub(super) fn cancels(&self, steps: &mut Vec<(String, Self)>) {
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

    pub(super) fn transactions(&self, steps: &mut Vec<(String, Self)>) {
        for (event, key) in KEYS.into_iter().enumerate() {
            let mut to = |word: &str, tx: Tx, seq: u8| {
                let mut next = self.clone();
                (next.txs[event], next.seqs[event]) = (tx, seq);
                next.must_arrive[event] |= tx == Tx::Open && self.webhook;
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
            Some(event) => {
                let wanted = self.webhook;
                lead.entries.push(Entry { event, wanted, sent: false, settled: false, after: position });
            }
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
            if !lead.entries[index].wanted {
                // It was the other one's.
            } else if delivered {
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

    pub(super) fn leads(&self, relay: usize, steps: &mut Vec<(String, Self)>) {
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
            if entry.sent || !entry.wanted {
                self.records(relay, Some((index, true)), steps);
            } else if self.ordered {
                let before = || lead.entries[..index].iter().filter(|before| !before.settled);
                let in_order =
                    self.without == Without::PuttingAsideInOrder || !before().any(|one| one.wanted);
                let passed = self.without == Without::PassingTheUnwanted || !before().any(|one| !one.wanted);
                if in_order && passed {
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

    pub(super) fn claims(&self, relay: usize, steps: &mut Vec<(String, Self)>) {
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

    pub(super) fn faults(&self, relay: usize, steps: &mut Vec<(String, Self)>) {
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
