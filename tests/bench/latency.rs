//! From commit to arrival, at a rate at which the relay sleeps between events.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

use crate::report::{Report, quantile};
use crate::{cpu, recorded};

const EVENTS: usize = 600;

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let mut report =
        Report::new("latency", "20 events a second for 30 s, from sending COMMIT to the request's arrival");
    let (db, receiver) = (Database::on(cluster).await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let before = (cpu::seconds(relay.pid()), cpu::family(cluster.pid()));
    let (mut committing, mut commits) = (HashMap::new(), Vec::new());
    // Five steps of 10 ms, of which one emits, now this, now that: no rhythm that a poll could fall into.
    let mut tick = interval(Duration::from_millis(10));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 0..EVENTS {
        let offset = n * 7 % 5;
        for step in 0..5 {
            tick.tick().await;
            if step == offset {
                db.run("BEGIN").await;
                let emit =
                    format!("SELECT webhook_emit('bench.tick', {}) FROM (VALUES ({n})) v(n)", crate::DATA);
                let id = db.value(&emit).await;
                let start = Instant::now();
                committing.insert(id, start);
                db.run("COMMIT").await;
                commits.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let requests = receiver.wait_for(EVENTS).await;
    recorded(&db, EVENTS).await;
    let mut latencies: Vec<f64> = requests
        .iter()
        .map(|request| (request.at - committing[request.header("webhook-id")]).as_secs_f64() * 1e3)
        .collect();
    latencies.sort_by(f64::total_cmp);
    commits.sort_by(f64::total_cmp);
    report.add(
        "commit_p50_ms",
        quantile(&commits, 0.5),
        "ms of it until the emitter hears that it is committed",
    );
    report.add("latency_p50_ms", quantile(&latencies, 0.5), "ms (5 expected at most)");
    report.add("latency_p99_ms", quantile(&latencies, 0.99), "ms");
    report.add("latency_max_ms", quantile(&latencies, 1.0), "ms");
    let thousands = EVENTS as f64 / 1000.0;
    report.add("relay_cpu_s_per_1000", (cpu::seconds(relay.pid()) - before.0) / thousands, "s of the relay");
    report.add(
        "postgres_cpu_s_per_1000",
        (cpu::family(cluster.pid()) - before.1) / thousands,
        "s of Postgres, the emitting session too",
    );
    report.write();
}
