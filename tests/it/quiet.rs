//! What a relay's sessions are seen doing.

use std::collections::BTreeSet;

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::relay::Relay;
use webhook_tests::until::until;

const RELAY: &str = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test]
async fn under_load_none_is_ever_seen_idle_in_a_transaction() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let webhooks = [
        ("/well", "{}"),
        ("/ordered", r#"{"ordered": true}"#),
        ("/fails", r#"{"retry_schedule": ["1 second"]}"#),
    ];
    receiver.answer("/fails", [Reply::status(500), Reply::status(200)]);
    for (path, options) in webhooks {
        db.webhook(&receiver.url(path), &format!("events => '{{user.*}}', options => '{options}'")).await;
    }
    let relay = Relay::start(&db.url()).await;
    let writer = db.connect().await;
    let writing = tokio::spawn(async move {
        for n in 0..200 {
            writer.run(&format!("SELECT webhook_emit('user.created', '{{}}', key => 'k' || n) FROM generate_series({n}, {n} + 9) n")).await;
        }
        // It is not one of the relay's sessions.
        drop(writer);
    });
    let (mut seen, mut done) = (BTreeSet::new(), false);
    while !done {
        seen.extend(
            db.rows(&format!("SELECT state {RELAY} AND backend_type = 'client backend'")).await.concat(),
        );
        done = db.value("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'").await == "6000";
    }
    writing.await.expect("the writer");
    assert!(seen.contains("active"), "it was looked at while it worked");
    assert!(!seen.iter().any(|state| state.contains("transaction")), "{seen:?}");
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn when_nothing_happens_few_statements_come_and_only_heartbeats_write() {
    let there = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_stat_statements'";
    if Database::new().await.value(there).await == "0" {
        println!("NOT CHECKED: an idle system, as there is no pg_stat_statements");
        return;
    }
    let cluster = Cluster::start(&["autovacuum=off", "shared_preload_libraries=pg_stat_statements"]).await;
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    db.run("CREATE EXTENSION pg_stat_statements").await;
    db.webhook(&receiver.url("/hook"), "").await;
    let relay = Relay::start(&db.url()).await;
    relay.logs().wait_for("maintenance").await;
    db.emit("user.created", "{}").await;
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'", "1").await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;

    // Ours speak of the statistics themselves.
    let since = async |beats: u64| -> [u64; 3] {
        let sql = "SELECT coalesce(sum(calls) FILTER (WHERE query ~ '_relay_beat'), 0), sum(calls), sum(wal_records) FILTER (WHERE query !~ '_relay_beat')
                   FROM pg_stat_statements WHERE query !~ 'pg_stat_statements'";
        until("heartbeats", async || {
            let row: Vec<u64> =
                db.rows(sql).await.concat().iter().map(|text| text.parse().expect("a number")).collect();
            if row[0] >= beats { Ok([row[0], row[1], row[2]]) } else { Err(format!("{row:?}")) }
        })
        .await
    };
    // Its first two come when it has settled.
    let before = since(2).await;
    let after = since(before[0] + 2).await;
    let [beats, statements, written] = [0, 1, 2].map(|n| after[n] - before[n]);
    assert!(statements <= 15 * beats, "{statements} statements in {beats} times five seconds");
    assert_eq!(written, 0, "nothing else is in the WAL");
    assert!(relay.terminate().await.success());
}
