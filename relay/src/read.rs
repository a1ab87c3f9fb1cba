//! From a page of the outbox to matched events, with what a former leader already recorded left out.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;

use crate::event::{Budget, Event};
use crate::ledger::Position;
use crate::matching::{Matched, Registry};
use crate::store::{Page, Session, StoreError};

/// Events asked for at once.
pub const PAGE_ROWS: i32 = 512;

/// An event that was read and matched, and its place.
#[derive(Debug)]
pub struct Item {
    /// The event and the webhooks it goes to.
    pub matched: Matched,
    /// Not to be sent before.
    pub due: Option<Instant>,
    /// Where the cursor stands after it.
    pub after: Position,
}

/// What one read brings to the dispatcher.
#[derive(Debug)]
pub struct Chunk {
    /// The webhooks it was matched with.
    pub registry: Arc<Registry>,
    /// Events in order.
    pub items: Vec<Item>,
    /// Where reading goes on after them.
    pub end: Position,
}

/// Whether a page may have left some of its window unread.
#[must_use]
pub fn is_full(page: &Page, max_bytes: i64) -> bool {
    // Postgres counted in the database's encoding, where what we see as UTF-8 has up to twice the bytes (EUC_TW: 4 for 2).
    let bytes: usize = page.rows.iter().map(|row| 2 * row.facts.payload()).sum();
    page.rows.len() >= PAGE_ROWS as usize || bytes as i64 >= max_bytes
}

/// How many transactions a page's events are of.
#[must_use]
pub fn transactions(page: &Page) -> usize {
    page.rows.iter().map(|row| row.xid).collect::<HashSet<_>>().len()
}

/// Where to read on after a page.
#[must_use]
pub fn end_of(page: &Page, full: bool) -> Position {
    match page.rows.last() {
        Some(last) if full => Position { window: page.more.as_str().into(), seq: last.seq, xid: last.xid },
        _ => Position { window: page.next.as_str().into(), seq: 0, xid: 0 },
    }
}

/// Matches a page's events.
#[must_use]
pub fn matched(page: Page, registry: &Registry, budget: &Budget) -> Vec<Item> {
    let window: Arc<str> = page.more.into();
    let item = |row: crate::store::PageRow| {
        let event = Arc::new(Event::new(row.facts, budget));
        let matched = registry.matched(event, row.target.as_deref());
        Item { matched, due: row.due, after: Position { window: window.clone(), seq: row.seq, xid: row.xid } }
    };
    page.rows.into_iter().map(item).collect()
}

/// Leaves out what is recorded already of events up to `ahead`.
pub async fn leave_out_recorded(items: &mut [Item], ahead: i64, session: &Session) -> Result<(), StoreError> {
    let doubtful = items.iter().filter(|item| item.after.seq <= ahead);
    let ids: Vec<&str> = doubtful
        .flat_map(|item| item.matched.hooks.iter().chain(&item.matched.undecided).map(|(_, id)| &**id))
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let recorded: HashSet<String> = session.recorded(&ids).await?.into_iter().collect();
    for item in items.iter_mut().filter(|item| item.after.seq <= ahead) {
        item.matched.hooks.retain(|(_, id)| !recorded.contains(&**id));
        item.matched.undecided.retain(|(_, id)| !recorded.contains(&**id));
    }
    Ok(())
}
