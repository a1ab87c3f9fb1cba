//! The partition of `webhook.events` that a moment belongs to.

use pgrx::pg_sys;

use crate::error::Error;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A day in UTC, as days since 2000-01-01.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Day(i64);

impl Day {
    /// The day of a time in microseconds since 2000.
    pub fn of(at: pg_sys::TimestampTz) -> Self {
        Self(at.div_euclid(MICROS_PER_DAY))
    }

    /// `events_YYYYMMDD`, NUL-terminated.
    fn partition_name(self) -> [u8; 16] {
        let (mut year, mut month, mut date) = (0, 0, 0);
        // SAFETY: writes three integers.
        unsafe {
            let julian = self.0 as i32 + pg_sys::POSTGRES_EPOCH_JDATE as i32;
            pg_sys::j2date(julian, &raw mut year, &raw mut month, &raw mut date);
        }
        let mut name = *b"events_00000000\0";
        let mut digits = year * 10_000 + month * 100 + date;
        for place in (7..15).rev() {
            name[place] = b'0' + (digits % 10) as u8;
            digits /= 10;
        }
        name
    }
}

/// An open partition, locked ROW EXCLUSIVE until the end of the transaction.
pub struct Partition(pg_sys::Relation);

impl Partition {
    /// The partition of a day if there is one, else the default one.
    pub fn open(day: &Day) -> Self {
        // SAFETY: names are NUL-terminated; a lock is taken before the relation is used.
        unsafe {
            pg_sys::LockRelationOid(parent(), pg_sys::RowExclusiveLock as i32);
            // Having the parent's lock nobody can attach or drop a partition, so what the name says now stays true.
            let mut oid = find(day.partition_name().as_ptr().cast());
            if oid == pg_sys::InvalidOid {
                oid = must_find(c"events_default");
            }
            Self(pg_sys::table_open(oid, pg_sys::RowExclusiveLock as i32))
        }
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

/// The oid of `webhook.events`.
pub fn parent() -> pg_sys::Oid {
    must_find(c"events")
}

fn must_find(name: &std::ffi::CStr) -> pg_sys::Oid {
    // SAFETY: the name is NUL-terminated.
    let oid = unsafe { find(name.as_ptr()) };
    if oid == pg_sys::InvalidOid {
        Error::SchemaMismatch { what: format!("table webhook.{} does not exist", name.to_string_lossy()) }
            .raise();
    }
    oid
}

unsafe fn find(name: *const std::ffi::c_char) -> pg_sys::Oid {
    // SAFETY: both names are NUL-terminated.
    unsafe { pg_sys::get_relname_relid(name, pg_sys::get_namespace_oid(c"webhook".as_ptr(), true)) }
}
