//! Postgres' snapshots, as text.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::WindowError;

/// A `pg_snapshot`: which transactions have ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Snapshot {
    xmin: i64,
    xmax: i64,
    running: Vec<i64>,
}

impl Snapshot {
    /// Of the text that Postgres writes: `xmin:xmax:xid,xid`.
    pub fn parse(text: &str) -> Result<Self, WindowError> {
        let read = || {
            let (xmin, rest) = text.split_once(':')?;
            let (xmax, running) = rest.split_once(':')?;
            let running = running.split(',').filter(|xid| !xid.is_empty()).map(|xid| xid.parse().ok());
            let mut running: Vec<i64> = running.collect::<Option<_>>()?;
            running.sort_unstable();
            Some(Self { xmin: xmin.parse().ok()?, xmax: xmax.parse().ok()?, running })
        };
        read().ok_or_else(|| WindowError::Snapshot(text.to_owned()))
    }

    /// All transactions before this one had ended.
    pub fn xmin(&self) -> i64 {
        self.xmin
    }

    /// This one and all later ones had not begun.
    pub fn xmax(&self) -> i64 {
        self.xmax
    }

    /// Those in between that had not ended, in ascending order.
    pub fn running(&self) -> &[i64] {
        &self.running
    }

    /// Whether the transaction had ended, as `pg_visible_in_snapshot` tells it.
    pub fn sees(&self, xid: i64) -> bool {
        xid < self.xmin || (xid < self.xmax && self.running.binary_search(&xid).is_err())
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        self.running
            .iter()
            .enumerate()
            .try_for_each(|(n, xid)| write!(f, "{}{xid}", if n > 0 { "," } else { "" }))
    }
}

impl TryFrom<String> for Snapshot {
    type Error = WindowError;

    fn try_from(text: String) -> Result<Self, WindowError> {
        Self::parse(&text)
    }
}

impl From<Snapshot> for String {
    fn from(snapshot: Snapshot) -> Self {
        snapshot.to_string()
    }
}
