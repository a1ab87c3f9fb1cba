//! Many webhooks for each event, and receivers that are far away.

use std::time::Instant;

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::relay::Relay;

use crate::goals::Goal::{AtLeast, AtMost};
use crate::report::{Report, median};
use crate::sink::Sink;
use crate::throughput::burst;
use crate::{DATA, background, ceiling, recorded};

const ROUNDS: usize = 5;
const EVENTS: usize = 1000;
const WEBHOOKS: usize = 100;
const MANY_WEBHOOKS: usize = 10_000;
const FAR_EVENTS: usize = 30_000;
const FAR_KNOWN: usize = 5000;
const FAR_WEBHOOKS: usize = 1000;

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let mut report = Report::new(
        "fanout",
        "1,000 events for 100 webhooks, in turn with 100,000 for one and a bare loop; one event for 10,000; 30,000 for one that answers after 100 ms, and 30 for each of a thousand such",
    );
    let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
    let relay = Relay::start(&db.url()).await;
    db.webhook(&sink.url, "events => '{bench.one}'").await;
    webhooks(&db, &sink.url, "bench.some", WEBHOOKS).await;
    background(&db, false).await;
    let (mut bare, mut rates) = (Vec::new(), [const { Vec::new() }; 2]);
    for n in 0..ROUNDS {
        let other = Sink::start();
        let took = ceiling::send(&other.url, EVENTS * WEBHOOKS).await.as_secs_f64();
        bare.push((EVENTS * WEBHOOKS) as f64 / took);
        drop(other);
        for many in [n % 2 == 1, n % 2 == 0] {
            let (kind, amount) =
                if many { ("bench.some", (EVENTS, WEBHOOKS)) } else { ("bench.one", (EVENTS * WEBHOOKS, 1)) };
            db.run("CHECKPOINT").await;
            rates[usize::from(many)].push(burst(&db, &mut sink, &relay, kind, amount).await);
        }
    }
    background(&db, true).await;
    let [one, rate] = rates.map(median);
    let bare = median(bare);
    report.add("ceiling_per_second", bare, "signed requests by a bare reqwest loop");
    report.add("one_per_second", one, "arrivals a second, as many events for one webhook");
    report.add("fanout_per_second", rate, "arrivals a second, each event at 100 webhooks");
    report.add("fanout_ratio", rate / bare, "of the ceiling");
    report.want("fanout_to_one", rate / one, "of what one webhook gets", AtLeast(1.0));

    webhooks(&db, &sink.url, "bench.all", MANY_WEBHOOKS).await;
    let (mut done, mut times) = (sink.count(), Vec::new());
    for _ in 0..=ROUNDS {
        let start = Instant::now();
        db.run("SELECT webhook_emit('bench.all', '{}')").await;
        done += MANY_WEBHOOKS;
        recorded(&db, done).await;
        times.push(start.elapsed().as_secs_f64());
    }
    report.add(
        "first_to_10000_s",
        times.remove(0),
        "s from emit to all recorded, of which the relay knows none yet",
    );
    let seconds = median(times);
    report.want("one_event_to_10000_s", seconds, "s from emit to all recorded", AtMost(2.0));
    report.add("one_event_of_ceiling", MANY_WEBHOOKS as f64 / seconds / bare, "of the ceiling");
    drop(relay);

    let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
    let relay = Relay::start_with(&db.url(), &["--max-in-flight", "1024"]).await;
    db.webhook(&format!("{}far", sink.url), r#"options => '{"max_in_flight": 512}'"#).await;
    // It has shown first that it can take so many at a time.
    burst(&db, &mut sink, &relay, "bench.far", (FAR_KNOWN, 1)).await;
    let rate = burst(&db, &mut sink, &relay, "bench.far", (FAR_EVENTS, 1)).await;
    report.want("far_per_second", rate, "arrivals a second, 100 ms away, 512 in flight", AtLeast(4500.0));
    far_apart(cluster, &mut report).await;
    report.write();
}

/// A thousand far webhooks at once: what each has got when half of all has been recorded.
async fn far_apart(cluster: &Cluster, report: &mut Report) {
    let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
    let relay = Relay::start_with(&db.url(), &["--max-in-flight", "1024"]).await;
    webhooks(&db, &format!("{}far", sink.url), "bench.far", FAR_WEBHOOKS).await;
    let each = FAR_EVENTS / FAR_WEBHOOKS;
    let start = Instant::now();
    db.run(&format!("SELECT count(webhook_emit('bench.far', {DATA})) FROM generate_series(1, {each}) n"))
        .await;
    let half = format!("SELECT count(*) >= {} FROM webhook.attempts", FAR_EVENTS / 2);
    db.until(&half, "t").await;
    let shares = db
        .value("SELECT concat_ws(' ', min(n), avg(n), max(n)) FROM (SELECT count(a.webhook_id) AS n FROM webhook.webhooks w LEFT JOIN webhook.attempts a ON a.webhook_id = w.id GROUP BY w.id) s")
        .await;
    let shares: Vec<f64> = shares.split(' ').map(|share| share.parse().expect("a number")).collect();
    sink.wait_for(FAR_EVENTS, &relay).await;
    let rate = FAR_EVENTS as f64 / start.elapsed().as_secs_f64();
    report.add(
        "far_thousand_per_second",
        rate,
        "arrivals a second of a thousand such webhooks, 1,024 in flight",
    );
    report.add(
        "far_thousand_least",
        shares[0] / shares[1],
        "of the mean has the one that has got least, at half",
    );
    report.add("far_thousand_most", shares[2] / shares[1], "of the mean has the one that has got most");
}

async fn webhooks(db: &Database<'_>, url: &str, kind: &str, count: usize) {
    db.run(&format!(
        "SELECT count(webhook_create('{url}', name => '{kind} ' || n, events => '{{{kind}}}')) FROM generate_series(1, {count}) n"
    ))
    .await;
}
