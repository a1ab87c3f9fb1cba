//! What a healthy endpoint gets beside five bad ones with deep backlogs, as a ratio to what it gets alone.

use std::time::Duration;

use webhook_tests::cluster::{Cluster, free_port};
use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

use crate::report::{Report, median, quantile};
use crate::sink::Sink;
use crate::throughput::burst;
use crate::{DATA, all_read, latency};

const ROUNDS: usize = 3;
const EVENTS: usize = 50_000;
/// For each of the bad ones.
const BACKLOG: usize = 10_000;
/// At fifty a second.
const TIMED: usize = 500;

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let mut report = Report::new(
        "isolation",
        "50,000 events to a healthy webhook, alone and beside five that hang, answer after 2 s, refuse, send slow bytes or endless bodies, 10,000 events behind each",
    );
    let (mut rates, mut tails) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    for _ in 0..ROUNDS {
        for bad in [false, true] {
            let (rate, tail) = round(cluster, bad).await;
            rates[usize::from(bad)].push(rate);
            tails[usize::from(bad)].push(tail);
        }
    }
    let [alone, beside] = rates.map(median);
    let [alone_p99, beside_p99] = tails.map(median);
    report.add("alone_per_second", alone, "arrivals a second");
    report.add("beside_per_second", beside, "arrivals a second");
    report.add("beside_to_alone", beside / alone, "of what it was (0.95 wanted)");
    report.add("alone_p99_ms", alone_p99, "ms from commit to arrival at 50 events a second");
    report.add("beside_p99_ms", beside_p99, "ms");
    report.add("p99_beside_to_alone", beside_p99 / alone_p99, "times (2.0 wanted at most)");
    report.write();
}

async fn round(cluster: &Cluster, bad: bool) -> (f64, f64) {
    let (mut sink, receiver, db) = (Sink::start(), Receiver::start(), Database::on(cluster).await);
    let relay = Relay::start(&db.url()).await;
    let neighbours = Sink::start();
    if bad {
        let refusing = format!("http://127.0.0.1:{}/", free_port());
        for url in Sink::BAD.map(|path| format!("{}{path}", neighbours.url)).into_iter().chain([refusing]) {
            db.webhook(&url, "events => '{bad.tick}'").await;
        }
        db.run(&format!(
            "SELECT count(webhook_emit('bad.tick', {DATA})) FROM generate_series(1, {BACKLOG}) n"
        ))
        .await;
        all_read(&db, Duration::from_secs(120)).await;
    }
    db.webhook(&sink.url, "events => '{bench.many}'").await;
    db.webhook(&receiver.url("/timed"), "events => '{bench.tick}'").await;
    let rate = burst(&db, &mut sink, &relay, "bench.many", (EVENTS, 1)).await;
    let arrivals = latency::measure(&db, &receiver, TIMED, Duration::from_millis(4)).await;
    let mut latencies: Vec<f64> = arrivals.iter().map(|arrival| arrival.whole).collect();
    latencies.sort_by(f64::total_cmp);
    (rate, quantile(&latencies, 0.99))
}
