//! From one window of the reader to the next: sql/relay/read.sql says what a window is.

use std::collections::HashMap;

use pgrx::pg_extern;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, OrRaise},
    wal,
};

#[derive(Deserialize, Serialize)]
struct Window {
    term: Option<i64>,
    low: String,
    floor: i64,
    mark: Option<(i64, i64)>,
    old: Vec<(i64, i64)>,
}

impl Window {
    fn parse(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|_| Error::OutOfRange {
            argument: "window",
            value: text.to_owned(),
            hint: "Windows come from _relay_lead() and _relay_read().",
        })
    }

    /// What follows when this one is read to its end at `high`. `fresh` is looked at only once the mark has served.
    fn next(self, high: Snapshot, fresh: impl FnOnce() -> (i64, i64)) -> Self {
        let (floor, mark) = match self.mark {
            Some((_, xid)) if xid > high.xmax => (self.floor, self.mark),
            served => (served.map_or(self.floor, |(lsn, _)| lsn), Some(fresh())),
        };
        let floors: HashMap<i64, i64> = self.old.into_iter().collect();
        // One that ran already in low may have emitted from its own floor on, any other from where this window began.
        let old =
            high.running.iter().map(|xid| (*xid, floors.get(xid).copied().unwrap_or(self.floor))).collect();
        Self { term: self.term, low: high.text, floor, mark, old }
    }
}

/// A `pg_snapshot`.
struct Snapshot {
    text: String,
    xmax: i64,
    running: Vec<i64>,
}

impl Snapshot {
    /// Of the text that Postgres writes: `xmin:xmax:xid,xid`.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once(':')?;
        let (xmax, running) = rest.split_once(':')?;
        let running = running.split(',').filter(|xid| !xid.is_empty()).map(|xid| xid.parse().ok());
        Some(Self {
            text: text.to_owned(),
            xmax: xmax.parse().ok()?,
            running: running.collect::<Option<_>>()?,
        })
    }
}

#[pg_extern(sql = false)]
fn _next_window(window: &str, high: &str) -> String {
    let high = Snapshot::parse(high).ok_or_else(|| Error::OutOfRange {
        argument: "high",
        value: high.to_owned(),
        hint: "A snapshot is spelled as pg_current_snapshot() spells it.",
    });
    let next = Window::parse(window).or_raise().next(high.or_raise(), wal::mark);
    serde_json::to_string(&next).expect("numbers and text are JSON")
}
