//! Rows that wait to be inserted together.
//!
//! A row belongs to the subtransaction that emitted it and must be inserted under it: so there is one batch per
//! subtransaction, inserted before it commits and dropped when it rolls back. A query inside a later subtransaction (as of
//! PL/pgSQL's exception blocks) must see the earlier rows too: then they are inserted under that one, and once more if it
//! rolls back.

use std::cell::{Cell, RefCell};

use pgrx::{pg_guard, pg_sys};

use super::{COLUMNS, insert::insert_rows, partition::Day};
use crate::{tables, unguarded};

/// So many rows, or so many bytes, are inserted without waiting for more.
const MOST_ROWS: usize = 500;
const MOST_BYTES: usize = 1024 * 1024;

/// Blocks stay below malloc's threshold for mapping fresh pages (128 KiB), which the kernel would clear for every batch.
pub const LARGEST_BLOCK: usize = 64 * 1024;

/// Rows of one subtransaction and one day's partition.
struct Batch {
    subtransaction: pg_sys::SubTransactionId,
    day: Day,
    /// The command that emitted last: as its rows they are visible to every later command, also to one whose snapshot was
    /// taken just before they are inserted.
    command: pg_sys::CommandId,
    rows: Vec<pg_sys::HeapTuple>,
    bytes: usize,
    /// The later subtransaction under which the rows are inserted, for as long as it may roll back.
    shown_in: Option<pg_sys::SubTransactionId>,
    memory: pg_sys::MemoryContext,
}

impl Batch {
    fn new(subtransaction: pg_sys::SubTransactionId, day: Day, command: pg_sys::CommandId) -> Self {
        // SAFETY: the parent lives until the transaction has ended and every batch with it.
        let memory = unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::TopTransactionContext,
                c"webhook events".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                LARGEST_BLOCK,
            )
        };
        Self { subtransaction, day, command, rows: Vec::new(), bytes: 0, shown_in: None, memory }
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= MOST_ROWS || self.bytes >= MOST_BYTES
    }

    fn insert(&self) {
        insert_rows(self.day, self.command, &self.rows);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: the rows are nowhere else.
        unsafe { pg_sys::MemoryContextDelete(self.memory) };
    }
}

thread_local! {
    static BATCHES: RefCell<Vec<Batch>> = const { RefCell::new(Vec::new()) };
    /// The shape of a row, and how many changes of tables had come before it was taken.
    static SHAPE: Cell<(u64, pg_sys::TupleDesc)> = const { Cell::new((0, std::ptr::null_mut())) };
}

/// Registers the callbacks of this session.
pub fn register() {
    // SAFETY: the callbacks are functions of this library, which is never unloaded.
    unsafe {
        pg_sys::RegisterXactCallback(Some(at_transaction_event), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(at_subtransaction_event), std::ptr::null_mut());
    }
}

/// Adds a row. Its values are copied.
pub fn push(at: pg_sys::TimestampTz, columns: &[Option<pg_sys::Datum>; COLUMNS]) {
    let day = Day::of(at);
    // SAFETY: reads the current numbers; the command's counts as used from here on.
    let (subtransaction, command) =
        unsafe { (unguarded::GetCurrentSubTransactionId(), pg_sys::GetCurrentCommandId(true)) };
    let other_day = BATCHES.with_borrow(|batches| {
        batches.last().is_some_and(|last| last.subtransaction == subtransaction && last.day != day)
    });
    if other_day {
        flush();
    }
    learn_shape();
    let full = BATCHES.with_borrow_mut(|batches| {
        if batches.last().is_none_or(|last| last.subtransaction != subtransaction) {
            batches.push(Batch::new(subtransaction, day, command));
        }
        let last = batches.last_mut().expect("a batch of this subtransaction");
        let row = form_row(columns, last.memory);
        last.command = command;
        // SAFETY: a tuple that was just formed.
        last.bytes += unsafe { (*row).t_len } as usize;
        last.rows.push(row);
        last.is_full()
    });
    if full {
        flush();
    }
}

/// Whether any row waits.
pub fn is_empty() -> bool {
    BATCHES.with_borrow(Vec::is_empty)
}

