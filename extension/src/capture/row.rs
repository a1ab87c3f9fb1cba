//! A row as JSON, key and account, as its plan says.

use pgrx::{pg_sys, varlena};

use super::{
    label,
    plan::{Column, Plan},
};
use crate::unguarded;

unsafe extern "C-unwind" {
    /// `utils/adt/datum.c`; not in pgrx' bindings. Equal means the same bytes, whatever the type's own equality says.
    fn datum_image_eq(a: pg_sys::Datum, b: pg_sys::Datum, by_value: bool, length: std::ffi::c_int) -> bool;
}

/// The values of a row by attribute position, detoasted only when they are used.
pub struct Values {
    datums: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl Values {
    /// Takes a tuple of the relation apart.
    pub fn of(relation: pg_sys::Relation, tuple: pg_sys::HeapTuple) -> Self {
        // SAFETY: Postgres hands both to the trigger; the vectors have one place per attribute.
        unsafe {
            let descriptor = (*relation).rd_att;
            let count = (*descriptor).natts as usize;
            let mut values = Self { datums: vec![pg_sys::Datum::null(); count], nulls: vec![true; count] };
            unguarded::heap_deform_tuple(
                tuple,
                descriptor,
                values.datums.as_mut_ptr(),
                values.nulls.as_mut_ptr(),
            );
            values
        }
    }

    fn get(&self, position: usize) -> Option<pg_sys::Datum> {
        (!self.nulls[position]).then(|| self.datums[position])
    }
}

/// Positions in `plan.columns` whose values differ, byte for byte.
pub fn changed(plan: &Plan, old: &Values, new: &Values) -> Vec<usize> {
    let differs = |column: &Column| match (old.get(column.position), new.get(column.position)) {
        (None, None) => false,
        (Some(old), Some(new)) => {
            // SAFETY: both datums are of the column's type.
            unsafe { !same_image(old, new, column) }
        }
        _ => true,
    };
    plan.columns.iter().enumerate().filter(|(_, column)| differs(column)).map(|(n, _)| n).collect()
}

/// # Safety
/// Both values are of the column's type and not null.
unsafe fn same_image(old: pg_sys::Datum, new: pg_sys::Datum, column: &Column) -> bool {
    if column.by_value {
        return old.value() == new.value();
    }
    // SAFETY: plain varlenas are compared in place; everything else (fixed length, compressed, stored apart) by Postgres.
    unsafe {
        let plain = |value: pg_sys::Datum| {
            let pointer = value.cast_mut_ptr::<pg_sys::varlena>();
            let whole =
                column.length == -1 && !varlena::varatt_is_1b_e(pointer) && !varlena::varatt_is_4b_c(pointer);
            whole.then(|| varlena::varlena_to_byte_slice(pointer))
        };
        match (plain(old), plain(new)) {
            (Some(old), Some(new)) => old == new,
            // It may have to fetch them, and so raise.
            _ => pg_sys::ffi::pg_guard_ffi_boundary(|| {
                datum_image_eq(old, new, false, i32::from(column.length))
            }),
        }
    }
}

/// The sent columns as a JSON object, in the table's order.
pub fn json(plan: &Plan, row: &Values) -> Vec<u8> {
    write(plan.columns[..plan.sent].iter(), row)
}

/// Some of the columns as a JSON object, as far as they are sent.
pub fn json_of(plan: &Plan, row: &Values, chosen: &[usize]) -> Vec<u8> {
    write(chosen.iter().filter(|n| **n < plan.sent).map(|n| &plan.columns[*n]), row)
}

/// What is sent in place of a row over the payload limit: that it was too large, and its key, unless that is too large too.
pub fn thin_json(plan: &Plan, row: &Values, limit: usize) -> Vec<u8> {
    let start: &[u8] = b"{\"oversize\":true,\"key\":";
    let key = write(plan.key.iter(), row);
    let fits = start.len() + key.len() < limit;
    [start, if fits { &key } else { b"{}" }, b"}"].concat()
}

fn write<'a>(columns: impl Iterator<Item = &'a Column>, row: &Values) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.push(b'{');
    for column in columns {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(&column.label);
        match row.get(column.position) {
            None => out.extend_from_slice(b"null"),
            Some(value) => column.writer.write(value, &mut out),
        }
    }
    out.push(b'}');
    out
}

/// The ordering key: the text of a single key column, a JSON array of several; `None` without a key or with a null in it.
pub fn key(plan: &Plan, row: &Values) -> Option<Vec<u8>> {
    key_text(plan, row).map(label::of)
}

fn key_text(plan: &Plan, row: &Values) -> Option<Vec<u8>> {
    match plan.key.as_slice() {
        [] => None,
        [column] => row.get(column.position).map(|value| column.output.text(value).to_vec()),
        columns => {
            let mut out = vec![b'['];
            for column in columns {
                if out.len() > 1 {
                    out.push(b',');
                }
                column.writer.write(row.get(column.position)?, &mut out);
            }
            out.push(b']');
            Some(out)
        }
    }
}

/// The tenant's text; `None` without an account column, or where it is null or empty.
pub fn account(plan: &Plan, row: &Values) -> Option<Vec<u8>> {
    let column = plan.account.as_ref()?;
    row.get(column.position)
        .map(|value| column.output.text(value).to_vec())
        .filter(|text| !text.is_empty())
        .map(label::of)
}
