//! Whether a webhook's `rate_limit` is kept.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::relay::Relay;

use crate::DATA;
use crate::report::Report;
use crate::sink::Sink;

const SECONDS: u32 = 30;

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let mut report =
        Report::new("rate", "arrivals over 30 s at webhooks with a rate_limit and more to do than that");
    for limit in [20, 500] {
        let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
        let _relay = Relay::start(&db.url()).await;
        db.webhook(&sink.url, &format!(r#"options => '{{"rate_limit": {limit}}}'"#)).await;
        let events = limit * SECONDS * 2;
        db.run(&format!(
            "SELECT count(webhook_emit('bench.tick', {DATA})) FROM generate_series(1, {events}) n"
        ))
        .await;
        while sink.count() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        // The first second's worth may come at once.
        sleep(Duration::from_secs(2)).await;
        let (start, before) = (Instant::now(), sink.count());
        sleep_until(start + Duration::from_secs(1) * SECONDS).await;
        let rate = (sink.count() - before) as f64 / start.elapsed().as_secs_f64();
        report.add(&format!("limit_{limit}_per_second"), rate, "arrivals a second");
        report.add(
            &format!("limit_{limit}_ratio"),
            rate / f64::from(limit),
            "of the limit (0.95 to 1.05 wanted)",
        );
    }
    report.write();
}
