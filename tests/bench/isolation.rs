//! What a healthy endpoint gets beside five bad ones with deep backlogs, as a ratio to what it gets while these are paused.

use std::time::Duration;

use tokio::time::sleep;
use webhook_tests::cluster::{Cluster, free_port};
use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

use crate::goals::Goal::{AtLeast, AtMost};
use crate::report::{Report, median, quantile};
use crate::sink::Sink;
use crate::throughput::burst;
use crate::{DATA, all_read, background, cpu, latency};

const ROUNDS: usize = 15;
/// Some six seconds: shorter ones differ by a third among themselves.
const EVENTS: usize = 120_000;
/// For each of the bad ones.
const BACKLOG: usize = 24_000;
/// In each of the first rounds, at fifty a second.
const TIMED: usize = 100;
const TIMED_ROUNDS: usize = 5;

/// Runs the scenario. The two alternate within seconds, as this machine gets slower and faster within a minute.
pub async fn run(cluster: &Cluster) {
    let mut report = Report::new(
        "isolation",
        "120,000 events to a healthy webhook, beside five that hang, answer after 2 s, refuse, send slow bytes or endless bodies, 24,000 events behind each, and while these are paused; 15 rounds in turn",
    );
    let (mut sink, receiver, db) = (Sink::start(), Receiver::start(), Database::on(cluster).await);
    background(&db, false).await;
    let relay = Relay::start(&db.url()).await;
    let mut neighbours = Neighbours::start(&db).await;
    db.webhook(&sink.url, "events => '{bench.many}'").await;
    db.webhook(&receiver.url("/timed"), "events => '{bench.tick}'").await;
    burst(&db, &mut sink, &relay, "bench.many", (EVENTS, 1)).await;
    let (mut rates, mut latencies) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    // What the healthy receiver takes for the same requests tells how fast the machine was.
    let mut slowness = [const { Vec::new() }; 2];
    for n in 0..ROUNDS {
        for bad in [n % 2 == 1, n % 2 == 0] {
            neighbours.pause(&db, !bad).await;
            db.run("CHECKPOINT").await;
            let before = cpu::exactly(sink.pid());
            rates[usize::from(bad)].push(burst(&db, &mut sink, &relay, "bench.many", (EVENTS, 1)).await);
            slowness[usize::from(bad)].push(cpu::exactly(sink.pid()) - before);
            if n < TIMED_ROUNDS {
                let arrivals =
                    latency::measure(&db, &receiver, TIMED, Duration::from_millis(4), latency::emit).await;
                latencies[usize::from(bad)].extend(arrivals.iter().map(|arrival| arrival.whole));
            }
        }
    }
    let steady =
        [0, 1].map(|bad| rates[bad].iter().zip(&slowness[bad]).map(|(rate, slow)| rate * slow).collect());
    for (name, of, how) in
        [("", &rates, ""), ("_at_equal_speed", &steady, ", were the machine as fast each time")]
    {
        let mut ratios: Vec<f64> = of[1].iter().zip(&of[0]).map(|(beside, alone)| beside / alone).collect();
        ratios.sort_by(f64::total_cmp);
        let unit = format!("of what it was, median of the rounds' ratios{how}");
        report.want(&format!("beside_to_alone{name}"), quantile(&ratios, 0.5), &unit, AtLeast(0.95));
        report.add(
            &format!("beside_to_alone{name}_low"),
            quantile(&ratios, 0.25),
            "of it, a quarter of the rounds had less",
        );
        report.add(
            &format!("beside_to_alone{name}_high"),
            quantile(&ratios, 0.75),
            "of it, a quarter had more",
        );
    }
    let [alone, beside] = rates.map(median);
    report.add("alone_per_second", alone, "arrivals a second, median");
    report.add("beside_per_second", beside, "arrivals a second, median");
    let [alone_p99, beside_p99] = latencies.map(|mut latencies| {
        latencies.sort_by(f64::total_cmp);
        quantile(&latencies, 0.99)
    });
    report.add("alone_p99_ms", alone_p99, "ms from commit to arrival at 50 events a second");
    report.add("beside_p99_ms", beside_p99, "ms");
    report.want("p99_beside_to_alone", beside_p99 / alone_p99, "times", AtMost(2.0));
    report.write();
    background(&db, true).await;
}

/// The bad ones.
struct Neighbours {
    sink: Sink,
}

impl Neighbours {
    /// With what waits for them out of the way.
    async fn start(db: &Database<'_>) -> Self {
        let sink = Sink::start();
        let refusing = format!("http://127.0.0.1:{}/", free_port());
        for url in Sink::BAD.map(|path| format!("{}{path}", sink.url)).into_iter().chain([refusing]) {
            db.webhook(&url, r#"events => '{bad.tick}', options => '{"keep_backlog": true}'"#).await;
        }
        db.run(&format!(
            "SELECT count(webhook_emit('bad.tick', {DATA})) FROM generate_series(1, {BACKLOG}) n"
        ))
        .await;
        all_read(db, Duration::from_secs(120)).await;
        Self { sink }
    }

    /// Pauses them or lets them go on, and waits until that shows.
    async fn pause(&mut self, db: &Database<'_>, pause: bool) {
        let status = if pause { "inactive" } else { "active" };
        db.run(&format!(
            r#"SELECT webhook_update(id, '{{"status": "{status}"}}') FROM webhook.webhooks WHERE events = '{{bad.tick}}'"#
        ))
        .await;
        let mut count = self.sink.count();
        loop {
            sleep(Duration::from_secs(1)).await;
            let before = std::mem::replace(&mut count, self.sink.count());
            if (count == before) == pause {
                break;
            }
        }
        // Until the slow ones have answered, or are at their pace.
        sleep(Duration::from_secs(2)).await;
    }
}
