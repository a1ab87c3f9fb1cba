//! `on_error => 'warn'`: the user's write goes on, and the loss is counted where everybody sees it.

use std::panic::AssertUnwindSafe;

use pgrx::{
    PgBuiltInOids, PgLogLevel, PgSqlErrorCode, PgTryBuilder,
    datum::DatumWithOid,
    pg_sys,
    pg_sys::panic::{CaughtError, ErrorReport, ErrorReportWithLevel},
    spi::Spi,
};

use super::plan::Plan;
use crate::{outbox, privilege::as_superuser};

/// Runs the capture of a row in a subtransaction of its own, so that an error undoes just that. A cancel still cancels.
pub fn attempt(plan: &Plan, capture: impl FnOnce()) {
    // SAFETY: the pattern of PL/pgSQL's exception blocks: memory context and resource owner are put back on both ways out.
    unsafe {
        let memory = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(memory);
        // A capture that failed leaves nothing behind that a later one would see half done.
        let capture = AssertUnwindSafe(capture);
        let error = PgTryBuilder::new(move || {
            let AssertUnwindSafe(capture) = { capture };
            capture();
            outbox::flush();
            None
        })
        .catch_others(Some)
        .execute();
        pg_sys::MemoryContextSwitchTo(memory);
        if error.is_none() {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(memory);
        pg_sys::CurrentResourceOwner = owner;
        match error {
            None => {}
            Some(error) if report(&error).sql_error_code() == PgSqlErrorCode::ERRCODE_QUERY_CANCELED => {
                error.rethrow()
            }
            Some(error) => lost(plan, report(&error).message()),
        }
    }
}

fn lost(plan: &Plan, error: &str) {
    // SAFETY: the datums are of the types they are named as.
    let args = unsafe {
        [plan.source.as_deref(), Some(error)]
            .map(|text| DatumWithOid::new(text, PgBuiltInOids::TEXTOID.value()))
    };
    let recorded = as_superuser(|| Spi::run_with_args("SELECT webhook._lost($1, $2)", &args));
    let hint = match recorded {
        Ok(()) => "The write goes on, as on_error => 'warn' asks; webhook_stats() counts what was lost.",
        Err(_) => "The write goes on, as on_error => 'warn' asks; the loss could not even be counted.",
    };
    let message = format!("an event of table {} was lost: {error}", plan.table);
    ErrorReport::new(PgSqlErrorCode::ERRCODE_WARNING, message, "webhook_capture")
        .set_hint(hint)
        .report(PgLogLevel::WARNING);
}

fn report(error: &CaughtError) -> &ErrorReportWithLevel {
    match error {
        CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. } => report,
    }
}
