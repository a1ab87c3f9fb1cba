//! The partition of `webhook.events` that a moment belongs to.

use std::ffi::CString;

use pgrx::pg_sys;

use crate::tables::{self, Table};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A day in UTC, as days since 2000-01-01.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Day(i64);

impl Day {
    /// The day of a time in microseconds since 2000.
    pub fn of(at: pg_sys::TimestampTz) -> Self {
        Self(at.div_euclid(MICROS_PER_DAY))
    }

    /// `events_YYYYMMDD`.
    fn partition_name(self) -> CString {
        let (mut year, mut month, mut date) = (0, 0, 0);
        // SAFETY: writes three integers.
        unsafe {
            let julian = self.0 as i32 + pg_sys::POSTGRES_EPOCH_JDATE as i32;
            pg_sys::j2date(julian, &raw mut year, &raw mut month, &raw mut date);
        }
        let mut name = *b"events_00000000";
        let mut digits = year * 10_000 + month * 100 + date;
        for place in (7..15).rev() {
            name[place] = b'0' + (digits % 10) as u8;
            digits /= 10;
        }
        CString::new(name).expect("letters and digits")
    }
}

/// An open partition, locked ROW EXCLUSIVE until the end of the transaction.
pub struct Partition(pg_sys::Relation);

impl Partition {
    /// The partition of a day if there is one, else the default one.
    pub fn open(day: Day) -> Self {
        // With its lock nobody can drop or detach the day's, and with the default one's nobody can attach the day's.
        let find =
            || tables::partition(day.0, || day.partition_name()).or_else(|| Table::DefaultPartition.oid());
        let oid =
            tables::lock(pg_sys::RowExclusiveLock, find).unwrap_or_else(|| Table::DefaultPartition.missing());
        // SAFETY: it is locked.
        Self(unsafe { pg_sys::table_open(oid, pg_sys::NoLock as i32) })
    }

    /// The open relation.
    pub fn relation(&self) -> pg_sys::Relation {
        self.0
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        // After an error Postgres closes it itself.
        if !std::thread::panicking() {
            // SAFETY: opened in `open`; the lock stays until the end of the transaction.
            unsafe { pg_sys::table_close(self.0, pg_sys::NoLock as i32) };
        }
    }
}
