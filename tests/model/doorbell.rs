//! The doorbell: emitters ring only while the bell is on, and the reader sleeps without missing a commit.
//!
//! An emitter commits in the order of extension/src/wakeup.rs and PostgreSQL's `CommitTransaction`, the reader goes to sleep in
//! that of relay/src/wake.rs and lead/term.rs. A leader may die asleep, which leaves the bell on, or be held up in its sleep
//! until the bell counts no more.

use crate::search::{State, search};

const EMITTERS: usize = 2;

/// A rule of the protocol that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Without {
    Nothing,
    /// The reader switches the bell on before its last read.
    ArmingFirst,
    /// It looks whether somebody is committing before it falls asleep.
    LookingForCommitters,
    /// It looks before that read, not after it.
    LookingBeforeReading,
    /// Emitters hold the marker before they look at the bell.
    MarkerFirst,
    /// Emitters hold it until their rows can be seen.
    MarkerUntilVisible,
    /// A ring that comes while nobody waits is kept.
    KeepingRings,
    /// A new leader switches the bell on though it is on already: emitters did not ring while nobody led.
    ArmingAnew,
    /// A reader that was held up so long that the bell counts no more switches it on again before it reads.
    Renewing,
}

/// Where an emitter is in its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Emitter {
    Before,
    /// Holds the marker.
    Marked,
    /// Has looked at the bell too soon; true: it rings when it commits.
    Hasty(bool),
    /// Holds the marker and has looked at the bell.
    Looked(bool),
    /// Has dropped the marker too soon.
    Unmarked(bool),
    /// Its rows can be seen; true: the marker is still held.
    Visible(bool),
    /// Gone, also by a rollback.
    Gone,
}

/// Where the reader is between two reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reader {
    /// Nobody leads.
    Dead,
    /// Polls: reads again soon, whatever happens.
    Awake,
    /// The bell is on.
    Armed,
    /// Has looked for committers: true, there are some.
    Looked(bool),
    /// Has read after that.
    Read(bool),
    /// Sleeps for a moment, or until it is rung for.
    Drowsy,
    /// Sleeps until it is rung for, or for a poll interval.
    Asleep,
    /// It should have woken long ago.
    HeldUp,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Doorbell {
    without: Without,
    emitters: [Emitter; EMITTERS],
    read: [bool; EMITTERS],
    bell: bool,
    /// A notification waits.
    rung: bool,
    reader: Reader,
    /// How often the leader may still die.
    deaths: u8,
    /// How often it may still be stopped in its sleep.
    stops: u8,
}

impl Doorbell {
    fn new(without: Without) -> Self {
        Self {
            without,
            emitters: [Emitter::Before; EMITTERS],
            read: [false; EMITTERS],
            bell: false,
            rung: false,
            reader: Reader::Awake,
            deaths: 1,
            stops: 1,
        }
    }

    fn is_visible(&self, emitter: usize) -> bool {
        match self.emitters[emitter] {
            Emitter::Visible(_) => true,
            // A rollback leaves nothing to read.
            _ => false,
        }
    }

    fn somebody_commits(&self) -> bool {
        let holds = |emitter: &Emitter| {
            matches!(emitter, Emitter::Marked | Emitter::Looked(_) | Emitter::Visible(true))
        };
        self.emitters.iter().any(holds)
    }

    /// A read with a new snapshot; true when it finds something.
    fn look(&mut self) -> bool {
        let found = (0..EMITTERS).any(|emitter| self.is_visible(emitter) && !self.read[emitter]);
        for emitter in 0..EMITTERS {
            self.read[emitter] |= self.is_visible(emitter);
        }
        found
    }

    fn emitter_steps(&self, n: usize, steps: &mut Vec<(String, Self)>) {
        let mut to = |word: &str, emitter: Emitter| {
            let mut next = self.clone();
            next.emitters[n] = emitter;
            if let (Emitter::Looked(true) | Emitter::Unmarked(true), Emitter::Visible(_)) =
                (self.emitters[n], emitter)
            {
                // Notifications of a sleeping reader wake it; others are kept for it.
                let waits = matches!(self.reader, Reader::Asleep | Reader::Drowsy);
                next.rung |= self.reader != Reader::Dead && (waits || self.without != Without::KeepingRings);
            }
            steps.push((format!("emitter {n} {word}"), next));
        };
        let rings = self.bell && self.reader != Reader::Dead;
        match self.emitters[n] {
            Emitter::Before if self.without == Without::MarkerFirst => {
                to("looks at the bell", Emitter::Hasty(rings));
            }
            Emitter::Before => to("takes the marker", Emitter::Marked),
            Emitter::Hasty(rings) => to("takes the marker", Emitter::Looked(rings)),
            Emitter::Marked => to("looks at the bell", Emitter::Looked(rings)),
            Emitter::Looked(rings) if self.without == Without::MarkerUntilVisible => {
                to("drops the marker", Emitter::Unmarked(rings));
            }
            Emitter::Looked(_) => {
                to("commits", Emitter::Visible(true));
                to("rolls back", Emitter::Gone);
            }
            Emitter::Unmarked(_) => to("commits", Emitter::Visible(false)),
            Emitter::Visible(true) => to("drops the marker", Emitter::Visible(false)),
            Emitter::Visible(false) | Emitter::Gone => {}
        }
    }

