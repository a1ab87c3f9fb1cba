//! TRUNCATE, which has no rows: one event for the table, without data.

use pgrx::{PgBuiltInOids, datum::DatumWithOid, spi::Spi};

use super::{change::Change, plan::Plan};
use crate::{
    error::Error,
    outbox::{self, Event},
    privilege::as_superuser,
    settings,
};

/// Appends the event, unless nobody could want it and that is not captured.
pub fn emit(change: &Change, plan: &Plan) {
    let kind = kind(change);
    if !(settings::CAPTURE_UNMATCHED.get() || plan.is_any_wanted(vec![&kind])) {
        return;
    }
    outbox::append(&Event {
        kind: kind.as_bytes(),
        data: b"{}",
        account: settings::account().as_deref(),
        source: plan.source.as_deref().map(str::as_bytes),
        ..Event::default()
    });
}

/// Asked each time: it is rare, and the tables of 0.1.0 do not know it.
fn kind(change: &Change) -> String {
    // SAFETY: the datums are of the types they are named as.
    let args = unsafe {
        [Some(change.resource), change.source]
            .map(|text| DatumWithOid::new(text, PgBuiltInOids::TEXTOID.value()))
    };
    as_superuser(|| Spi::get_one_with_args("SELECT webhook._truncate_type($1, $2)", &args))
        .ok()
        .flatten()
        .unwrap_or_else(|| {
            Error::SchemaMismatch { what: "capture cannot read its source".to_owned() }.raise()
        })
}
