//! The unread events of a window in their order, from all partitions at once.

use webhook_wire::window::{Open, Range, Xids};

use super::{
    indexed::Indexed,
    scan::{Key, Scan},
};
use crate::{ids, outbox::column};

/// What is left of them.
pub struct Unread<'a> {
    window: &'a Open,
    after: (i64, i64),
    here: i64,
    /// Each of them has a row; the one at `taken` was given out.
    cursors: Vec<Cursor>,
    taken: Option<usize>,
}

/// The events of one range in one partition.
struct Cursor {
    range: Range,
    rows: Scan,
}

impl Cursor {
    fn place(&self) -> (i64, i64) {
        (self.rows.number(column::SEQ), self.rows.number(column::XID))
    }
}

impl<'a> Unread<'a> {
    /// Those after a position (seq, xid).
    pub fn after(after: (i64, i64), window: &'a Open) -> Self {
        let mut unread =
            Self { window, after, here: i64::from(ids::epoch()), cursors: Vec::new(), taken: None };
        let partitions = Indexed::partitions(&[column::SEQ, column::XID]);
        for range in window.ranges() {
            let seq = Key::from(column::SEQ, range.floor.max(after.0));
            let xid = match range.xids {
                Xids::From(first) => Key::xid_from(column::XID, first),
                Xids::Only(only) => Key::xid(column::XID, only),
            };
            for partition in &partitions {
                let cursor = Cursor { range, rows: Scan::of(partition.clone(), [seq, xid]) };
                unread.cursors.push(cursor);
                unread.advance(unread.cursors.len() - 1);
            }
        }
        unread
    }

    /// The next one.
    pub fn next(&mut self) -> Option<&Scan> {
        if let Some(taken) = self.taken.take() {
            self.advance(taken);
        }
        let (first, cursor) = self.cursors.iter().enumerate().min_by_key(|(_, cursor)| cursor.place())?;
        self.taken = Some(first);
        Some(&cursor.rows)
    }

    /// Goes to the next unread event of that cursor; the cursor ends when there is none.
    fn advance(&mut self, n: usize) {
        let Self { window, after, here, cursors, .. } = self;
        let cursor = &mut cursors[n];
        while cursor.rows.advance() {
            let place = cursor.place();
            if place > *after
                && window.has(cursor.range, place.1)
                && cursor.rows.number(column::EPOCH) == *here
            {
                return;
            }
        }
        cursors.swap_remove(n);
    }
}
