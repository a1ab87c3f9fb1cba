//! What is left of the speed under faults that end nothing: of `docs/faults.md`, F5, K7, E16 and A3.

use std::time::{Duration, Instant};

use tokio::time::interval;
use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::fault::Proxy;
use webhook_tests::process::Signal;
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::relay::Relay;

use crate::goals::Goal::{AtLeast, AtMost};
use crate::report::{Report, median};
use crate::sink::Sink;
use crate::throughput::burst;
use crate::{DATA, recorded};

/// Half of what each answer of a far Postgres takes.
const ONE_WAY: Duration = Duration::from_millis(50);
/// What a far receiver's answer takes.
const ANSWER: Duration = Duration::from_millis(100);
const ROUNDS: usize = 3;
const EVENTS: usize = 30_000;

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let mut report =
        Report::new("faults", "a far Postgres, a hot key, a relay that stands still, many subtransactions");
    far_database(cluster, &mut report).await;
    hot_key(cluster, &mut report).await;
    stopped(cluster, &mut report).await;
    subtransactions(cluster, &mut report).await;
    report.write();
}

/// Each answer of Postgres takes a tenth of a second; a transaction of 25 events comes each 50 ms.
async fn far_database(cluster: &Cluster, report: &mut Report) {
    const STEPS: usize = 200;
    let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
    db.webhook(&sink.url, "").await;
    let link = Proxy::before(cluster.address()).await;
    let url = format!("host=127.0.0.1 port={} user=postgres dbname={}", link.address().port(), db.name());
    let relay = Relay::start(&url).await;
    link.move_away(ONE_WAY);
    let emit = format!("SELECT count(webhook_emit('bench.tick', {DATA})) FROM generate_series(1, 25) n");
    let mut tick = interval(ONE_WAY);
    let start = Instant::now();
    for _ in 0..STEPS {
        tick.tick().await;
        db.run(&emit).await;
    }
    sink.wait_for(STEPS * 25, &relay).await;
    let rate = (STEPS * 25) as f64 / start.elapsed().as_secs_f64();
    report.want("far_database_per_second", rate, "deliveries a second of 500 emitted", AtLeast(200.0));
    recorded(&db, STEPS * 25).await;
}

/// Nine of ten events are of one key of an ordered webhook, whose answers take a tenth of a second.
async fn hot_key(cluster: &Cluster, report: &mut Report) {
    const COLD: usize = 20;
    const HOT: usize = 9 * COLD;
    let (receiver, db) = (Receiver::start(), Database::on(cluster).await);
    receiver.answer("/far", [Reply::status(200).after(ANSWER)]);
    let _relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/far"), r#"options => '{"ordered": true}'"#).await;
    let start = Instant::now();
    db.run(&format!(
        "SELECT webhook_emit('bench.tick', to_jsonb(n % 10 = 0), key => CASE n % 10 WHEN 0 THEN n::text ELSE 'hot' END) FROM generate_series(1, {}) n",
        HOT + COLD
    ))
    .await;
    let requests = receiver.wait_for(HOT + COLD).await;
    let last = |cold: bool| {
        let of_kind = requests.iter().filter(|request| request.json()["data"] == cold);
        of_kind.map(|request| (request.at - start).as_secs_f64()).fold(0.0, f64::max)
    };
    // The last one arrives when all before it were answered.
    let each = last(false) / (HOT - 1) as f64;
    report.want(
        "hot_key_per_answer",
        ANSWER.as_secs_f64() / each,
        "of its key while an answer comes",
        AtLeast(1.0),
    );
    report.add(
        "cold_keys_answers",
        last(true) / ANSWER.as_secs_f64(),
        "answers' time until all 20 other keys' had arrived",
    );
}

/// One of three relays, which does not lead, stands still.
async fn stopped(cluster: &Cluster, report: &mut Report) {
    let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
    db.webhook(&sink.url, "").await;
    let mut relays = Vec::new();
    for _ in 0..3 {
        relays.push(Relay::start(&db.url()).await);
    }
    let mut rates = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for stands in [false, true] {
            if stands {
                relays[2].signal(Signal::STOP);
            }
            rates[usize::from(stands)]
                .push(burst(&db, &mut sink, &relays[0], "bench.many", (EVENTS, 1)).await);
            relays[2].signal(Signal::CONT);
        }
    }
    let [all, without] = rates.map(median);
    report.want("one_of_three_stopped", without / all, "of what three deliver", AtLeast(0.6));
}

/// The 99th percentile of `webhook_emit` in each of 10,000 subtransactions of one transaction, to that without them.
async fn subtransactions(cluster: &Cluster, report: &mut Report) {
    let db = Database::on(cluster).await;
    db.run(
        "CREATE FUNCTION timed(apart boolean, OUT p99 float) LANGUAGE plpgsql AS $$
         DECLARE
             began timestamptz;
             ended timestamptz;
             took float[] := '{}';
         BEGIN
             FOR n IN 1..10000 LOOP
                 IF apart THEN
                     BEGIN
                         began := clock_timestamp(); PERFORM webhook_emit('bench.tick', to_jsonb(n)); ended := clock_timestamp();
                     EXCEPTION WHEN division_by_zero THEN NULL; END;
                 ELSE
                     began := clock_timestamp(); PERFORM webhook_emit('bench.tick', to_jsonb(n)); ended := clock_timestamp();
                 END IF;
                 took := took || extract(epoch FROM ended - began)::float;
             END LOOP;
             SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY t) INTO p99 FROM unnest(took) t;
         END $$",
    )
    .await;
    let mut times = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for inner in [false, true] {
            let p99 = db.value(&format!("SELECT timed({inner})")).await;
            times[usize::from(inner)].push(p99.parse::<f64>().expect("seconds"));
        }
    }
    let [plain, inner] = times.map(median);
    report.add(
        "emit_p99_us",
        plain * 1e6,
        "µs, the 99th percentile of webhook_emit in a transaction of 10,000",
    );
    report.want("subtransactions_p99", inner / plain, "times that, each in a subtransaction", AtMost(2.0));
}
