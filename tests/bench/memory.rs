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
        "1,000 events of 1 MiB to three webhooks: one that is well, one that answers after 2 s, one that never does",
    );
    let (mut sink, bad, db) = (Sink::start(), Sink::start(), Database::on(cluster).await);
    for url in [sink.url.clone(), format!("{}late", bad.url), format!("{}hang", bad.url)] {
        db.webhook(&url, "").await;
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
    report.add(
        "well_per_second",
        EVENTS as f64 / start.elapsed().as_secs_f64(),
        "arrivals at the one that is well",
    );
    report.want("peak_memory_mib", relay.peak_memory() as f64 / 1024.0, "MiB of the relay", AtMost(128.0));
    report.write();
}
