//! From commit to arrival, at a rate at which the relay sleeps between events.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::{Receiver, Request};
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
    let (mut latencies, mut commits) = measure(&db, &receiver, EVENTS, Duration::from_millis(10)).await;
    recorded(&db, EVENTS).await;
    latencies.sort_by(f64::total_cmp);
    commits.sort_by(f64::total_cmp);
    report.add(
        "commit_p50_ms",
        quantile(&commits, 0.5),
        "ms of it until the emitter hears that it is committed",
    );
    report.add("latency_p50_ms", quantile(&latencies, 0.5), "ms (1.5 wanted at most)");
    report.add("latency_p99_ms", quantile(&latencies, 0.99), "ms (5 wanted at most)");
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

/// Emits `events` events, one at a time within five steps; returns how long each took from sending COMMIT to arriving, and
/// how long COMMIT took, in milliseconds.
pub async fn measure(
    db: &Database<'_>,
    receiver: &Receiver,
    events: usize,
    step: Duration,
) -> (Vec<f64>, Vec<f64>) {
    let (mut committing, mut commits) = (HashMap::new(), Vec::new());
    // Five steps, of which one emits, now this, now that: no rhythm that a poll could fall into.
    let mut tick = interval(step);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 0..events {
        let offset = n * 7 % 5;
        for place in 0..5 {
            tick.tick().await;
            if place == offset {
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
    let requests = receiver.wait_for(events).await;
    let late = |request: &Request| request.at - committing[request.header("webhook-id")];
    (requests.iter().map(|request| late(request).as_secs_f64() * 1e3).collect(), commits)
}
