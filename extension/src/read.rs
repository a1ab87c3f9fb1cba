//! Reading the outbox: a page of a window, straight from the indexes.
//!
//! As a query it was the largest part of what lies between COMMIT and arrival that is ours: docs/decisions/0008.
//! What a window is, `webhook_wire::window` says.

use std::ffi::CStr;

use pgrx::{direct_function_call, direct_function_call_as_datum, pg_extern, pg_sys};
use webhook_wire::window::{Snapshot, Window};

use crate::{error::OrRaise, tables::Table, wal};

mod indexed;
mod page;
mod scan;
mod unread;

use indexed::Indexed;
use page::Page;
use scan::{Key, Scan};
use unread::Unread;

/// The next events after a position, and a last row with the windows to go on with.
#[pg_extern(sql = false)]
fn _relay_read(
    window: &str,
    seq: i64,
    xid: i64,
    max_rows: i32,
    max_bytes: i64,
    config: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let config = config.map(|text| Snapshot::parse(text).or_raise());
    let window = Window::parse(window).or_raise().up_to(now);
    let mut page = Page::of(fcinfo);
    let (mut rows, mut bytes) = (0, 0);
    let mut unread = Unread::after((seq, xid), &window);
    while rows < max_rows
        && bytes < max_bytes
        && let Some(event) = unread.next()
    {
        bytes += page.push(event);
        rows += 1;
    }
    drop(unread);
    // A commit with synchronous_commit = off is visible before it is on disk and on a standby, and a crash or a failover could undo
    // a fact announced by then.
    if rows > 0 {
        let (from, to) = window.commits();
        wal::make_durable(from, to);
    }
    let more = window.more().to_string();
    let changed = config.is_none_or(|config| webhooks_changed_since(&config));
    page.end(&more, &window.next(wal::mark).to_string(), changed);
}

/// The statement's snapshot.
fn now() -> Snapshot {
    // SAFETY: the one takes nothing and returns a pg_snapshot, the other takes that and returns a NUL-terminated text.
    let text = unsafe {
        let snapshot = direct_function_call_as_datum(pg_sys::pg_current_snapshot, &[]);
        direct_function_call::<&CStr>(pg_sys::pg_snapshot_out, &[snapshot])
    };
    Snapshot::parse(&text.unwrap_or_default().to_string_lossy()).or_raise()
}

fn webhooks_changed_since(config: &Snapshot) -> bool {
    const XID: i16 = 1;
    let changes = Table::Changes.lock(pg_sys::AccessShareLock).unwrap_or_else(|| Table::Changes.missing());
    let mut scan = Scan::of(Indexed::open(changes, &[XID]), [Key::xid_from(XID, config.xmin())]);
    while scan.advance() {
        if !config.sees(scan.number(XID)) {
            return true;
        }
    }
    false
}