    fn reader_steps(&self, steps: &mut Vec<(String, Self)>) {
        let mut next = self.clone();
        let word = match self.reader {
            Reader::Dead => {
                (next.rung, next.reader) = (false, Reader::Awake);
                if self.without == Without::ArmingAnew && self.bell {
                    next.look();
                    next.reader = Reader::Asleep;
                }
                "a new leader comes"
            }
            Reader::Awake => {
                let found = next.look();
                let arms = !found;
                if found {
                    // It was not much.
                    let little = Self { bell: true, reader: Reader::Armed, ..next.clone() };
                    steps.push(("the reader reads a little, and arms".into(), little));
                }
                if arms && self.without == Without::ArmingFirst {
                    next.reader = Reader::Looked(self.somebody_commits());
                    steps.push(("the reader reads, then arms".into(), next));
                    return;
                }
                if arms {
                    (next.bell, next.reader) = (true, Reader::Armed);
                }
                "the reader reads; if there is nothing, it arms"
            }
            Reader::Armed if self.without == Without::LookingBeforeReading => {
                next.look();
                next.reader = Reader::Looked(false);
                "the reader reads"
            }
            Reader::Armed => {
                next.reader = Reader::Looked(self.somebody_commits());
                "the reader looks for committers"
            }
            Reader::Looked(committing) => {
                match self.without {
                    Without::ArmingFirst => {
                        next.bell = true;
                        next.reader = Reader::Read(committing);
                    }
                    Without::LookingBeforeReading => next.reader = Reader::Read(self.somebody_commits()),
                    _ => {
                        next.look();
                        next.reader = Reader::Read(committing);
                    }
                }
                "the reader reads"
            }
            Reader::Read(committing) => {
                let drowsy = committing && self.without != Without::LookingForCommitters;
                next.reader = if drowsy { Reader::Drowsy } else { Reader::Asleep };
                "the reader falls asleep"
            }
            Reader::Drowsy => {
                (next.rung, next.reader) = (false, Reader::Armed);
                "the reader wakes after a moment"
            }
            Reader::HeldUp => {
                next.rung = false;
                if self.without == Without::Renewing {
                    next.look();
                    next.reader = Reader::Asleep;
                } else {
                    (next.bell, next.reader) = (true, Reader::Armed);
                }
                "the reader goes on, and switches the bell on again"
            }
            Reader::Asleep if self.rung => {
                next.rung = false;
                next.reader = Reader::Asleep;
                next.look();
                // Much to read: it switches the bell off and polls.
                let mut busy = next.clone();
                (busy.bell, busy.reader) = (false, Reader::Awake);
                steps.push(("the reader is rung for and has much to do".into(), busy));
                "the reader is rung for, reads and sleeps on"
            }
            Reader::Asleep => return,
        };
        steps.push((word.into(), next));
    }
}

impl State for Doorbell {
    fn steps(&self) -> Vec<(String, Self)> {
        let mut steps = Vec::new();
        for n in 0..EMITTERS {
            self.emitter_steps(n, &mut steps);
        }
        self.reader_steps(&mut steps);
        if self.deaths > 0 && self.reader != Reader::Dead {
            let next = Self { reader: Reader::Dead, rung: false, deaths: self.deaths - 1, ..self.clone() };
            steps.push(("fault: the leader dies".into(), next));
        }
        if self.stops > 0 && self.reader == Reader::Asleep {
            let next = Self { reader: Reader::HeldUp, bell: false, stops: self.stops - 1, ..self.clone() };
            steps.push(("fault: the reader is held up until the bell counts no more".into(), next));
        }
        steps
    }

    fn wrong(&self, _: bool) -> Option<String> {
        let unread = (0..EMITTERS).any(|n| self.emitters[n] == Emitter::Visible(false) && !self.read[n]);
        let lost = self.reader == Reader::Asleep && !self.rung && unread;
        lost.then(|| "the reader sleeps on though something is committed".into())
    }

    fn is_fault(step: &str) -> bool {
        step.starts_with("fault")
    }
}

#[test]
fn no_commit_is_slept_through() {
    let states = search(Doorbell::new(Without::Nothing)).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(states > 1000, "only {states} states: the model does next to nothing");
}

#[test]
fn each_rule_is_needed() {
    for without in [
        Without::ArmingFirst,
        Without::LookingForCommitters,
        Without::LookingBeforeReading,
        Without::MarkerFirst,
        Without::MarkerUntilVisible,
        Without::KeepingRings,
        Without::ArmingAnew,
        Without::Renewing,
    ] {
        assert!(search(Doorbell::new(without)).is_err(), "nothing goes wrong without {without:?}");
    }
}
