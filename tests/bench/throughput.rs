//! Deliveries per second from commit to recorded, beside the ceiling.

use std::time::Instant;

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::relay::Relay;

use crate::goals::Goal::AtLeast;
use crate::report::Report;
use crate::sink::Sink;
use crate::{DATA, ceiling, cpu, recorded};

const EVENTS: usize = 200_000;

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let mut report =
        Report::new("throughput", "200,000 events of 500 bytes to 1 webhook, from commit to recorded");
    let count = EVENTS as f64;
    let thousands = count / 1000.0;

    let sink = Sink::start();
    let before = (cpu::seconds(std::process::id()), cpu::seconds(sink.pid()));
    let took = ceiling::send(&sink.url, EVENTS).await.as_secs_f64();
    let bare = count / took;
    report.add("ceiling_per_second", bare, "signed requests by a bare reqwest loop");
    let own = cpu::seconds(std::process::id()) - before.0;
    report.add("ceiling_cpu_s_per_1000", own / thousands, "s of the sender");
    report.add("sink_cpu_s_per_1000", (cpu::seconds(sink.pid()) - before.1) / thousands, "s of the receiver");
    drop(sink);

    let mut sink = Sink::start();
    let db = Database::on(cluster).await;
    let relay = Relay::start(&db.url()).await;
    db.webhook(&sink.url, "").await;
    let emit =
        format!("SELECT count(webhook_emit('bench.tick', {DATA})) FROM generate_series(1, {EVENTS}) n");
    let start = Instant::now();
    db.run(&format!("BEGIN; {emit}")).await;
    report.add(
        "emit_us_per_event",
        start.elapsed().as_secs_f64() * 1e6 / count,
        "µs in the emitting statement",
    );
    let before = (cpu::seconds(relay.pid()), cpu::family(cluster.pid()));
    let start = Instant::now();
    db.run("COMMIT").await;
    sink.wait_for(EVENTS, &relay).await;
    recorded(&db, EVENTS).await;
    let rate = count / start.elapsed().as_secs_f64();
    report.add("deliveries_per_second", rate, "from commit to recorded");
    report.want("ratio", rate / bare, "of the ceiling", AtLeast(0.6));
    report.add("relay_cpu_s_per_1000", (cpu::seconds(relay.pid()) - before.0) / thousands, "s of the relay");
    report.add(
        "postgres_cpu_s_per_1000",
        (cpu::family(cluster.pid()) - before.1) / thousands,
        "s of Postgres",
    );
    report.add("relay_peak_memory_mib", relay.peak_memory() as f64 / 1024.0, "MiB");
    report.add("duplicates", (sink.count() - EVENTS) as f64, "requests too many");
    report.write();
}

/// Emits so many events of a type in one transaction; returns how many requests a second arrived, of `each` for every
/// event, from its commit to the last.
pub async fn burst(
    db: &Database<'_>,
    sink: &mut Sink,
    relay: &Relay,
    kind: &str,
    (events, each): (usize, usize),
) -> f64 {
    let before = sink.count();
    let emit = format!("SELECT count(webhook_emit('{kind}', {DATA})) FROM generate_series(1, {events}) n");
    db.run(&format!("BEGIN; {emit}")).await;
    let start = Instant::now();
    db.run("COMMIT").await;
    sink.wait_for(before + events * each, relay).await;
    (events * each) as f64 / start.elapsed().as_secs_f64()
}
