//! What delivery costs when much has gathered: ten million events of history and a million pending deliveries of a dead
//! webhook, or ten thousand webhooks; and the relay's memory before a backlog of ten million.

use std::time::{Duration, Instant};

use webhook_tests::cluster::{Cluster, free_port};
use webhook_tests::database::Database;
use webhook_tests::relay::Relay;

use crate::all_read;
use crate::goals::Goal::{AtLeast, AtMost};
use crate::report::{Report, median};
use crate::sink::Sink;
use crate::throughput::burst;

const MILLION: usize = 1_000_000;
const HISTORY_MILLIONS: usize = 10;
const WEBHOOKS: usize = 10_000;
const ROUNDS: usize = 5;
const EVENTS: usize = 20_000;
/// So much of the backlog is delivered before it is made history.
const DELIVERED: usize = 200_000;

const PATIENCE: Duration = Duration::from_secs(900);

/// One database with its relay and its receiver.
struct Site<'a> {
    db: Database<'a>,
    sink: Sink,
    relay: Relay,
}

impl<'a> Site<'a> {
    async fn new(cluster: &'a Cluster) -> Self {
        let (db, sink) = (Database::on(cluster).await, Sink::start());
        let relay = Relay::start(&db.url()).await;
        Self { db, sink, relay }
    }

    async fn burst(&mut self) -> f64 {
        burst(&self.db, &mut self.sink, &self.relay, "bench.many", (EVENTS, 1)).await
    }
}

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let mut report = Report::new(
        "grown",
        "20,000 events to one webhook: on a new database, after 10 million events and with a million pending ones of a dead webhook, and beside 10,000 webhooks",
    );
    let (mut new, mut many, mut old) =
        (Site::new(cluster).await, Site::new(cluster).await, Site::new(cluster).await);
    many.db
        .run(&format!(
            "SELECT count(webhook_create('http://127.0.0.1:8009/' || n, name => 'w' || n, events => ARRAY['other.e' || n]))
             FROM generate_series(1, {WEBHOOKS}) n"
        ))
        .await;
    grow(&mut old, &mut report).await;
    for site in [&new, &many, &old] {
        site.db.webhook(&site.sink.url, "events => '{bench.many}'").await;
    }
    let mut rates = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (site, rates) in [&mut new, &mut many, &mut old].into_iter().zip(&mut rates) {
            rates.push(site.burst().await);
        }
    }
    let [new, many, old] = rates.map(median);
    report.add("new_per_second", new, "arrivals a second, new database");
    report.add("history_per_second", old, "arrivals a second, 10 million events and a million pending");
    report.want("history_to_new", old / new, "of a new one", AtLeast(0.9));
    report.add("webhooks_per_second", many, "arrivals a second, 10,000 webhooks");
    report.want("webhooks_to_new", many / new, "of a new one", AtLeast(0.9));
    report.write();
}

/// A million pending, then ten million unread, of which the first are delivered and the others skipped.
async fn grow(site: &mut Site<'_>, report: &mut Report) {
    let dead = format!("http://127.0.0.1:{}/", free_port());
    site.db.webhook(&dead, "events => '{dead.tick}'").await;
    emit(site, "dead.tick", 1).await;
    all_read(&site.db, PATIENCE).await;
    let pending: f64 = site.db.value("SELECT count(*) FROM webhook.pending").await.parse().expect("a number");
    report.add("pending_millions", pending / MILLION as f64, "million deliveries of a dead webhook pending");

    let (live, _) = site.db.webhook(&site.sink.url, "events => '{backlog.tick}'").await;
    site.relay.terminate().await;
    emit(site, "backlog.tick", HISTORY_MILLIONS).await;
    site.relay = Relay::start(&site.db.url()).await;
    site.sink.wait_for(DELIVERED, &site.relay).await;
    site.db.run(&format!("SELECT webhook_delete('{live}')")).await;
    let start = Instant::now();
    all_read(&site.db, PATIENCE).await;
    let rest = (HISTORY_MILLIONS * MILLION - site.sink.count()) as f64;
    report.add(
        "skipped_per_second",
        rest / start.elapsed().as_secs_f64(),
        "events a second that nobody wants",
    );
    report.want(
        "backlog_peak_memory_mib",
        site.relay.peak_memory() as f64 / 1024.0,
        "MiB of the relay before 10 million unread events and a million pending",
        AtMost(128.0),
    );
}

async fn emit(site: &Site<'_>, kind: &str, millions: usize) {
    for _ in 0..millions * 4 {
        site.db
            .run(&format!(
                "SELECT count(webhook_emit('{kind}', '{{\"n\": 1}}')) FROM generate_series(1, {})",
                MILLION / 4
            ))
            .await;
    }
}
