//! JSON Schemas of event types: checked when they are registered, enforced when events are emitted.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use jsonschema::{PatternOptions, Validator};
use pgrx::{
    PgBuiltInOids, PgLogLevel, PgSqlErrorCode, datum::DatumWithOid, pg_extern, pg_guard, pg_sys,
    pg_sys::panic::ErrorReport, spi::Spi,
};
use serde_json::Value;
use webhook_wire::json;

use crate::{
    error::{Error, OrRaise},
    jsonb::Jsonb,
    network_text::to_utf8,
    privilege::as_superuser,
    settings::{self, Validate},
};

/// Longest account of what is wrong in an error, in characters.
const LONGEST_REASON: usize = 300;

type Schemas = HashMap<String, Option<Rc<Validator>>>;

thread_local! {
    /// The schemas of the types that this session emitted; `None` for a type without one.
    static SCHEMAS: RefCell<Schemas> = RefCell::default();
}

/// Registers the invalidation of kept schemas in this session.
pub fn register() {
    // SAFETY: the callback is a function of this library, which is never unloaded.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(forget), pg_sys::Datum::null()) };
}

/// Any table's change forgets all: catalogue changes are seldom, and which table it is costs a lookup that a callback must
/// not make. While a schema is compiled nothing is kept yet.
#[pg_guard]
unsafe extern "C-unwind" fn forget(_argument: pg_sys::Datum, _relation: pg_sys::Oid) {
    SCHEMAS.with(|schemas| {
        if let Ok(mut schemas) = schemas.try_borrow_mut() {
            schemas.clear();
        }
    });
}

/// Holds the data of an event (JSON text in the database's encoding) against the schema of its type, as `webhook.validate` says.
pub fn enforce(kind: &[u8], data: &[u8]) {
    let mode = settings::VALIDATE.get();
    if mode == Validate::Off {
        return;
    }
    // An event type is ASCII.
    let kind = &*String::from_utf8_lossy(kind);
    let Some(schema) = of(kind) else { return };
    let value = json::value(&to_utf8(data)).or_raise();
    let Err(error) = schema.validate(&value) else { return };
    let path = error.instance_path().as_str();
    let path = if path.is_empty() { "/".to_owned() } else { excerpt(path) };
    // Without the value itself, which may be private and long.
    let reason = excerpt(&error.masked().to_string());
    let error = Error::Schema { kind: kind.to_owned(), path, reason };
    match mode {
        Validate::Error => error.raise(),
        _ => ErrorReport::new(PgSqlErrorCode::ERRCODE_WARNING, error.to_string(), "pg_webhook")
            .set_hint(error.hint())
            .report(PgLogLevel::WARNING),
    }
}

fn of(kind: &str) -> Option<Rc<Validator>> {
    if let Some(known) = SCHEMAS.with_borrow(|schemas| schemas.get(kind).cloned()) {
        return known;
    }
    let args = [kind].map(|kind| {
        // SAFETY: the value is of the type that it is named as.
        unsafe { DatumWithOid::new(kind, PgBuiltInOids::TEXTOID.value()) }
    });
    let stored = as_superuser(|| {
        Spi::get_one_with_args::<Jsonb>(
            "SELECT schema FROM webhook.event_types WHERE type = $1 ORDER BY builtin LIMIT 1",
            &args,
        )
    });
    // No row and no schema are the same.
    let schema = stored.ok().flatten().map(|schema| Rc::new(compile(&schema.0).or_raise()));
    // A snapshot of the whole transaction may be older than the last change; what it shows is not for later ones.
    // SAFETY: reads a variable of this session.
    if unsafe { pg_sys::XactIsoLevel } < pg_sys::XACT_REPEATABLE_READ as i32 {
        SCHEMAS.with_borrow_mut(|schemas| schemas.insert(kind.to_owned(), schema.clone()));
    }
    schema
}

/// Compiles a schema; nothing outside of it is ever fetched, and patterns take linear time.
fn compile(schema: &Value) -> Result<Validator, Error> {
    if !matches!(schema, Value::Object(_) | Value::Bool(_)) {
        return Err(Error::BadSchema {
            path: "/".to_owned(),
            reason: "it is neither an object nor a boolean".to_owned(),
        });
    }
    let options = jsonschema::options().offline().with_pattern_options(PatternOptions::regex());
    options.build(schema).map_err(|error| Error::BadSchema {
        path: Some(error.instance_path().as_str())
            .filter(|path| !path.is_empty())
            .map_or("/".to_owned(), excerpt),
        reason: excerpt(&error.to_string()),
    })
}

fn excerpt(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(LONGEST_REASON).map(clean).collect()
}

#[pg_extern(sql = false)]
fn _check_schema(schema: Option<Jsonb>) -> Option<Jsonb> {
    let schema = schema?;
    compile(&schema.0).or_raise();
    Some(schema)
}
