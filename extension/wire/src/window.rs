//! The windows in which the outbox is read: every committed event exactly once, in order, without waiting for anybody.
//!
//! The reader takes snapshots S0, S1, … and reads between two of them, `low` and `high`, what is visible in `high` and not in
//! `low`. A transaction that was running in `low` is read in the window in which it has committed; nobody waits for it.
//! `id > last` would lose it; `xid < xmin` would stall behind it.
//!
//! Rows are read in the order of seq, which is the WAL position at emission: an event emitted after another one's commit has the
//! larger seq, so events of one row come in the order of their commits. To find the unread rows in that order without scanning
//! what is read, the window carries lower bounds of their seq.

use std::{collections::HashMap, error::Error, fmt};

use serde::{Deserialize, Serialize};

mod snapshot;

pub use snapshot::Snapshot;

/// Transactions that began so many bytes of WAL before the others' floor are looked up one by one, so that the scan for the
/// others need not begin so far back.
const FAR: i64 = 16 * 1024 * 1024;

fn is_far(from: i64, floor: i64) -> bool {
    from < floor - FAR
}

/// Two snapshots, and where what is unread between them begins. Its JSON is what cursors keep.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Window {
    /// The term of the leader that reads it, by which a window is known that was read before a crash or a failover.
    term: Option<i64>,
    low: Snapshot,
    /// None until the first page of it is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    high: Option<Snapshot>,
    /// Unread rows of transactions at or past `low`'s xmax have no smaller seq.
    floor: i64,
    /// `[lsn, xid]`: transactions from xid on emit at lsn or later. Once `low`'s xmax reaches xid, the floor rises to lsn.
    mark: Option<(i64, i64)>,
    /// `[xid, floor]` of each transaction that was running in `low`.
    old: Vec<(i64, i64)>,
}

impl Window {
    /// Of its JSON.
    pub fn parse(text: &str) -> Result<Self, WindowError> {
        serde_json::from_str(text).map_err(|_| WindowError::Window(text.to_owned()))
    }

    /// The same one, read up to `high`; up to where it was read before, if it was.
    pub fn up_to(self, high: impl FnOnce() -> Snapshot) -> Open {
        let high = self.high.unwrap_or_else(high);
        Open { window: Self { high: None, ..self }, high }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// A window with both its ends.
#[derive(Debug, Clone)]
pub struct Open {
    window: Window,
    high: Snapshot,
}

/// Some rows of the outbox: those of `xids` with `floor` or a larger seq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The least seq.
    pub floor: i64,
    /// Whose rows.
    pub xids: Xids,
}

/// Some transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Xids {
    /// This one and all later ones.
    From(i64),
    /// This one.
    Only(i64),
}

impl Open {
    /// Ranges in which all unread rows lie, each in one of them: the first is of many transactions, the others of one that began
    /// long ago.
    pub fn ranges(&self) -> Vec<Range> {
        let Window { low, floor, old, .. } = &self.window;
        let committed = old.iter().filter(|(xid, _)| self.high.sees(*xid));
        let (far, near): (Vec<_>, Vec<_>) = committed.copied().partition(|(_, from)| is_far(*from, *floor));
        let all = Range {
            floor: near.iter().map(|(_, from)| *from).fold(*floor, i64::min),
            xids: Xids::From(near.iter().map(|(xid, _)| *xid).fold(low.xmax(), i64::min)),
        };
        let one = |(xid, floor)| Range { floor, xids: Xids::Only(xid) };
        std::iter::once(all).chain(far.into_iter().map(one)).collect()
    }

    /// Whether a row of that transaction belongs to `range`, one of [`Self::ranges`], and is unread.
    pub fn has(&self, range: Range, xid: i64) -> bool {
        let fresh = || !self.window.low.sees(xid) && self.high.sees(xid);
        match range.xids {
            Xids::Only(only) => xid == only,
            Xids::From(from) => xid >= from && fresh() && !self.has_alone(xid),
        }
    }

    fn has_alone(&self, xid: i64) -> bool {
        let Window { low, floor, old, .. } = &self.window;
        xid < low.xmax() && old.iter().any(|(one, from)| *one == xid && is_far(*from, *floor))
    }

    /// The transactions of which some may be unread and committed: from the first to before the second.
    pub fn commits(&self) -> (i64, i64) {
        (self.window.low.xmin(), self.high.xmax())
    }

    /// How this one goes on.
    pub fn more(&self) -> Window {
        Window { high: Some(self.high.clone()), ..self.window.clone() }
    }

    /// What follows when this one is read to its end. `fresh` is a new mark, and is looked at only once the mark has served.
    pub fn next(self, fresh: impl FnOnce() -> (i64, i64)) -> Window {
        let Self { window, high } = self;
        let (floor, mark) = match window.mark {
            Some((_, xid)) if xid > high.xmax() => (window.floor, window.mark),
            served => (served.map_or(window.floor, |(lsn, _)| lsn), Some(fresh())),
        };
        let floors: HashMap<i64, i64> = window.old.into_iter().collect();
        // One that ran already in low may have emitted from its own floor on, any other from where this window began.
        let old = high
            .running()
            .iter()
            .map(|xid| (*xid, floors.get(xid).copied().unwrap_or(window.floor)))
            .collect();
        Window { term: window.term, low: high, high: None, floor, mark, old }
    }
}

/// Not what this crate or Postgres wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowError {
    /// Not a window.
    Window(String),
    /// Not a snapshot.
    Snapshot(String),
}

impl WindowError {
    /// What to give instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Window(_) => "Windows come from _relay_lead() and _relay_read().".to_owned(),
            Self::Snapshot(_) => "A snapshot is spelled as pg_current_snapshot() spells it.".to_owned(),
        }
    }
}

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window(text) => write!(f, "window \"{text}\" is not valid"),
            Self::Snapshot(text) => write!(f, "snapshot \"{text}\" is not valid"),
        }
    }
}

impl Error for WindowError {}
