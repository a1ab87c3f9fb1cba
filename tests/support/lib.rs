//! The harness of the tests, the demo and the bench: a private Postgres with the extension, real relay
//! processes, a scriptable receiver, and a TCP proxy that breaks connections on command.
//!
//! Whatever it starts lives in one folder and is ended with the process that started it, also after a panic,
//! Ctrl-C or `kill -9` (see [`run`]). It panics with a plain sentence where a step of a test cannot go on.

pub mod certificates;
pub mod cgroup;
pub mod clock;
pub mod cluster;
pub mod database;
pub mod disk;
pub mod fault;
pub mod firewall;
pub mod fragile;
pub mod island;
pub mod keys;
pub mod leaks;
pub mod nameserver;
pub mod pooler;
pub mod process;
pub mod receiver;
pub mod relay;
pub mod run;
pub mod session;
pub mod stage;
pub mod until;
