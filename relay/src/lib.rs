//! The relay of pg_webhook: reads the outbox, matches, signs, sends, judges and records.
//!
//! A delivery's stages are types: a [`read::Item`] is matched, a [`post::Launch`] is started, a [`request::Signed`]
//! goes out, an [`outcome::Exchange`] comes back, a [`post::Landing`] carries the verdict, a [`record::Judged`] waits
//! to be [`record::Recorded`].
//!
//! Modules use only those of the groups above them, or within a group those they stand beside without a cycle.

#![forbid(unsafe_code)]

// Words and pure decisions.
pub mod certificates;
pub mod config;
pub mod dsn;
pub mod key_file;
pub mod ledger;
pub mod outcome;
pub mod wake;

mod failpoint;

// Events and the webhooks that want them.
pub mod event;
pub mod keyring;
pub mod matching;

// What one delivery is, and its request.
pub mod delivery;
pub mod request;

// The doors to the outside: database, network, log.
pub mod client;
pub mod error;
pub mod log;
pub mod metrics;
pub mod panics;
pub mod store;

// What a running relay shares.
pub mod clock;
pub mod context;

// Reading, and choosing what goes next.
pub mod lane;
pub mod lead;
pub mod post;
pub mod read;

// Writing back.
pub mod errand;
pub mod notice;
pub mod record;

// All of it together.
pub mod engine;
pub mod http;
pub mod run;

// The other commands.
pub mod check;
pub mod listen;

#[cfg(test)]
mod testing;
