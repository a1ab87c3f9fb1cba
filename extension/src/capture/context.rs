//! The CONTEXT line of what capture reports: which table and trigger.

use std::ffi::{c_char, c_int, c_void};

use pgrx::pg_sys;

unsafe extern "C-unwind" {
    /// `utils/error/elog.c`; pgrx keeps it to itself.
    fn errcontext_msg(format: *const c_char, ...) -> c_int;
}

/// Calls a trigger function so that whatever it reports has the line.
///
/// # Safety
/// `fcinfo` is valid. An ERROR leaves `call` by a jump over this frame, which owns nothing; whoever catches it puts
/// Postgres' stack of contexts back.
pub unsafe fn during(
    fcinfo: pg_sys::FunctionCallInfo,
    call: unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum,
) -> pg_sys::Datum {
    // SAFETY: the callback is taken off the stack before its frame ends.
    unsafe {
        let mut context = pg_sys::ErrorContextCallback {
            previous: pg_sys::error_context_stack,
            callback: Some(describe),
            arg: fcinfo.cast(),
        };
        pg_sys::error_context_stack = &raw mut context;
        let result = call(fcinfo);
        pg_sys::error_context_stack = context.previous;
        result
    }
}

unsafe extern "C-unwind" fn describe(fcinfo: *mut c_void) {
    // SAFETY: called while `during` runs; the node tag is checked before the context is read as TriggerData.
    unsafe {
        let context = (*fcinfo.cast::<pg_sys::FunctionCallInfoBaseData>()).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
            return;
        }
        #[allow(clippy::cast_ptr_alignment, reason = "the node is a whole TriggerData, allocated as one")]
        let data = &*context.cast::<pg_sys::TriggerData>();
        let table = (*(*data.tg_relation).rd_rel).relname.data.as_ptr();
        let trigger = (*data.tg_trigger).tgname.cast_const();
        errcontext_msg(c"webhook_capture of table \"%s\" by trigger \"%s\"".as_ptr(), table, trigger);
    }
}
