//! Tables with the index by which they are read.

use std::{ffi::CStr, rc::Rc};

use pgrx::pg_sys;

use crate::{error::Error, tables::Table};

/// An open table and its open index, both locked ACCESS SHARE until the end of the transaction.
pub struct Indexed {
    heap: pg_sys::Relation,
    index: pg_sys::Relation,
}

impl Indexed {
    /// The table with an index that begins with these columns.
    pub fn open(table: pg_sys::Oid, columns: &[i16]) -> Rc<Self> {
        // SAFETY: an error closes what is open.
        let heap = unsafe { pg_sys::table_open(table, pg_sys::AccessShareLock as i32) };
        match index_on(heap, columns) {
            Some(index) => Rc::new(Self { heap, index }),
            None => Error::NoIndex { table: name(heap), columns: names(heap, columns) }.raise(),
        }
    }

    /// The outbox's partitions.
    pub fn partitions(columns: &[i16]) -> Vec<Rc<Self>> {
        let parent = Table::Events.lock(pg_sys::AccessShareLock).unwrap_or_else(|| Table::Events.missing());
        // SAFETY: it is locked, and the description lives while it is open.
        let partitions = unsafe {
            let parent = pg_sys::table_open(parent, pg_sys::NoLock as i32);
            let description = pg_sys::RelationGetPartitionDesc(parent, true);
            let oids = match (*description).nparts {
                0 => Vec::new(),
                count => std::slice::from_raw_parts((*description).oids, count as usize).to_vec(),
            };
            pg_sys::table_close(parent, pg_sys::NoLock as i32);
            oids
        };
        partitions.into_iter().map(|oid| Self::open(oid, columns)).collect()
    }

    /// The open table.
    pub fn heap(&self) -> pg_sys::Relation {
        self.heap
    }

    /// The open index.
    pub fn index(&self) -> pg_sys::Relation {
        self.index
    }
}

impl Drop for Indexed {
    fn drop(&mut self) {
        // After an error Postgres closes them itself.
        if !std::thread::panicking() {
            // SAFETY: opened in `open`; the locks stay until the end of the transaction.
            unsafe {
                pg_sys::index_close(self.index, pg_sys::NoLock as i32);
                pg_sys::table_close(self.heap, pg_sys::NoLock as i32);
            }
        }
    }
}

fn index_on(heap: pg_sys::Relation, columns: &[i16]) -> Option<pg_sys::Relation> {
    // SAFETY: the list is a copy of the open relation's, null or of oids.
    let indexes = unsafe {
        match pg_sys::RelationGetIndexList(heap).as_ref() {
            Some(list) => std::slice::from_raw_parts(list.elements, list.length as usize),
            None => &[],
        }
    };
    // SAFETY: the relation is open; the primary key's is known after asking for the list.
    let primary = unsafe { (*heap).rd_pkindex };
    // SAFETY: as above.
    indexes.iter().map(|cell| unsafe { cell.oid_value }).filter(|oid| *oid != primary).find_map(|oid| {
        // SAFETY: it belongs to a locked table, and is closed if it is not the one.
        unsafe {
            let index = pg_sys::index_open(oid, pg_sys::AccessShareLock as i32);
            if begins_with(index, columns) {
                return Some(index);
            }
            pg_sys::index_close(index, pg_sys::NoLock as i32);
            None
        }
    })
}

/// A whole and ready B-tree in ascending order.
///
/// # Safety
/// The index is open.
unsafe fn begins_with(index: pg_sys::Relation, columns: &[i16]) -> bool {
    // SAFETY: as promised by the caller; the arrays have a place for each key column.
    unsafe {
        let form = (*index).rd_index;
        let keys = (*form).indnkeyatts as usize;
        (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
            && (*form).indisvalid
            && keys >= columns.len()
            && (*form).indkey.values.as_slice(keys).starts_with(columns)
            && std::slice::from_raw_parts((*index).rd_indoption, columns.len())
                .iter()
                .all(|option| *option == 0)
            && pg_sys::RelationGetIndexPredicate(index).is_null()
    }
}

fn name(relation: pg_sys::Relation) -> String {
    // SAFETY: the relation is open.
    unsafe { CStr::from_ptr((*(*relation).rd_rel).relname.data.as_ptr()) }.to_string_lossy().into_owned()
}

fn names(heap: pg_sys::Relation, columns: &[i16]) -> String {
    let name = |column: &i16| {
        // SAFETY: the relation is open, and a column that is not there raises.
        let name = unsafe { CStr::from_ptr(pg_sys::get_attname((*heap).rd_id, *column, false)) };
        name.to_string_lossy().into_owned()
    };
    columns.iter().map(name).collect::<Vec<_>>().join(", ")
}
