//! Functions of Postgres that run for every row, declared without pgrx' guard.
//!
//! The guard (a `sigsetjmp` and the saving of Postgres' error stack, some 25 ns) turns an ERROR into a panic. A capture calls
//! these a dozen times per row. They are safe without it in one of two ways, named at each.

use pgrx::pg_sys;

unsafe extern "C-unwind" {
    // These read variables or take a tuple apart, and never raise.
    pub fn GetXLogInsertRecPtr() -> pg_sys::XLogRecPtr;
    pub fn GetCurrentSubTransactionId() -> pg_sys::SubTransactionId;
    pub fn GetTopFullTransactionIdIfAny() -> pg_sys::FullTransactionId;
    pub fn heap_deform_tuple(
        tuple: pg_sys::HeapTuple,
        descriptor: pg_sys::TupleDesc,
        values: *mut pg_sys::Datum,
        nulls: *mut bool,
    );

    // These may raise: only inside one guard around many of them, whose frames own nothing that would have to be dropped.
    pub fn MakeTupleTableSlot(
        descriptor: pg_sys::TupleDesc,
        operations: *const pg_sys::TupleTableSlotOps,
    ) -> *mut pg_sys::TupleTableSlot;
    pub fn ExecStoreHeapTuple(
        tuple: pg_sys::HeapTuple,
        slot: *mut pg_sys::TupleTableSlot,
        free: bool,
    ) -> *mut pg_sys::TupleTableSlot;
    pub fn palloc(size: usize) -> *mut std::ffi::c_void;
    pub fn heap_multi_insert(
        relation: pg_sys::Relation,
        slots: *mut *mut pg_sys::TupleTableSlot,
        count: std::ffi::c_int,
        command: pg_sys::CommandId,
        options: std::ffi::c_int,
        bulk: pg_sys::BulkInsertState,
    );
    pub fn CatalogOpenIndexes(relation: pg_sys::Relation) -> *mut pg_sys::ResultRelInfo;
    pub fn CatalogCloseIndexes(state: *mut pg_sys::ResultRelInfo);
    pub fn index_close(index: pg_sys::Relation, lock: pg_sys::LOCKMODE);
    pub fn FormIndexDatum(
        info: *mut pg_sys::IndexInfo,
        slot: *mut pg_sys::TupleTableSlot,
        state: *mut pg_sys::EState,
        values: *mut pg_sys::Datum,
        nulls: *mut bool,
    );
    pub fn index_insert(
        index: pg_sys::Relation,
        values: *mut pg_sys::Datum,
        nulls: *mut bool,
        place: pg_sys::ItemPointer,
        relation: pg_sys::Relation,
        unique: pg_sys::IndexUniqueCheck::Type,
        unchanged: bool,
        info: *mut pg_sys::IndexInfo,
    ) -> bool;
    pub fn ActiveSnapshotSet() -> bool;
    pub fn GetTransactionSnapshot() -> pg_sys::Snapshot;
    pub fn PushActiveSnapshot(snapshot: pg_sys::Snapshot);
    pub fn PopActiveSnapshot();
    pub fn CreateExecutorState() -> *mut pg_sys::EState;
    pub fn FreeExecutorState(state: *mut pg_sys::EState);
    pub fn MemoryContextReset(context: pg_sys::MemoryContext);
    pub fn ExecInsertIndexTuples(
        relation: *mut pg_sys::ResultRelInfo,
        slot: *mut pg_sys::TupleTableSlot,
        state: *mut pg_sys::EState,
        update: bool,
        no_duplicate_error: bool,
        conflict: *mut bool,
        arbiters: *mut pg_sys::List,
        #[cfg(not(feature = "pg15"))] only_summarizing: bool,
    ) -> *mut pg_sys::List;
    pub fn ProcessInterrupts();
}
