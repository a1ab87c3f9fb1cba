//! Oids of the extension's own tables that every emitting transaction needs, kept until some table changes: finding one by
//! its name costs as much as locking it.

use std::{
    cell::Cell,
    ffi::{CStr, CString},
};

use pgrx::{pg_guard, pg_sys};

use crate::error::Error;

/// A table or sequence of schema `webhook`.
#[derive(Clone, Copy)]
pub enum Table {
    /// The outbox.
    Events,
    /// Its partition for days that have none.
    DefaultPartition,
    /// Locked by who is committing events; docs/wakeup.md.
    Committing,
    /// Whether the relay sleeps; docs/wakeup.md.
    Bell,
    /// Until when the bell counts; docs/wakeup.md.
    BellUntil,
    /// Which webhooks changed in which transaction.
    Changes,
}

const COUNT: usize = 6;

impl Table {
    const fn name(self) -> &'static CStr {
        match self {
            Self::Events => c"events",
            Self::DefaultPartition => c"events_default",
            Self::Committing => c"committing",
            Self::Bell => c"bell",
            Self::BellUntil => c"bell_until",
            Self::Changes => c"changes",
        }
    }

    /// Its oid; none when it does not exist, as after DROP EXTENSION.
    pub fn oid(self) -> Option<pg_sys::Oid> {
        let known = OIDS.get()[self as usize];
        if known != pg_sys::InvalidOid {
            return Some(known);
        }
        let oid = by_name(self.name())?;
        let mut oids = OIDS.get();
        oids[self as usize] = oid;
        OIDS.set(oids);
        Some(oid)
    }

    /// Its oid.
    pub fn must(self) -> pg_sys::Oid {
        self.oid().unwrap_or_else(|| self.missing())
    }

    /// Raises the error that it does not exist.
    pub fn missing(self) -> ! {
        let what = format!("table webhook.{} does not exist", self.name().to_string_lossy());
        Error::SchemaMismatch { what }.raise()
    }

    /// Locks it until the end of the transaction; none when it does not exist.
    pub fn lock(self, mode: u32) -> Option<pg_sys::Oid> {
        lock(mode, || self.oid())
    }
}

/// Locks the table that is found until the end of the transaction; none when none is.
pub fn lock(mode: u32, find: impl Fn() -> Option<pg_sys::Oid>) -> Option<pg_sys::Oid> {
    loop {
        let oid = find()?;
        // SAFETY: any oid may be locked; pending invalidations are taken in, so that the next look is of now.
        unsafe { pg_sys::LockRelationOid(oid, mode as i32) };
        if find() == Some(oid) {
            return Some(oid);
        }
    }
}

thread_local! {
    static OIDS: Cell<[pg_sys::Oid; COUNT]> = const { Cell::new([pg_sys::InvalidOid; COUNT]) };
    /// The last day's partition that was asked for: its number, and its oid if it has one.
    static PARTITION: Cell<Option<(i64, Option<pg_sys::Oid>)>> = const { Cell::new(None) };
    static CHANGES: Cell<u64> = const { Cell::new(0) };
}

/// A number that grows when some table changes: what was learnt of tables before that may be wrong.
pub fn changes() -> u64 {
    CHANGES.get()
}

/// Registers the invalidation of kept oids in this session.
pub fn register() {
    // SAFETY: the callback is a function of this library, which is never unloaded.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(forget), pg_sys::Datum::null()) };
}

#[pg_guard]
unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, _relation: pg_sys::Oid) {
    OIDS.set([pg_sys::InvalidOid; COUNT]);
    PARTITION.set(None);
    CHANGES.set(CHANGES.get() + 1);
}

/// The partition of a day, which has that name, if there is one.
pub fn partition(day: i64, name: impl FnOnce() -> CString) -> Option<pg_sys::Oid> {
    if let Some((known, oid)) = PARTITION.get()
        && known == day
    {
        return oid;
    }
    // SAFETY: reads the catalogue.
    let oid = by_name(&name()).filter(|oid| unsafe { pg_sys::get_rel_relispartition(*oid) });
    PARTITION.set(Some((day, oid)));
    oid
}

fn by_name(name: &CStr) -> Option<pg_sys::Oid> {
    // SAFETY: both names are NUL-terminated.
    let oid = unsafe {
        pg_sys::get_relname_relid(name.as_ptr(), pg_sys::get_namespace_oid(c"webhook".as_ptr(), true))
    };
    (oid != pg_sys::InvalidOid).then_some(oid)
}
