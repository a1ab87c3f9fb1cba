//! What Postgres tells a trigger.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::Error;

/// What happened to the row; to all of them, if it was truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Insert,
    Update,
    Delete,
    Truncate,
}

/// One changed row, or a truncated table. Lives for one trigger call.
pub struct Change {
    pub operation: Operation,
    pub relation: pg_sys::Relation,
    pub trigger: pg_sys::Oid,
    pub resource: &'static str,
    pub source: Option<&'static str>,
    trigger_tuple: pg_sys::HeapTuple,
    new_tuple: pg_sys::HeapTuple,
}

impl Change {
    /// The change of this trigger call.
    ///
    /// # Safety
    /// `fcinfo` is valid; the result must not outlive the call.
    pub unsafe fn of(fcinfo: pg_sys::FunctionCallInfo) -> Result<Self, Error> {
        // SAFETY: the node tag is checked before the context is read as TriggerData; its arguments are NUL-terminated.
        unsafe {
            let context = (*fcinfo).context;
            if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
                return Err(Error::NotAnAfterTrigger);
            }
            #[allow(clippy::cast_ptr_alignment, reason = "the node is a whole TriggerData, allocated as one")]
            let data = &*context.cast::<pg_sys::TriggerData>();
            let after = data.tg_event & pg_sys::TRIGGER_EVENT_TIMINGMASK == pg_sys::TRIGGER_EVENT_AFTER;
            let row = data.tg_event & pg_sys::TRIGGER_EVENT_ROW != 0;
            let operation = match data.tg_event & pg_sys::TRIGGER_EVENT_OPMASK {
                pg_sys::TRIGGER_EVENT_INSERT => Operation::Insert,
                pg_sys::TRIGGER_EVENT_UPDATE => Operation::Update,
                pg_sys::TRIGGER_EVENT_DELETE => Operation::Delete,
                _ => Operation::Truncate,
            };
            if !after || row == (operation == Operation::Truncate) {
                return Err(Error::NotAnAfterTrigger);
            }
            let trigger = &*data.tg_trigger;
            let argument = |n: i16| {
                (n < trigger.tgnargs)
                    .then(|| CStr::from_ptr(*trigger.tgargs.offset(n as isize)).to_str().ok())
                    .flatten()
            };
            Ok(Self {
                operation,
                relation: data.tg_relation,
                trigger: trigger.tgoid,
                resource: argument(0).ok_or(Error::NoResource)?,
                source: argument(1),
                trigger_tuple: data.tg_trigtuple,
                new_tuple: data.tg_newtuple,
            })
        }
    }

    /// The row as it is now; of a DELETE as it was.
    pub fn row(&self) -> pg_sys::HeapTuple {
        if self.operation == Operation::Update { self.new_tuple } else { self.trigger_tuple }
    }

    /// The table's name, for messages.
    pub fn table(&self) -> String {
        // SAFETY: an open relation has a name, and it is NUL-terminated.
        let name = unsafe { CStr::from_ptr((*(*self.relation).rd_rel).relname.data.as_ptr()) };
        name.to_string_lossy().into_owned()
    }

    /// The row before an UPDATE.
    pub fn old(&self) -> Option<pg_sys::HeapTuple> {
        (self.operation == Operation::Update).then_some(self.trigger_tuple)
    }
}
