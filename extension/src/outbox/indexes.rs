//! Index entries for rows that were just inserted.

use pgrx::pg_sys;

use crate::unguarded;

/// Adds the rows to all indexes of the relation.
///
/// # Safety
/// Runs inside a guard, in a memory context to leave things in; the slots hold rows that were just inserted into the open
/// relation.
pub unsafe fn insert(relation: pg_sys::Relation, slots: &[*mut pg_sys::TupleTableSlot]) {
    // SAFETY: CatalogOpenIndexes only opens them and is right for any plain heap; its arrays have ri_NumIndices entries.
    unsafe {
        let state = unguarded::CatalogOpenIndexes(relation);
        let count = (*state).ri_NumIndices as usize;
        if count == 0 {
            return;
        }
        let infos = std::slice::from_raw_parts((*state).ri_IndexRelationInfo, count);
        if infos.iter().all(|info| is_plain(*info)) {
            let indexes = std::slice::from_raw_parts((*state).ri_IndexRelationDescs, count);
            plain(relation, indexes, infos, slots);
            // Their locks go with the others at the end of the transaction, which costs a third of giving them back now.
            for index in indexes {
                unguarded::index_close(*index, pg_sys::NoLock as i32);
            }
        } else {
            by_executor(state, slots);
            unguarded::CatalogCloseIndexes(state);
        }
    }
}

/// Neither expressions nor a predicate nor an exclusion constraint: ours, unless an operator adds some.
///
/// # Safety
/// The info is one of an open index.
unsafe fn is_plain(info: *mut pg_sys::IndexInfo) -> bool {
    // SAFETY: as promised by the caller.
    unsafe {
        (*info).ii_Expressions.is_null()
            && (*info).ii_Predicate.is_null()
            && (*info).ii_ExclusionOps.is_null()
            && (*info).ii_ReadyForInserts
    }
}

/// One index after the other, so that each stays in the processor's cache. Plain ones need no executor state.
///
/// # Safety
/// As [`insert`]; the indexes are open and plain.
unsafe fn plain(
    relation: pg_sys::Relation,
    indexes: &[pg_sys::Relation],
    infos: &[*mut pg_sys::IndexInfo],
    slots: &[*mut pg_sys::TupleTableSlot],
) {
    let mut values = [pg_sys::Datum::null(); pg_sys::INDEX_MAX_KEYS as usize];
    let mut nulls = [false; pg_sys::INDEX_MAX_KEYS as usize];
    let (values, nulls) = (values.as_mut_ptr(), nulls.as_mut_ptr());
    for (index, info) in indexes.iter().zip(infos) {
        // SAFETY: as promised by the caller; the arrays have room for an index's columns.
        unsafe {
            let unique = if (*(**index).rd_index).indisunique {
                pg_sys::IndexUniqueCheck::UNIQUE_CHECK_YES
            } else {
                pg_sys::IndexUniqueCheck::UNIQUE_CHECK_NO
            };
            for slot in slots {
                let place = &raw mut (**slot).tts_tid;
                unguarded::FormIndexDatum(*info, *slot, std::ptr::null_mut(), values, nulls);
                unguarded::index_insert(*index, values, nulls, place, relation, unique, false, *info);
            }
            if pg_sys::InterruptPending != 0 {
                unguarded::ProcessInterrupts();
            }
        }
    }
}

/// As INSERT does it, for every kind of index. Their functions may ask for a snapshot, of which there is none at commit.
///
/// # Safety
/// As [`insert`]; the state has the relation's open indexes.
unsafe fn by_executor(state: *mut pg_sys::ResultRelInfo, slots: &[*mut pg_sys::TupleTableSlot]) {
    let (no_conflict, no_arbiters) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: as promised by the caller; the executor state is used for this alone and freed.
    unsafe {
        let bare = !unguarded::ActiveSnapshotSet();
        if bare {
            unguarded::PushActiveSnapshot(unguarded::GetTransactionSnapshot());
        }
        let executor = unguarded::CreateExecutorState();
        for slot in slots {
            #[cfg(feature = "pg15")]
            unguarded::ExecInsertIndexTuples(state, *slot, executor, false, false, no_conflict, no_arbiters);
            #[cfg(not(feature = "pg15"))]
            unguarded::ExecInsertIndexTuples(
                state,
                *slot,
                executor,
                false,
                false,
                no_conflict,
                no_arbiters,
                false,
            );
            let context = (*executor).es_per_tuple_exprcontext;
            if !context.is_null() {
                unguarded::MemoryContextReset((*context).ecxt_per_tuple_memory);
            }
            if pg_sys::InterruptPending != 0 {
                unguarded::ProcessInterrupts();
            }
        }
        unguarded::FreeExecutorState(executor);
        if bare {
            unguarded::PopActiveSnapshot();
        }
    }
}
