//! `webhook_capture()`: a changed row becomes an event, inside the user's statement; so does a truncated table.

use pgrx::{check_for_interrupts, pg_guard, pg_sys};

use crate::{
    error::Error,
    outbox::{self, Event},
    settings,
};

mod change;
mod condition;
mod context;
mod datum_json;
mod label;
mod pinned;
mod plan;
mod row;
mod tolerant;
mod truncate;

use change::{Change, Operation};

/// Registers the invalidation of cached plans in this session.
pub fn register() {
    plan::register();
}

/// Tells Postgres how `webhook_capture` is to be called.
#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_webhook_capture() -> &'static pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// The trigger function. Returns NULL: an AFTER trigger's result is ignored.
///
/// # Safety
/// Called by Postgres with a valid call info.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn webhook_capture(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the call info is handed on as it came.
    unsafe { context::during(fcinfo, guarded) }
}

#[pg_guard]
unsafe extern "C-unwind" fn guarded(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the context of a trigger call is its TriggerData; Change::of checks that this is one.
    let change = unsafe { Change::of(fcinfo) }.unwrap_or_else(|error| error.raise());
    check_for_interrupts!();
    if settings::ENABLED.get() {
        capture(&change);
    }
    pg_sys::Datum::null()
}

fn capture(change: &Change) {
    let plan = plan::of(change);
    // TRUNCATE asks for itself: the plan does not know its type.
    let is_row = change.operation != Operation::Truncate;
    if plan.paused || is_row && !(settings::CAPTURE_UNMATCHED.get() || plan.is_wanted()) {
        return;
    }
    let emit = || if is_row { emit(change, &plan) } else { truncate::emit(change, &plan) };
    if plan.warn_on_error { tolerant::attempt(&plan, emit) } else { emit() }
}

fn emit(change: &Change, plan: &plan::Plan) {
    let _pinned = pinned::Settings::pin(plan.sensitive);
    let new = row::Values::of(change.relation, change.row());
    let old = change.old().map(|tuple| row::Values::of(change.relation, tuple));
    let changed = match (&old, change.operation) {
        (Some(old), Operation::Update) => {
            let changed = row::changed(plan, old, &new);
            if changed.is_empty() {
                return;
            }
            changed
        }
        _ => Vec::new(),
    };
    let limit = settings::MAX_PAYLOAD_BYTES.get() as usize;
    let mut data = row::json(plan, &new);
    if data.len() > limit {
        data = row::thin_json(plan, &new, limit);
    }
    let previous = match &old {
        Some(old) if plan.previous && change.operation == Operation::Update => {
            Some(row::json_of(plan, old, &changed))
        }
        _ => None,
    };
    let previous = previous.filter(|previous| previous.len() <= limit);
    let key = row::key(plan, &new);
    let account = row::account(plan, &new);
    let default_account = settings::account();
    for kind in plan.kinds(change.operation, &changed) {
        outbox::append(&Event {
            kind: kind.as_bytes(),
            data: &data,
            previous: previous.as_deref(),
            key: key.as_deref(),
            account: account.as_deref().or(default_account.as_deref()),
            source: plan.source.as_deref().map(str::as_bytes),
            ..Event::default()
        });
    }
}
