//! Throughput over time while a transaction is held open, beside a plain job table under the same load: `FOR UPDATE SKIP
//! LOCKED`, and a worker that keeps 64 requests of reqwest under way. Vacuum can remove nothing of either.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::relay::Relay;

use crate::report::{Report, median};
use crate::sink::Sink;
use crate::{DATA, jobs, plot};

const SECONDS: u32 = 40;
/// Each tenth of a second.
const BATCH: u32 = 1000;
/// The first and the last so many seconds are compared, the very first one left out.
const PART: usize = 10;

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let mut report = Report::new(
        "flat",
        "10,000 events a second while a transaction is held open for the whole run, arrivals each second",
    );
    let ours = relay(cluster).await;
    let theirs = job_table(cluster).await;
    for (name, arrivals) in [("relay", &ours), ("job_table", &theirs)] {
        let (first, last) =
            (median(arrivals[1..=PART].to_vec()), median(arrivals[arrivals.len() - PART..].to_vec()));
        report.add(&format!("{name}_first_per_second"), first, "arrivals a second, seconds 2 to 11");
        report.add(&format!("{name}_last_per_second"), last, "arrivals a second, the last 10 seconds");
        report.add(&format!("{name}_last_to_first"), last / first, "of what it was");
    }
    let points = |arrivals: &[f64]| arrivals.iter().enumerate().map(|(n, y)| (n as f64 + 1.0, *y)).collect();
    plot::lines(
        "flat",
        "Deliveries while a transaction is held open",
        "seconds",
        "arrivals a second",
        &[("pg_webhook", points(&ours)), ("SKIP LOCKED job table, 64 in flight", points(&theirs))],
    );
    report.write();
}

async fn relay(cluster: &Cluster) -> Vec<f64> {
    let (sink, db) = (Sink::start(), Database::on(cluster).await);
    let _relay = Relay::start(&db.url()).await;
    db.webhook(&sink.url, "").await;
    let emit = format!("SELECT count(webhook_emit('bench.tick', {DATA})) FROM generate_series(1, {BATCH}) n");
    arrivals(&db, sink, emit).await
}

async fn job_table(cluster: &Cluster) -> Vec<f64> {
    let (sink, db) = (Sink::start(), Database::on(cluster).await);
    let _workers = jobs::work_on(&db, jobs::Work::Send).await;
    let insert = jobs::queue(&sink.url, BATCH as usize);
    arrivals(&db, sink, insert).await
}

/// What arrives each second while `produce` runs ten times a second and a transaction is held.
async fn arrivals(db: &Database<'_>, mut sink: Sink, produce: String) -> Vec<f64> {
    let holder = db.connect().await;
    holder.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()").await;
    let producer = db.connect().await;
    let producing = tokio::spawn(async move {
        let mut tick = interval(Duration::from_millis(100));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            producer.run(&produce).await;
        }
    });
    let start = Instant::now();
    let (mut before, mut arrived) = (0, Vec::new());
    for second in 1..=SECONDS {
        sleep_until(start + Duration::from_secs(1) * second).await;
        let count = sink.count();
        arrived.push((count - before) as f64);
        before = count;
    }
    producing.abort();
    holder.run("ROLLBACK").await;
    arrived
}
