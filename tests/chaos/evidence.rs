//! Signs in the logs that faults landed.

/// Not to be seen where mounting is not allowed.
pub const FULL_DISK: &str = "writes to a full disk";
/// Not to be seen without libfaketime.
pub const WRONG_CLOCK: &str = "clocks found wrong";

/// Not to be seen where no network can be made.
pub const DROPPED: &str = "ways on which packets were dropped";

/// What was brought about, and the words in a log that show it.
const SIGNS: [(&str, &str); 10] = [
    ("relays killed", "ended by signal: 9"),
    ("relays dead at a point of their code", "ended by signal: 6"),
    ("relays that ended in order", "ended by exit status: 0"),
    ("connections lost", "no connection to PostgreSQL"),
    ("backends killed", "was terminated by signal 9"),
    ("servers started after a crash", "automatic recovery in progress"),
    ("standbys that took over", "selected new timeline ID"),
    (FULL_DISK, "No space left on device"),
    (DROPPED, "packets were dropped"),
    (WRONG_CLOCK, "PostgreSQL differ"),
];

/// How often each sign was seen.
#[derive(Clone, Debug, Default)]
pub struct Evidence([usize; SIGNS.len()]);

impl Evidence {
    /// Counts the signs in logs.
    pub fn of(logs: &[&str]) -> Self {
        Self(SIGNS.map(|(_, words)| logs.iter().map(|log| log.matches(words).count()).sum()))
    }

    /// Adds another round's.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// Each sign with its count.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        SIGNS.iter().zip(self.0).map(|((what, _), count)| format!("{count:6} {what}"))
    }

    /// Signs that were not seen.
    pub fn missing(&self) -> Vec<&'static str> {
        SIGNS.iter().zip(self.0).filter(|(_, count)| *count == 0).map(|((what, _), _)| *what).collect()
    }
}
