//! Waking the relay without a NOTIFY on every commit: the doorbell of docs/wakeup.md, emitter's side.
//!
//! Before commit, once per transaction that emitted: take a ROW EXCLUSIVE lock on `webhook.committing` (it says "my rows
//! will be visible soon"), then look at the bell; only if it is 1, a relay sleeps and gets a NOTIFY. The lock is released
//! after the rows are visible, so a relay that armed the bell too late for us sees the lock and stays drowsy.

use std::cell::Cell;

use pgrx::{pg_guard, pg_sys};

thread_local! {
    /// This transaction has emitted. Not undone by a rolled-back savepoint: an idle ring costs nothing, a lost one a poll.
    static EMITTED: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "C-unwind" {
    /// `commands/async.c`; not in pgrx' bindings.
    fn Async_Notify(channel: *const std::ffi::c_char, payload: *const std::ffi::c_char);
}

/// Above this share of the notification queue in use no more is added, so that a commit never fails for a full queue.
const QUEUE_LIMIT: f64 = 0.5;

/// Registers the transaction callback of this session.
pub fn register() {
    // SAFETY: the callback is a function of this library, which is never unloaded.
    unsafe { pg_sys::RegisterXactCallback(Some(at_transaction_event), std::ptr::null_mut()) };
}

/// The current transaction has appended an event.
pub fn emitted() {
    EMITTED.set(true);
}

#[pg_guard]
unsafe extern "C-unwind" fn at_transaction_event(
    event: pg_sys::XactEvent::Type,
    _argument: *mut std::ffi::c_void,
) {
    use pg_sys::XactEvent as E;
    match event {
        E::XACT_EVENT_PRE_COMMIT if EMITTED.get() => {
            hold_marker();
            if relay_sleeps() {
                // SAFETY: both texts are NUL-terminated; PreCommit_Notify runs after this callback.
                unsafe { Async_Notify(c"webhook".as_ptr(), c"".as_ptr()) };
            }
        }
        // NOTIFY is impossible with two-phase commit; the lock stays with the prepared transaction.
        E::XACT_EVENT_PRE_PREPARE if EMITTED.get() => hold_marker(),
        // Too late for errors here: only a flag is cleared.
        E::XACT_EVENT_COMMIT | E::XACT_EVENT_ABORT | E::XACT_EVENT_PREPARE => EMITTED.set(false),
        _ => {}
    }
}

fn relation_of_ours(name: &std::ffi::CStr) -> pg_sys::Oid {
    // SAFETY: both names are NUL-terminated.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"webhook".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    }
}

fn hold_marker() {
    let marker = relation_of_ours(c"committing");
    // Dropped together with the extension in this very transaction: nobody is left to wake.
    if marker != pg_sys::InvalidOid {
        // SAFETY: a relation's oid; released by Postgres after the commit is visible.
        unsafe { pg_sys::LockRelationOid(marker, pg_sys::RowExclusiveLock as i32) };
    }
}

/// Whether the bell is 1 and the queue has room. Reads the sequence's page, so no snapshot can make it stale.
fn relay_sleeps() -> bool {
    let bell = relation_of_ours(c"bell");
    if bell == pg_sys::InvalidOid {
        return false;
    }
    // SAFETY: a sequence has one page with one tuple, never moved; the page is pinned and share-locked while it is read.
    let armed = unsafe {
        let relation = pg_sys::relation_open(bell, pg_sys::AccessShareLock as i32);
        let buffer = pg_sys::ReadBuffer(relation, 0);
        pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
        let page = pg_sys::BufferGetPage(buffer).cast::<u8>();
        // The first line pointer follows the page header; its low 15 bits are the tuple's offset.
        let pointer =
            page.add(std::mem::offset_of!(pg_sys::PageHeaderData, pd_linp)).cast::<u32>().read_unaligned();
        let tuple = page.add((pointer & 0x7fff) as usize);
        #[allow(clippy::cast_ptr_alignment, reason = "tuples are aligned to 8 bytes on their page")]
        let header = tuple.cast::<pg_sys::HeapTupleHeaderData>();
        // The first column of a sequence is last_value, a bigint.
        let value = tuple.add(usize::from((*header).t_hoff)).cast::<i64>().read_unaligned();
        pg_sys::UnlockReleaseBuffer(buffer);
        pg_sys::relation_close(relation, pg_sys::AccessShareLock as i32);
        value == 1
    };
    armed && queue_usage() < QUEUE_LIMIT
}

fn queue_usage() -> f64 {
    // SAFETY: the function takes no arguments and returns a float8.
    unsafe { pgrx::direct_function_call::<f64>(pg_sys::pg_notification_queue_usage, &[]).unwrap_or(0.0) }
}
