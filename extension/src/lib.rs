//! `pg_webhook`: a transactional outbox with triggers and an SQL API, whose events the `webhook-relay` service delivers.
//!
//! SQL lives in `sql/` (its table of contents is `sql/pg_webhook.sql`); this crate has what SQL cannot do:
//! ids, checks, crypto, row capture, and appending to the outbox at the price of one row.

// Postgres' own functions are called by their bindings; every such block says why it is sound.
#![allow(unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks)]

mod capture;
mod checks;
mod crypto;
mod emit;
mod error;
mod ids;
mod jsonb;
mod network_text;
mod outbox;
mod privilege;
mod read;
mod request;
mod schema;
mod settings;
mod tables;
mod unguarded;
mod wakeup;
mod wal;
mod watch;

pgrx::pg_module_magic!();

/// Runs once in every session that uses the extension.
#[allow(non_snake_case)]
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::define();
    tables::register();
    wakeup::register();
    outbox::register();
    capture::register();
    schema::register();
}

/// The version of this library.
#[pgrx::pg_extern(sql = false, immutable, parallel_safe)]
fn _library_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
