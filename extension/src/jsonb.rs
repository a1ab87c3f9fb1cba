//! `jsonb` as a tree and back, in a database of any encoding. pgrx' own type takes every text for UTF-8, and panics at a number
//! beyond `f64`.

use std::ffi::{CStr, CString};

use pgrx::{
    FromDatum, IntoDatum,
    callconv::{Arg, ArgAbi, BoxRet, FcInfo},
    datum::Datum,
    direct_function_call, direct_function_call_as_datum,
    nullable::Nullable,
    pg_sys,
    pgrx_sql_entity_graph::metadata::{
        ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
    },
};
use serde_json::Value;
use webhook_wire::json;

use crate::{
    error::OrRaise,
    network_text::{from_utf8_lossy, to_utf8},
};

/// A jsonb as the relay reads it.
pub struct Jsonb(pub Value);

/// The text of a jsonb, in the database's encoding.
pub fn text(value: pg_sys::Datum) -> Vec<u8> {
    // SAFETY: jsonb_out takes a jsonb and returns a NUL-terminated text.
    unsafe {
        direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(value)])
            .map_or_else(Vec::new, |text| text.to_bytes().to_vec())
    }
}

impl FromDatum for Jsonb {
    unsafe fn from_polymorphic_datum(value: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        (!is_null).then(|| Self(json::value(&to_utf8(&text(value))).or_raise()))
    }
}

impl IntoDatum for Jsonb {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        let text = CString::new(from_utf8_lossy(self.0.to_string().as_bytes())).unwrap_or_default();
        // SAFETY: jsonb_in takes a NUL-terminated text.
        unsafe { direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(text.as_ptr().into())]) }
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

// SAFETY: an argument of that type is read as one.
unsafe impl<'fcx> ArgAbi<'fcx> for Jsonb {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller's promise.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or(Self(Value::Null))
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<Self> {
        // SAFETY: the caller's promise.
        unsafe { arg.unbox_arg_using_from_datum() }.into()
    }
}

// SAFETY: the datum is a jsonb.
unsafe impl BoxRet for Jsonb {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: as above.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

// SAFETY: that is its name in SQL.
unsafe impl SqlTranslatable for Jsonb {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Jsonb);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
