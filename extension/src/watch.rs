//! What `webhook_watch` and `webhook_unwatch`, which run as their callers, write about a table: only for who may.

use std::ffi::CStr;

use pgrx::{
    PgBuiltInOids,
    datum::DatumWithOid,
    fcinfo::{pg_arg_is_null, pg_getarg, pg_getarg_datum_raw},
    pg_extern, pg_sys,
    spi::Spi,
};

use crate::{error::Error, privilege::as_superuser};

#[pg_extern(sql = false)]
fn _source_put(fcinfo: pg_sys::FunctionCallInfo) -> Option<String> {
    // SAFETY: the SQL declaration has an oid and a jsonb, and is strict.
    let (relation, arguments) = unsafe {
        let relation = pg_getarg::<pg_sys::Oid>(fcinfo, 0)?;
        (relation, [DatumWithOid::from(relation), argument(fcinfo, 1, PgBuiltInOids::JSONBOID)])
    };
    require(relation, &[pg_sys::ACL_SELECT, pg_sys::ACL_TRIGGER]);
    as_superuser(|| Spi::get_one_with_args("SELECT webhook._source_write($1, $2)", &arguments)).ok()?
}

#[pg_extern(sql = false)]
fn _source_remove(fcinfo: pg_sys::FunctionCallInfo) -> Option<Vec<String>> {
    // SAFETY: the SQL declaration has an oid and a text.
    let (relation, arguments) = unsafe {
        let relation = pg_getarg::<pg_sys::Oid>(fcinfo, 0)?;
        (relation, [DatumWithOid::from(relation), argument(fcinfo, 1, PgBuiltInOids::TEXTOID)])
    };
    if name(relation).is_some() {
        require(relation, &[pg_sys::ACL_TRIGGER]);
    }
    as_superuser(|| Spi::get_one_with_args("SELECT webhook._source_erase($1, $2)", &arguments)).ok()?
}

/// Hands an argument on as it is: a text of Rust would have to be UTF-8, which the database need not be.
///
/// # Safety
/// The argument must be of that type.
unsafe fn argument(fcinfo: pg_sys::FunctionCallInfo, n: usize, kind: PgBuiltInOids) -> DatumWithOid<'static> {
    // SAFETY: the caller's promise; a null argument is not looked at.
    unsafe {
        let datum = (!pg_arg_is_null(fcinfo, n)).then(|| pg_getarg_datum_raw(fcinfo, n));
        DatumWithOid::new(datum, kind.value())
    }
}

/// A table's name; none when there is no such table.
fn name(relation: pg_sys::Oid) -> Option<String> {
    // SAFETY: a look into the catalogue by an oid of any value; what is found is NUL-terminated.
    unsafe {
        let name = pg_sys::get_rel_name(relation);
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

/// Raises 42501 unless the caller has all these rights on the table, and 42P01 when there is none.
fn require(relation: pg_sys::Oid, rights: &[u32]) {
    for &right in rights {
        #[allow(clippy::useless_conversion, reason = "an AclMode is wider since PostgreSQL 16")]
        let right = pg_sys::AclMode::from(right);
        // SAFETY: a look into the catalogue.
        let result = unsafe { pg_sys::pg_class_aclcheck(relation, pg_sys::GetUserId(), right) };
        if result != pg_sys::AclResult::ACLCHECK_OK {
            Error::NotAllowed { table: name(relation).unwrap_or_default() }.raise();
        }
    }
}
