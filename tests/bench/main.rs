//! `make bench`: what delivery costs, beside what a bare HTTP client on the same machine costs.
//!
//! `bench [scenario…]` runs the scenarios named, or all; each is a module and writes `target/bench/<scenario>.json`.

mod ceiling;
mod cpu;
mod fanout;
mod faults;
mod filter;
mod flat;
mod goals;
mod grown;
mod isolation;
mod jobs;
mod latency;
mod listener;
mod memory;
mod peers;
mod plot;
mod rate;
mod report;
mod share;
mod sink;
mod throughput;
mod writes;

use std::time::Duration;

use webhook_tests::cluster::Cluster;
use webhook_tests::session::Session;
use webhook_tests::until::within;

const SCENARIOS: [&str; 13] = [
    "throughput",
    "latency",
    "fanout",
    "share",
    "isolation",
    "rate",
    "faults",
    "flat",
    "grown",
    "memory",
    "peers",
    "writes",
    "filter",
];

#[tokio::main]
async fn main() {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names == ["sink"] {
        return sink::serve();
    }
    if names.is_empty() {
        names = SCENARIOS.map(String::from).into();
    }
    println!("Building (release) and starting a private Postgres with default durability …");
    let cluster = Cluster::start(&["max_wal_size=4GB", "shared_buffers=256MB"]).await;
    for name in names {
        match name.as_str() {
            "throughput" => throughput::run(&cluster).await,
            "latency" => latency::run(&cluster).await,
            "isolation" => isolation::run(&cluster).await,
            "fanout" => fanout::run(&cluster).await,
            "share" => share::run(&cluster).await,
            "rate" => rate::run(&cluster).await,
            "grown" => grown::run(&cluster).await,
            "memory" => memory::run(&cluster).await,
            "peers" => peers::run(&cluster).await,
            "faults" => faults::run(&cluster).await,
            "flat" => flat::run(&cluster).await,
            "writes" => writes::run(&cluster).await,
            "filter" => filter::run(),
            other => panic!("there is no scenario {other}, only {SCENARIOS:?}"),
        }
    }
}

/// A data object of 500 bytes that holds the number `n`, as SQL.
const DATA: &str = "jsonb_build_object('n', n, 'text', repeat('x', 481 - length(n::text)))";

/// Switches off, and on again, what Postgres does in the background now and then: it takes up to a tenth of the machine, of some
/// measurements and not of others. Checkpoints are made before a measurement for the same reason.
async fn background(db: &Session, on: bool) {
    db.run(if on { "ALTER SYSTEM RESET autovacuum" } else { "ALTER SYSTEM SET autovacuum = off" }).await;
    db.run("SELECT pg_reload_conf()").await;
}

/// Waits until everything emitted so far is read.
async fn all_read(db: &Session, patience: Duration) {
    within(patience, "the backlog to be read", async || {
        match db.value("SELECT backlog FROM webhook_stats()").await.as_str() {
            "0" => Ok(()),
            some => Err(format!("{some} unread")),
        }
    })
    .await;
}

/// Waits until everything emitted so far is in the log as delivered.
async fn recorded(db: &Session, count: usize) {
    db.until("SELECT count(*) FROM webhook.attempts WHERE outcome = 'delivered'", &count.to_string()).await;
}
