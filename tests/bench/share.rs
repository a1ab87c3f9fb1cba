//! One, two and four relays on one database.

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::relay::Relay;

use crate::report::{Report, median};
use crate::sink::Sink;
use crate::throughput::burst;

const ROUNDS: usize = 5;
const EVENTS: usize = 50_000;

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let mut report = Report::new("share", "50,000 events to one webhook by one, two and four relays");
    let mut alone = 0.0;
    for relays in [1, 2, 4] {
        let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
        db.webhook(&sink.url, "").await;
        let mut running = Vec::new();
        for _ in 0..relays {
            running.push(Relay::start(&db.url()).await);
        }
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            rates.push(burst(&db, &mut sink, &running[0], "bench.many", (EVENTS, 1)).await);
        }
        crate::recorded(&db, ROUNDS * EVENTS).await;
        let rate = median(rates);
        if relays == 1 {
            alone = rate;
        }
        report.add(&format!("relays_{relays}_per_second"), rate, "arrivals a second");
        report.add(&format!("relays_{relays}_to_one"), rate / alone, "of one relay");
        report.add(
            &format!("relays_{relays}_duplicates"),
            (sink.count() - ROUNDS * EVENTS) as f64,
            "requests too many",
        );
    }
    report.write();
}
