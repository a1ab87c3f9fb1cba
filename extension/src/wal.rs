//! WAL positions: the order of events, and the durability barrier of the reader.

use pgrx::{pg_extern, pg_sys, prelude::*};

use crate::unguarded;

/// The WAL insert position: grows with every change of any session.
pub fn position() -> u64 {
    // SAFETY: reads shared memory under Postgres' own spinlock.
    unsafe { unguarded::GetXLogInsertRecPtr() }
}

/// First the WAL insert position, then the next transaction id: what any transaction from that one on emits lies at or after the position.
pub fn mark() -> (i64, i64) {
    // The order matters: whoever gets an xid from next_xid on does so after lsn was passed.
    let lsn = position();
    // SAFETY: reads shared memory under XidGenLock.
    let next = unsafe { pg_sys::ReadNextFullTransactionId() };
    (lsn as i64, next.value as i64)
}

/// For the tables of 0.1, which ask for it in SQL.
#[pg_extern(sql = false)]
fn _wal_mark() -> TableIterator<'static, (name!(lsn, i64), name!(next_xid, i64))> {
    TableIterator::once(mark())
}

#[pg_extern(sql = false)]
fn _flush_wal() {
    flush_all();
    replicate();
}

fn flush_all() {
    let page = u64::from(pg_sys::XLOG_BLCKSZ);
    let mut end = position();
    // At a page's start the insert position lies after the header that is not written yet (24 bytes, 40 at the start of a
    // segment); XLogFlush refuses a position past what was written.
    let into_page = end % page;
    if into_page == 24 || into_page == 40 {
        end -= into_page;
    }
    // SAFETY: end is at most the end of the WAL written so far.
    unsafe { pg_sys::XLogFlush(end) };
}

/// Postgres keeps one position for so many transactions (`CLOG_XACTS_PER_LSN_GROUP` in clog.c).
const GROUP: u64 = 32;
/// Of more transactions than this nobody asks one by one: the reader is behind, and a flush is cheaper.
const MANY: u64 = 65_536;

/// Returns when the commits of transactions from the first to before the second are on disk and on the synchronous standbys: at once,
/// unless one did not wait for that. A flush that is not needed is not free: it is one more in a row of which each waits for the one before.
pub fn make_durable(from: i64, to: i64) {
    flush_commits(from, to);
    replicate();
}

fn flush_commits(from: i64, to: i64) {
    let (from, to) = (oldest_known().max(from as u64), to as u64);
    if to.saturating_sub(from) > MANY {
        return flush_all();
    }
    // SAFETY: these transactions have begun, and their status is not forgotten (should that happen this very moment, it is
    // an ERROR, and the relay reads again).
    let asynchronous = (from / GROUP..to.div_ceil(GROUP)).map(|group| unsafe {
        let mut position = 0;
        let first = pg_sys::TransactionId::from_inner(from.max(group * GROUP) as u32);
        pg_sys::TransactionIdGetStatus(first, &raw mut position);
        position
    });
    if let Some(furthest) = asynchronous.max() {
        // SAFETY: a position at which a commit was written, or 0.
        unsafe { pg_sys::XLogFlush(furthest) };
    }
}

/// Waits until the synchronous standbys, if there are any, have what is on disk here. A commit that did not wait for them, or one that
/// became visible by a restart in the midst of its waiting, could be lost by a failover.
fn replicate() {
    // SAFETY: what a commit does, which holds interrupts too: it heeds them itself. Nothing in it raises.
    unsafe {
        pg_sys::InterruptHoldoffCount += 1;
        pg_sys::SyncRepWaitForLSN(pg_sys::GetFlushRecPtr(std::ptr::null_mut()), true);
        pg_sys::InterruptHoldoffCount -= 1;
    }
}

/// The oldest transaction of which Postgres still knows whether it committed, with the epoch.
fn oldest_known() -> u64 {
    // SAFETY: shared memory of the server; a number of 32 bits is read at once.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        let oldest = (&raw const (*pg_sys::ShmemVariableCache).oldestClogXid).read_volatile();
        #[cfg(not(any(feature = "pg15", feature = "pg16")))]
        let oldest = (&raw const (*pg_sys::TransamVariables).oldestClogXid).read_volatile();
        let next = pg_sys::ReadNextFullTransactionId().value;
        next - u64::from((next as u32).wrapping_sub(oldest.into_inner()))
    }
}