/// Inserts the rows of the current subtransaction.
pub fn flush() {
    // SAFETY: reads the current subtransaction's number.
    let subtransaction = unsafe { unguarded::GetCurrentSubTransactionId() };
    let batch =
        BATCHES.with_borrow_mut(|batches| batches.pop_if(|last| last.subtransaction == subtransaction));
    if let Some(batch) = batch {
        batch.insert();
    }
}

/// Inserts all rows that wait, so that the next command sees them.
pub fn show() {
    flush();
    // SAFETY: reads the current subtransaction's number.
    let subtransaction = unsafe { unguarded::GetCurrentSubTransactionId() };
    // Not borrowed meanwhile: functions of an operator's indexes may run queries, or even emit.
    let mut kept = Kept(BATCHES.take());
    for batch in kept.0.iter_mut().filter(|batch| batch.shown_in.is_none()) {
        batch.insert();
        batch.shown_in = Some(subtransaction);
    }
}

/// Batches that go back before those that came in the meantime, also after an error.
struct Kept(Vec<Batch>);

impl Drop for Kept {
    fn drop(&mut self) {
        with_batches(|batches| {
            self.0.append(batches);
            *batches = std::mem::take(&mut self.0);
        });
    }
}

/// Takes the shape again after some table changed: DROP and CREATE EXTENSION, say, make another row type.
fn learn_shape() {
    let (known, shape) = SHAPE.get();
    let changes = tables::changes();
    if !shape.is_null() {
        if known == changes {
            return;
        }
        SHAPE.set((0, std::ptr::null_mut()));
        // SAFETY: a copy of our own, which nobody has any more.
        unsafe { pg_sys::FreeTupleDesc(shape) };
    }
    SHAPE.set((changes, super::insert::shape()));
}

fn form_row(columns: &[Option<pg_sys::Datum>; COLUMNS], memory: pg_sys::MemoryContext) -> pg_sys::HeapTuple {
    // SAFETY: the context is the batch's; values have the shape's types.
    unsafe {
        let before = pg_sys::MemoryContextSwitchTo(memory);
        let values = columns.map(|column| column.unwrap_or(pg_sys::Datum::null()));
        let nulls = columns.map(|column| column.is_none());
        let row =
            pg_sys::heap_form_tuple(SHAPE.get().1, values.as_ptr().cast_mut(), nulls.as_ptr().cast_mut());
        pg_sys::MemoryContextSwitchTo(before);
        row
    }
}

/// Changes what waits, from where no error may come.
fn with_batches(change: impl FnOnce(&mut Vec<Batch>)) {
    BATCHES.with(|batches| {
        if let Ok(mut batches) = batches.try_borrow_mut() {
            change(&mut batches);
        }
    });
}

#[pg_guard]
unsafe extern "C-unwind" fn at_transaction_event(
    event: pg_sys::XactEvent::Type,
    _argument: *mut std::ffi::c_void,
) {
    use pg_sys::XactEvent as E;
    match event {
        E::XACT_EVENT_PRE_COMMIT | E::XACT_EVENT_PRE_PREPARE => flush(),
        E::XACT_EVENT_COMMIT | E::XACT_EVENT_ABORT | E::XACT_EVENT_PREPARE => with_batches(Vec::clear),
        _ => {}
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_subtransaction_event(
    event: pg_sys::SubXactEvent::Type,
    subtransaction: pg_sys::SubTransactionId,
    parent: pg_sys::SubTransactionId,
    _argument: *mut std::ffi::c_void,
) {
    use pg_sys::SubXactEvent as E;
    match event {
        E::SUBXACT_EVENT_PRE_COMMIT_SUB => flush(),
        E::SUBXACT_EVENT_COMMIT_SUB => with_batches(|batches| {
            for batch in batches.iter_mut().filter(|batch| batch.shown_in == Some(subtransaction)) {
                batch.shown_in = Some(parent);
            }
            batches.retain(|batch| batch.shown_in != Some(batch.subtransaction));
        }),
        // Numbers only rise, so those from here on are this subtransaction and what was inside it.
        E::SUBXACT_EVENT_ABORT_SUB => with_batches(|batches| {
            batches.retain(|batch| batch.subtransaction < subtransaction);
            for batch in batches.iter_mut() {
                batch.shown_in = batch.shown_in.filter(|shown_in| *shown_in < subtransaction);
            }
        }),
        _ => {}
    }
}
