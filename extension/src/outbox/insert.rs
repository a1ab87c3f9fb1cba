//! Putting rows into their partition and its indexes, without an executor.

use pgrx::pg_sys;

use super::{
    COLUMNS, indexes,
    partition::{Day, Partition},
};
use crate::{error::Error, tables::Table, unguarded};

/// A copy of the row type of `webhook.events` that lives as long as the session.
pub fn shape() -> pg_sys::TupleDesc {
    // SAFETY: the parent table is opened, copied from, and closed again. Its lock goes, as new partitions need it alone, and what
    // changes afterwards is noticed as it is in later transactions, which do not lock it.
    unsafe {
        let parent = pg_sys::table_open(Table::Events.must(), pg_sys::AccessShareLock as i32);
        let columns = (*(*parent).rd_att).natts;
        if columns != COLUMNS as i32 {
            Error::SchemaMismatch {
                what: format!("webhook.events has {columns} columns instead of {COLUMNS}"),
            }
            .raise();
        }
        let before = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
        let copy = pg_sys::CreateTupleDescCopy((*parent).rd_att);
        pg_sys::MemoryContextSwitchTo(before);
        pg_sys::table_close(parent, pg_sys::AccessShareLock as i32);
        copy
    }
}

/// Inserts rows of one day, as rows of the given command.
pub fn insert_rows(day: Day, command: pg_sys::CommandId, rows: &[pg_sys::HeapTuple]) {
    let partition = Partition::open(day);
    // SAFETY: the relation is open and locked, the tuples have its row type, and everything allocated here goes with the
    // context at the end. The guarded closure and what it calls own nothing that is dropped.
    unsafe {
        let memory = pg_sys::AllocSetContextCreateInternal(
            pg_sys::CurrentMemoryContext,
            c"webhook insert".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            super::batch::LARGEST_BLOCK,
        );
        let before = pg_sys::MemoryContextSwitchTo(memory);
        let relation = partition.relation();
        let descriptor = pg_sys::CreateTupleDescCopy((*relation).rd_att);
        pg_sys::ffi::pg_guard_ffi_boundary(|| insert(relation, descriptor, command, rows));
        pg_sys::MemoryContextSwitchTo(before);
        pg_sys::MemoryContextDelete(memory);
    }
}

/// # Safety
/// Runs inside a guard, with an open relation, a copy of its row type, and a memory context to leave things in.
unsafe fn insert(
    relation: pg_sys::Relation,
    descriptor: pg_sys::TupleDesc,
    command: pg_sys::CommandId,
    rows: &[pg_sys::HeapTuple],
) {
    // SAFETY: as promised by the caller; the array has one place per row.
    unsafe {
        let slots: *mut *mut pg_sys::TupleTableSlot = unguarded::palloc(size_of_val(rows)).cast();
        for (n, row) in rows.iter().enumerate() {
            let slot = unguarded::MakeTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsHeapTuple);
            *slots.add(n) = unguarded::ExecStoreHeapTuple(*row, slot, false);
        }
        unguarded::heap_multi_insert(relation, slots, rows.len() as i32, command, 0, std::ptr::null_mut());
        indexes::insert(relation, std::slice::from_raw_parts(slots, rows.len()));
    }
}
