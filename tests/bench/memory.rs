//! The relay's memory while payloads of a mebibyte are under way to receivers that are well, late and silent.

use std::time::Instant;

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::relay::Relay;

use crate::goals::Goal::AtMost;
use crate::report::Report;
use crate::sink::Sink;

const EVENTS: usize = 1_000;
const PAYLOAD: &str = "jsonb_build_object('n', n, 'text', repeat('x', 1048576 - 24 - length(n::text)))";

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let mut report = Report::new(
        "memory",
        "1,000 events of 1 MiB to three webhooks: one that is well, one that answers after 2 s, one that never does; beside the first one alone",
    );
    let (alone, _) = deliver(cluster, &[]).await;
    let (beside, peak) = deliver(cluster, &["late", "hang"]).await;
    report.add("alone_per_second", alone, "arrivals at the one that is well, alone");
    report.add("beside_per_second", beside, "beside the others");
    report.want("peak_memory_mib", peak, "MiB of the relay", AtMost(128.0));
    report.write();
}

/// Arrivals a second at a webhook that is well, beside such others, and what memory the relay takes, in MiB.
async fn deliver(cluster: &Cluster, others: &[&str]) -> (f64, f64) {
    let (mut sink, bad, db) = (Sink::start(), Sink::start(), Database::on(cluster).await);
    db.webhook(&sink.url, "").await;
    for path in others {
        db.webhook(&format!("{}{path}", bad.url), "").await;
    }
    for part in 0..10 {
        db.run(&format!(
            "SELECT count(webhook_emit('bench.tick', {PAYLOAD})) FROM generate_series({}, {}) n",
            part * EVENTS / 10 + 1,
            (part + 1) * EVENTS / 10
        ))
        .await;
    }
    let start = Instant::now();
    let relay = Relay::start(&db.url()).await;
    sink.wait_for(EVENTS, &relay).await;
    (EVENTS as f64 / start.elapsed().as_secs_f64(), relay.peak_memory() as f64 / 1024.0)
}
