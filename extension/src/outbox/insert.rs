//! Putting rows into their partition and its indexes, without an executor.

use pgrx::pg_sys;

use super::{
    COLUMNS,
    partition::{Day, Partition},
};
use crate::{error::Error, tables::Table, unguarded};

/// A copy of the row type of `webhook.events` that lives as long as the session.
pub fn shape() -> pg_sys::TupleDesc {
    // SAFETY: the parent table is opened, copied from, and closed again; its lock stays.
    unsafe {
        let parent = pg_sys::table_open(Table::Events.must(), pg_sys::RowExclusiveLock as i32);
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
        pg_sys::table_close(parent, pg_sys::NoLock as i32);
        copy
    }
}

/// Inserts rows of one day, as rows of the given command.
pub fn insert_rows(day: &Day, command: pg_sys::CommandId, rows: &[pg_sys::HeapTuple]) {
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
        insert_index_entries(relation, std::slice::from_raw_parts(slots, rows.len()));
    }
}

/// One index after the other, so that each stays in the processor's cache.
///
/// # Safety
/// Runs inside a guard; the slots hold rows that were just inserted into the open relation.
unsafe fn insert_index_entries(relation: pg_sys::Relation, slots: &[*mut pg_sys::TupleTableSlot]) {
    // SAFETY: CatalogOpenIndexes only opens them and is right for any plain heap; its arrays have ri_NumIndices entries. The
    // indexes of webhook.events have neither expressions nor predicates, so no executor state is needed.
    unsafe {
        let state = unguarded::CatalogOpenIndexes(relation);
        let mut values = [pg_sys::Datum::null(); pg_sys::INDEX_MAX_KEYS as usize];
        let mut nulls = [false; pg_sys::INDEX_MAX_KEYS as usize];
        for n in 0..(*state).ri_NumIndices as usize {
            let index = *(*state).ri_IndexRelationDescs.add(n);
            let info = *(*state).ri_IndexRelationInfo.add(n);
            let unique = if (*(*index).rd_index).indisunique {
                pg_sys::IndexUniqueCheck::UNIQUE_CHECK_YES
            } else {
                pg_sys::IndexUniqueCheck::UNIQUE_CHECK_NO
            };
            let (values, nulls) = (values.as_mut_ptr(), nulls.as_mut_ptr());
            for slot in slots {
                let place = &raw mut (**slot).tts_tid;
                unguarded::FormIndexDatum(info, *slot, std::ptr::null_mut(), values, nulls);
                unguarded::index_insert(index, values, nulls, place, relation, unique, false, info);
            }
            if pg_sys::InterruptPending != 0 {
                unguarded::ProcessInterrupts();
            }
        }
        unguarded::CatalogCloseIndexes(state);
    }
}
