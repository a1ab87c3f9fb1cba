//! From commit to arrival, at a rate at which the relay sleeps between events, and at half of what it can do.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::{Receiver, Request};
use webhook_tests::relay::Relay;

use crate::goals::Goal::AtMost;
use crate::report::{Report, quantile};
use crate::sink::Sink;
use crate::throughput::burst;
use crate::{cpu, listener, recorded};

/// Ours and a bare listener's take turns, so many times.
const ROUNDS: usize = 5;
const EVENTS: usize = 120;
/// To find out what it can do.
const BURST: usize = 50_000;
const LOADED: Duration = Duration::from_secs(10);
const LOADED_STEP: Duration = Duration::from_millis(20);

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let mut report = Report::new(
        "latency",
        "20 events a second, 30 s in all, from sending COMMIT to the request's arrival, in turn with a bare listener's",
    );
    let (db, receiver, bare) = (Database::on(cluster).await, Receiver::start(), Receiver::start());
    let relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let _listener = listener::start(&db, bare.url("/hook")).await;
    let (mut arrivals, mut bares, mut cpu) = (Vec::new(), Vec::new(), [0.0; 2]);
    for _ in 0..ROUNDS {
        let before = [cpu::seconds(relay.pid()), cpu::family(cluster.pid())];
        arrivals.extend(measure(&db, &receiver, EVENTS, Duration::from_millis(10), emit).await);
        recorded(&db, arrivals.len()).await;
        cpu[0] += cpu::seconds(relay.pid()) - before[0];
        cpu[1] += cpu::family(cluster.pid()) - before[1];
        bares.extend(measure(&db, &bare, EVENTS, Duration::from_millis(10), listener::emit).await);
    }
    let (commits, latencies) = (sorted(&arrivals, |a| a.commit), sorted(&arrivals, |a| a.whole));
    let after = sorted(&arrivals, |a| a.whole - a.commit);
    let (bare_latencies, bare_after) = (sorted(&bares, |a| a.whole), sorted(&bares, |a| a.whole - a.commit));
    report.add(
        "commit_p50_ms",
        quantile(&commits, 0.5),
        "ms of it until the emitter hears that it is committed",
    );
    report.add("commit_p99_ms", quantile(&commits, 0.99), "ms");
    report.want("latency_p50_ms", quantile(&latencies, 0.5), "ms", AtMost(1.5));
    report.want("latency_p99_ms", quantile(&latencies, 0.99), "ms", AtMost(5.0));
    report.add("latency_max_ms", quantile(&latencies, 1.0), "ms");
    report.add("bare_p50_ms", quantile(&bare_latencies, 0.5), "ms by the bare listener");
    report.add("bare_p99_ms", quantile(&bare_latencies, 0.99), "ms by the bare listener");
    report.add("after_commit_p50_ms", quantile(&after, 0.5), "ms after the emitter heard (the sketch: 0.35)");
    report.add("after_commit_p99_ms", quantile(&after, 0.99), "ms after the emitter heard (the sketch: 0.8)");
    report.add("bare_after_commit_p50_ms", quantile(&bare_after, 0.5), "ms by the bare listener");
    report.add("bare_after_commit_p99_ms", quantile(&bare_after, 0.99), "ms by the bare listener");
    let thousands = arrivals.len() as f64 / 1000.0;
    report.add("relay_cpu_s_per_1000", cpu[0] / thousands, "s of the relay");
    report.add("postgres_cpu_s_per_1000", cpu[1] / thousands, "s of Postgres, the emitting session too");
    drop(relay);
    loaded(cluster, &mut report).await;
    report.write();
}

fn sorted(arrivals: &[Arrival], of: fn(&Arrival) -> f64) -> Vec<f64> {
    let mut times: Vec<f64> = arrivals.iter().map(of).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Half as many events a second as it delivers at most, in a transaction each 20 ms; by the database's clock.
async fn loaded(cluster: &Cluster, report: &mut Report) {
    let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
    let relay = Relay::start(&db.url()).await;
    db.webhook(&sink.url, "").await;
    let most = burst(&db, &mut sink, &relay, "bench.burst", (BURST, 1)).await;
    recorded(&db, BURST).await;
    let each = (most / 2.0 * LOADED_STEP.as_secs_f64()) as usize;
    let emit = format!(
        "SELECT count(webhook_emit('bench.tick', {})) FROM generate_series(1, {each}) n",
        crate::DATA
    );
    let mut tick = interval(LOADED_STEP);
    let (start, mut emitted) = (Instant::now(), 0);
    while start.elapsed() < LOADED {
        tick.tick().await;
        db.run(&emit).await;
        emitted += each;
    }
    report.add("loaded_per_second", emitted as f64 / start.elapsed().as_secs_f64(), "events a second");
    report.add("loaded_to_most", emitted as f64 / start.elapsed().as_secs_f64() / most, "of what it can do");
    recorded(&db, BURST + emitted).await;
    let taken = async |part: f64| {
        let sql = format!(
            "SELECT percentile_cont({part}) WITHIN GROUP (ORDER BY extract(epoch FROM a.at - e.created_at) * 1000 + a.response_time_ms) \
             FROM webhook.events e JOIN webhook.attempts a ON a.event_id = e.id WHERE e.type = 'bench.tick'"
        );
        db.value(&sql).await.parse().expect("milliseconds")
    };
    report.add("loaded_p50_ms", taken(0.5).await, "ms from emission to answer");
    report.want("loaded_p99_ms", taken(0.99).await, "ms from emission to answer", AtMost(100.0));
}

/// What one event took, in milliseconds.
#[derive(Clone, Copy)]
pub struct Arrival {
    /// From sending COMMIT to the answer to it.
    pub commit: f64,
    /// From sending COMMIT to the request's arrival.
    pub whole: f64,
}

/// A query that emits event `n` and returns its id.
pub fn emit(n: usize) -> String {
    format!("SELECT webhook_emit('bench.tick', {}) FROM (VALUES ({n})) v(n)", crate::DATA)
}

/// Emits `events` events, one at a time within five steps, and waits until they have arrived.
pub async fn measure(
    db: &Database<'_>,
    receiver: &Receiver,
    events: usize,
    step: Duration,
    emit: fn(usize) -> String,
) -> Vec<Arrival> {
    let before = receiver.count();
    let mut committed = HashMap::new();
    // Five steps, of which one emits, now this, now that: no rhythm that a poll could fall into.
    let mut tick = interval(step);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 0..events {
        let offset = n * 7 % 5;
        for place in 0..5 {
            tick.tick().await;
            if place == offset {
                db.run("BEGIN").await;
                let id = db.value(&emit(n)).await;
                let start = Instant::now();
                db.run("COMMIT").await;
                committed.insert(id, (start, start.elapsed()));
            }
        }
    }
    let requests = receiver.wait_for(before + events).await;
    let arrival = |request: &Request| {
        let (start, commit) = committed[request.header("webhook-id")];
        Arrival { commit: commit.as_secs_f64() * 1e3, whole: (request.at - start).as_secs_f64() * 1e3 }
    };
    requests[before..].iter().map(arrival).collect()
}
