//! WAL positions: the order of events, and the durability barrier of the reader.

use pgrx::{pg_extern, pg_sys, prelude::*};

use crate::unguarded;

/// The WAL insert position: grows with every change of any session.
pub fn position() -> u64 {
    // SAFETY: reads shared memory under Postgres' own spinlock.
    unsafe { unguarded::GetXLogInsertRecPtr() }
}

#[pg_extern(sql = false)]
fn _wal_mark() -> TableIterator<'static, (name!(lsn, i64), name!(next_xid, i64))> {
    // The order matters: whoever gets an xid from next_xid on does so after lsn was passed.
    let lsn = position();
    // SAFETY: reads shared memory under XidGenLock.
    let next = unsafe { pg_sys::ReadNextFullTransactionId() };
    TableIterator::once((lsn as i64, next.value as i64))
}

#[pg_extern(sql = false)]
fn _flush_wal() {
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
