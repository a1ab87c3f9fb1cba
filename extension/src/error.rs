//! What can go wrong in Rust, each with its SQLSTATE, message and hint.

use std::fmt;

use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys::panic::ErrorReport};
use webhook_wire::{
    event_type::EventTypeError, filter::FilterError, id::IdError, json::JsonError, options::OptionsError,
    seal::SealError, secret::SecretError, target::UrlError, window::WindowError,
};

/// An error that a caller sees.
#[derive(Debug)]
pub enum Error {
    /// An argument that must be given is NULL.
    Missing { argument: &'static str },
    /// An argument is out of its range.
    OutOfRange { argument: &'static str, value: String, hint: &'static str },
    /// Not an id of the wanted kind.
    Id(IdError),
    /// Not an event type or pattern.
    EventType(EventTypeError),
    /// Not a URL that can be sent to.
    Url(UrlError),
    /// Not a usable secret.
    Secret(SecretError),
    /// Not a key to seal with.
    Seal(SealError),
    /// A bad option.
    Options(OptionsError),
    /// A bad filter.
    Filter(FilterError),
    /// Text that is not JSON.
    Json(JsonError),
    /// Not a usable JSON Schema.
    BadSchema { path: String, reason: String },
    /// The data of an event does not fit the schema of its type.
    Schema { kind: String, path: String, reason: String },
    /// The payload is larger than `webhook.max_payload_bytes`.
    PayloadTooLarge { bytes: usize, limit: usize },
    /// An emitting function in a trigger position it does not support.
    NotAnAfterTrigger,
    /// The trigger's first argument, the resource, is missing.
    NoResource,
    /// Bytes that SQL_ASCII lets in and nobody can read.
    NotUtf8,
    /// The caller lacks rights on a table.
    NotAllowed { table: String },
    /// Not a window of the outbox.
    Window(WindowError),
    /// A table lacks the index by which it is read.
    NoIndex { table: String, columns: String },
    /// The tables are not those of this library's version.
    SchemaMismatch { what: String },
}

impl Error {
    fn sqlstate(&self) -> PgSqlErrorCode {
        match self {
            Self::PayloadTooLarge { .. } => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            Self::NotAnAfterTrigger => PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
            Self::NotAllowed { .. } => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            Self::SchemaMismatch { .. } | Self::NoIndex { .. } => {
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            _ => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        }
    }

    pub fn hint(&self) -> String {
        match self {
            Self::Missing { argument } => format!("Give {argument} a value."),
            Self::OutOfRange { hint, .. } => (*hint).to_owned(),
            Self::Id(e) => e.hint(),
            Self::EventType(e) => e.hint(),
            Self::Url(e) => e.hint(),
            Self::Secret(e) => e.hint(),
            Self::Seal(_) => "webhook.secret_key has the key; webhook_forget_secret_key() makes room for another one.".to_owned(),
            Self::Options(e) => e.hint(),
            Self::Filter(e) => e.hint(),
            Self::Json(e) => e.hint(),
            Self::BadSchema { .. } => {
                "A JSON Schema is an object (or true or false); what it refers to must be in it: nothing is fetched."
                    .to_owned()
            }
            Self::Schema { .. } => {
                "webhook_event_types() shows the schema; webhook.validate (off, warn, error) says whether it is enforced."
                    .to_owned()
            }
            Self::PayloadTooLarge { .. } => {
                "Send a reference instead of the data, or raise webhook.max_payload_bytes.".to_owned()
            }
            Self::NotAnAfterTrigger => {
                "CREATE TRIGGER ... AFTER INSERT OR UPDATE OR DELETE ON ... FOR EACH ROW EXECUTE FUNCTION webhook_capture('user')."
                    .to_owned()
            }
            Self::NoResource => "EXECUTE FUNCTION webhook_capture('user').".to_owned(),
            Self::NotUtf8 => "This database takes any bytes (SQL_ASCII): give text in UTF-8.".to_owned(),
            Self::NotAllowed { .. } => {
                "Who watches a table must be allowed to read it and to create triggers on it.".to_owned()
            }
            Self::Window(e) => e.hint(),
            Self::NoIndex { table, columns } => format!("CREATE INDEX ON webhook.{table} ({columns})."),
            Self::SchemaMismatch { .. } => {
                "Library and extension have different versions: run ALTER EXTENSION pg_webhook UPDATE.".to_owned()
            }
        }
    }

    /// Raises it as a Postgres error.
    pub fn raise(self) -> ! {
        ErrorReport::new(self.sqlstate(), self.to_string(), "pg_webhook")
            .set_hint(self.hint())
            .report(PgLogLevel::ERROR);
        unreachable!("an ERROR does not return")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { argument } => write!(f, "{argument} must not be null"),
            Self::OutOfRange { argument, value, .. } => write!(f, "{argument} \"{value}\" is not valid"),
            Self::Id(e) => e.fmt(f),
            Self::EventType(e) => e.fmt(f),
            Self::Url(e) => e.fmt(f),
            Self::Secret(e) => e.fmt(f),
            Self::Seal(e) => e.fmt(f),
            Self::Options(e) => e.fmt(f),
            Self::Filter(e) => e.fmt(f),
            Self::Json(e) => e.fmt(f),
            Self::BadSchema { path, reason } => write!(f, "the schema is not valid at {path}: {reason}"),
            Self::Schema { kind, path, reason } => {
                write!(f, "data of \"{kind}\" does not fit its schema at {path}: {reason}")
            }
            Self::PayloadTooLarge { bytes, limit } => {
                write!(f, "payload of {bytes} bytes is over the limit of {limit} bytes")
            }
            Self::NotAnAfterTrigger => f.write_str(
                "webhook_capture() must be an AFTER ... FOR EACH ROW trigger, or an AFTER TRUNCATE one",
            ),
            Self::NoResource => f.write_str("webhook_capture() needs the resource as its first argument"),
            Self::NotUtf8 => f.write_str("the text is not UTF-8"),
            Self::NotAllowed { table } => write!(f, "permission denied for table {table}"),
            Self::Window(e) => e.fmt(f),
            Self::NoIndex { table, columns } => {
                write!(f, "webhook.{table} has no index on ({columns}), by which it is read")
            }
            Self::SchemaMismatch { what } => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

macro_rules! from_wire {
    ($($variant:ident($error:ty)),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}
from_wire!(
    Id(IdError),
    EventType(EventTypeError),
    Url(UrlError),
    Secret(SecretError),
    Seal(SealError),
    Options(OptionsError),
    Filter(FilterError),
    Json(JsonError),
    Window(WindowError)
);

/// Turns an error of ours into a Postgres error.
pub trait OrRaise<T> {
    /// The value, or the Postgres error.
    fn or_raise(self) -> T;
}

impl<T, E: Into<Error>> OrRaise<T> for Result<T, E> {
    fn or_raise(self) -> T {
        self.unwrap_or_else(|error| error.into().raise())
    }
}
