//! Waking the relay without a NOTIFY on every commit: the doorbell of docs/wakeup.md, emitter's side.
//!
//! Before commit, once per transaction that emitted: take a ROW EXCLUSIVE lock on `webhook.committing` (it says "my rows
//! will be visible soon"), then look at the bell; only if it is 1, a relay sleeps and gets a NOTIFY. The lock is released
//! after the rows are visible, so a relay that armed the bell too late for us sees the lock and stays drowsy. A sleeping
//! relay goes on saying so: a bell that was left alone is not rung.

use std::cell::Cell;

use pgrx::{pg_extern, pg_guard, pg_sys};

use crate::{ids, tables::Table};

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

/// The advisory lock that the leading relay holds in its session: `pgwebhk` and a NUL.
const LEADER_LOCK: i64 = i64::from_be_bytes(*b"pgwebhk\0");

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

fn hold_marker() {
    // It does not exist when the extension is dropped in this very transaction: nobody is left to wake.
    let _ = Table::Committing.lock(pg_sys::RowExclusiveLock);
}

/// Whether the bell is 1, its time is not over, somebody leads and the queue has room.
fn relay_sleeps() -> bool {
    last_value(Table::Bell) == Some(1) && bell_counts() && somebody_leads() && queue_usage() < QUEUE_LIMIT
}

/// Whether the relay that switched the bell on said so lately.
fn bell_counts() -> bool {
    match last_value(Table::BellUntil) {
        None | Some(0) => true,
        Some(until) => {
            // SAFETY: reads the clock.
            let now = unsafe { pg_sys::GetCurrentTimestamp() } + ids::POSTGRES_EPOCH_MICROS;
            now <= until.saturating_mul(1000)
        }
    }
}

/// Reads the sequence's page, so no snapshot can make it stale; none when it does not exist.
fn last_value(sequence: Table) -> Option<i64> {
    let oid = sequence.oid()?;
    // SAFETY: a sequence has one page with one tuple, never moved; the page is pinned and share-locked while it is read.
    // Under the lock on `committing` the extension cannot be dropped, so the sequence needs none of its own.
    unsafe {
        let relation = pg_sys::RelationIdGetRelation(oid);
        if relation.is_null() {
            return None;
        }
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
        pg_sys::RelationClose(relation);
        Some(value)
    }
}

/// Whether some relay holds the leader's lock. A relay that died in its sleep left the bell on, and without this every
/// commit would go on notifying nobody, one commit per flush. The next leader reads before it sleeps.
fn somebody_leads() -> bool {
    let tag = leader_tag();
    let (mode, session) = (pg_sys::ShareLock as i32, false);
    // SAFETY: an advisory lock is only tried, and given back at once.
    unsafe {
        let got = pg_sys::LockAcquire(&raw const tag, mode, session, true);
        if got == pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL {
            return true;
        }
        pg_sys::LockRelease(&raw const tag, mode, session);
        false
    }
}

/// The tag of `pg_advisory_lock(LEADER_LOCK)`.
fn leader_tag() -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        // SAFETY: set for the life of a backend.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: (LEADER_LOCK >> 32) as u32,
        locktag_field3: LEADER_LOCK as u32,
        locktag_field4: 1,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
    }
}

#[pg_extern(sql = false, immutable, parallel_safe)]
fn _lock() -> i64 {
    LEADER_LOCK
}

fn queue_usage() -> f64 {
    // SAFETY: the function takes no arguments and returns a float8.
    unsafe { pgrx::direct_function_call::<f64>(pg_sys::pg_notification_queue_usage, &[]).unwrap_or(0.0) }
}
