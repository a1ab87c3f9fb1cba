//! The `webhook.*` settings.

use std::ffi::CString;

use pgrx::{
    PostgresGucEnum,
    guc::{GucContext, GucFlags, GucRegistry, GucSetting},
};

/// What becomes of an event whose data does not fit the schema of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PostgresGucEnum)]
pub enum Validate {
    /// Nobody looks.
    #[name = c"off"]
    Off,
    /// It is emitted, with a warning.
    #[name = c"warn"]
    Warn,
    /// It is refused.
    #[name = c"error"]
    Error,
}

/// Off: capture emits nothing in this session or transaction.
pub static ENABLED: GucSetting<bool> = GucSetting::<bool>::new(true);
/// The account of events that name none; empty means no account.
pub static ACCOUNT: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
/// Off: rows whose event no webhook could want are not captured.
pub static CAPTURE_UNMATCHED: GucSetting<bool> = GucSetting::<bool>::new(true);
/// Whether `webhook_emit` enforces schemas.
pub static VALIDATE: GucSetting<Validate> = GucSetting::<Validate>::new(Validate::Off);
/// Largest payload of an event in bytes.
pub static MAX_PAYLOAD_BYTES: GucSetting<i32> = GucSetting::<i32>::new(1024 * 1024);
/// How long events and attempts are kept; an interval.
pub static RETENTION: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"30 days"));

/// Registers the settings with Postgres.
pub fn define() {
    GucRegistry::define_bool_guc(
        c"webhook.enabled",
        c"Whether row changes become events.",
        c"SET LOCAL webhook.enabled = off silences capture for a transaction.",
        &ENABLED,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"webhook.capture_unmatched",
        c"Whether row changes become events also while no active webhook could want them.",
        c"Off saves their cost; such rows are in no preview and no replay.",
        &CAPTURE_UNMATCHED,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"webhook.account",
        c"The account of events that name none.",
        c"Empty: no account.",
        &ACCOUNT,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"webhook.validate",
        c"Whether webhook_emit holds data against the schema of its event type.",
        c"off, warn (emitted, with a warning) or error (refused, 22023).",
        &VALIDATE,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"webhook.max_payload_bytes",
        c"Largest payload of an event.",
        c"webhook_emit refuses a larger one (54000); a larger row becomes an event that carries only its key.",
        &MAX_PAYLOAD_BYTES,
        64,
        64 * 1024 * 1024,
        GucContext::Suset,
        GucFlags::UNIT_BYTE,
    );
    GucRegistry::define_string_guc(
        c"webhook.retention",
        c"How long events and attempts are kept.",
        c"An interval. Partitions past it are dropped once nothing unread or pending lies in them.",
        &RETENTION,
        GucContext::Suset,
        GucFlags::default(),
    );
}

/// `webhook.account`, if it is set to anything, in the database's encoding.
pub fn account() -> Option<Vec<u8>> {
    ACCOUNT.get().map(CString::into_bytes).filter(|account| !account.is_empty())
}
