//! Rows of a table in the order of an index, as the statement's snapshot shows them.

use std::rc::Rc;

use pgrx::{check_for_interrupts, pg_sys};

use super::indexed::Indexed;
use crate::unguarded;

/// What a column of the rows must be.
#[derive(Clone, Copy)]
pub struct Key {
    column: i16,
    strategy: u32,
    procedure: u32,
    number: i64,
}

impl Key {
    /// A bigint of at least that.
    pub fn from(column: i16, number: i64) -> Self {
        Self { column, strategy: pg_sys::BTGreaterEqualStrategyNumber, procedure: pg_sys::F_INT8GE, number }
    }

    /// This transaction or a later one.
    pub fn xid_from(column: i16, number: i64) -> Self {
        Self { column, strategy: pg_sys::BTGreaterEqualStrategyNumber, procedure: pg_sys::F_XID8GE, number }
    }

    /// This transaction.
    pub fn xid(column: i16, number: i64) -> Self {
        Self { column, strategy: pg_sys::BTEqualStrategyNumber, procedure: pg_sys::F_XID8EQ, number }
    }
}

/// A running scan, and its current row.
pub struct Scan {
    state: pg_sys::SysScanDesc,
    table: Rc<Indexed>,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl Scan {
    /// Begins one; the keys are in the order of the index's columns.
    pub fn of<const N: usize>(table: Rc<Indexed>, keys: [Key; N]) -> Self {
        let mut keys = keys.map(|key| {
            let mut filled = pg_sys::ScanKeyData::default();
            let (strategy, procedure) = (key.strategy as u16, pg_sys::Oid::from(key.procedure));
            // SAFETY: fills the struct in.
            unsafe {
                pg_sys::ScanKeyInit(
                    &raw mut filled,
                    key.column,
                    strategy,
                    procedure,
                    pg_sys::Datum::from(key.number),
                );
            }
            filled
        });
        // SAFETY: both are open; the keys are copied, and the snapshot outlives the statement.
        let (state, columns) = unsafe {
            let state = pg_sys::systable_beginscan_ordered(
                table.heap(),
                table.index(),
                pg_sys::GetActiveSnapshot(),
                N as i32,
                keys.as_mut_ptr(),
            );
            (state, (*(*table.heap()).rd_att).natts as usize)
        };
        Self { state, table, values: vec![pg_sys::Datum::null(); columns], nulls: vec![true; columns] }
    }

    /// Goes to the next row; false when there is none.
    pub fn advance(&mut self) -> bool {
        check_for_interrupts!();
        // SAFETY: the scan runs, its row is one of the table, and the arrays have a place for each column.
        unsafe {
            let row =
                pg_sys::systable_getnext_ordered(self.state, pg_sys::ScanDirection::ForwardScanDirection);
            if row.is_null() {
                return false;
            }
            let columns = (*self.table.heap()).rd_att;
            unguarded::heap_deform_tuple(row, columns, self.values.as_mut_ptr(), self.nulls.as_mut_ptr());
        }
        true
    }

    /// A column of the row, counted from 1; valid until the scan goes on.
    pub fn value(&self, column: i16) -> Option<pg_sys::Datum> {
        let place = column as usize - 1;
        (!self.nulls[place]).then(|| self.values[place])
    }

    /// A number that is never null: integer, bigint or xid8.
    pub fn number(&self, column: i16) -> i64 {
        self.value(column).map_or(0, |value| value.value() as i64)
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        // After an error Postgres ends it itself.
        if !std::thread::panicking() {
            // SAFETY: it was begun in `of`, and its table is still open.
            unsafe { pg_sys::systable_endscan_ordered(self.state) };
        }
    }
}
