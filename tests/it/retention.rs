//! Partitions come ahead and go when they are past `webhook.retention` and nobody needs them any more.

use webhook_tests::clock;
use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;

/// Days of which there are partitions, counted from the first day.
const DAYS: &str = "
    SELECT DISTINCT to_date(right(c.relname, 8), 'YYYYMMDD') - (SELECT min(created_at)::date FROM webhook.webhooks) AS day
    FROM pg_class c WHERE c.relname ~ '^(events|attempts)_[0-9]{8}$' AND c.relkind = 'r' ORDER BY day";
const IN_DEFAULT: &str =
    "SELECT (SELECT count(*) FROM webhook.events_default) + (SELECT count(*) FROM webhook.attempts_default)";
const EMIT: &str = "SELECT webhook_emit('user.created', '{}')";
const MAINTAIN: &str = "SELECT webhook._relay_maintain()";

/// A cluster whose clock can go ahead, if that can be had.
async fn cluster() -> Option<Cluster> {
    if !clock::exists() {
        println!("NOT CHECKED: there is no libfaketime");
        return None;
    }
    Some(Cluster::start(&["fsync=off", "synchronous_commit=off", "timezone=UTC"]).await)
}

async fn three_days_kept(cluster: &Cluster) -> Database<'_> {
    let db = Database::on(cluster).await;
    db.run(&format!("ALTER DATABASE {} SET webhook.retention = '3 days'", db.name())).await;
    db
}

/// So many days later. A server with such a clock has no working timeouts (signal handlers see the true time), so that a relay's
/// own maintenance and this session would wait for each other for good: the relay comes when all is maintained.
async fn later(db: &Database<'_>, days: u32) -> Session {
    db.cluster().restart_ahead(days).await;
    db.connect().await
}

#[tokio::test]
async fn a_week() {
    let Some(cluster) = cluster().await else { return };
    let (db, receiver) = (three_days_kept(&cluster).await, Receiver::start());
    receiver.answer("/fails", [Reply::status(500), Reply::status(200)]);
    db.webhook(&receiver.url("/hook"), "events => '{user.*}'").await;
    let patient = r#"events => '{order.paid}', options => '{"retry_schedule": ["30 days"]}'"#;
    db.webhook(&receiver.url("/fails"), patient).await;
    let relay = Relay::start(&db.url()).await;
    let waiting = db.emit("order.paid", "{}").await;
    db.until("SELECT count(*) FROM webhook.pending WHERE attempts = 1 AND lease = 0", "1").await;
    assert!(relay.terminate().await.success());
    for day in 0..8 {
        let session = later(&db, day).await;
        session.run(MAINTAIN).await;
        session.run(EMIT).await;
        let relay = Relay::start(&db.url()).await;
        receiver.wait_for_path("/hook", day as usize + 1).await;
        session.until("SELECT backlog FROM webhook_stats()", "0").await;
        assert!(relay.terminate().await.success());
    }
    let session = db.connect().await;
    let days = ["0", "4", "5", "6", "7", "8", "9"];
    assert_eq!(session.rows(DAYS).await.concat(), days, "three days, today, two to come, and what waits");
    assert_eq!(session.value("SELECT count(*) FROM webhook.events WHERE type LIKE 'user.%'").await, "5");
    assert_eq!(session.value(IN_DEFAULT).await, "0");

    let session = later(&db, 34).await;
    session.run(MAINTAIN).await;
    session.run(EMIT).await;
    let relay = Relay::start(&db.url()).await;
    receiver.wait_for_path("/hook", 9).await;
    session
        .until(&format!("SELECT status FROM webhook_deliveries(event_id => '{waiting}')"), "delivered")
        .await;
    session.until("SELECT backlog FROM webhook_stats()", "0").await;
    assert!(relay.terminate().await.success());
    session.run(MAINTAIN).await;
    assert_eq!(session.rows(DAYS).await.concat(), ["34", "35", "36"]);
}

#[tokio::test]
async fn a_month_without_maintenance() {
    let Some(cluster) = cluster().await else { return };
    let (db, receiver) = (three_days_kept(&cluster).await, Receiver::start());
    db.webhook(&receiver.url("/hook"), "").await;
    db.run(EMIT).await;
    for day in (3..=30).step_by(3) {
        later(&db, day).await.run(EMIT).await;
    }
    let session = db.connect().await;
    assert_eq!(session.value("SELECT count(*) FROM webhook.events_default").await, "11");
    // Today's first, then a past day at a time.
    for _ in 0..11 {
        session.run(MAINTAIN).await;
    }
    assert_eq!(session.value(IN_DEFAULT).await, "0", "what lay there has partitions now");
    assert_eq!(session.value("SELECT count(*) FROM webhook.events").await, "11", "nothing unread is dropped");

    let relay = Relay::start(&db.url()).await;
    // That a day is read for certain is known when later transactions are read.
    for more in 11..14 {
        receiver.wait_for(more).await;
        session.until("SELECT backlog FROM webhook_stats()", "0").await;
        session.run(EMIT).await;
    }
    receiver.wait_for(14).await;
    assert!(relay.terminate().await.success());
    session.run(MAINTAIN).await;
    assert_eq!(session.rows(DAYS).await.concat(), ["27", "30", "31", "32"]);
    assert_eq!(receiver.count(), 14, "none twice");
}

#[tokio::test]
async fn writers_meet_new_partitions() {
    let db = Database::new().await;
    db.run("CREATE TABLE users (id int); SELECT webhook_watch('users', 'user')").await;
    // It has decided for the default partition, and holds it, when the day's is to be made.
    let writer = db.connect().await;
    writer.run("BEGIN; INSERT INTO users VALUES (1)").await;
    writer.run("SELECT count(*) FROM webhook.events").await;
    let days = "SELECT count(*) FROM pg_class WHERE relname ~ '^events_[0-9]{8}$'";
    db.run(MAINTAIN).await;
    assert_eq!(db.value(days).await, "0", "left for later, as it is locked");
    writer.run("INSERT INTO users VALUES (2); COMMIT").await;
    db.run(MAINTAIN).await;
    assert_eq!(db.value(days).await, "3");
    writer.run("INSERT INTO users VALUES (3)").await;
    let places =
        "SELECT data->>'id', tableoid::regclass::text ~ '_[0-9]{8}$' FROM webhook.events ORDER BY seq";
    assert_eq!(db.rows(places).await.concat().join(" "), "1 t 2 t 3 t");
}

/// A query that has looked up the partitions before its rows move to a new one must not miss them.
#[tokio::test]
async fn who_comes_while_rows_move_finds_them() {
    let move_and = async |call: &str| {
        let db = Database::new().await;
        let event = db.emit("order.paid", "{}").await;
        let (webhook, _) = db
            .webhook("https://example.com/", r#"events => '{order.paid}', options => '{"ordered": true}'"#)
            .await;
        let put = format!(
            "INSERT INTO webhook.pending (delivery_id, event_id, webhook_id, reason, due_at) VALUES (webhook._delivery_id('{event}', '{webhook}'), '{event}', '{webhook}', 'due', now())"
        );
        if call.contains("_relay_claim") {
            db.run(&put).await;
        }
        let (other, call) = (db.connect().await, call.replace("WH", &webhook).replace("EVT", &event));
        db.run("BEGIN; SELECT webhook._relay_maintain()").await;
        assert_eq!(db.value("SELECT count(*) FROM webhook.events_default").await, "0", "they move");
        let asking = tokio::spawn(async move { other.rows(&call).await.remove(0).remove(0) });
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        db.until(waits, "1").await;
        db.run("COMMIT").await;
        asking.await.expect("an answer")
    };
    assert_eq!(move_and("SELECT count(*) FROM webhook.events").await, "1");
    let claim = "SELECT data IS NOT NULL FROM webhook._relay_claim('me', 1, 1000, '{}', 9, 9, 9999) LIMIT 1";
    assert_eq!(move_and(claim).await, "t", "a delivery without its event would be failed for good");
    assert_eq!(move_and("SELECT webhook_replay('WH', 'yesterday', status => 'all')").await, "1");
    let record = "SELECT webhook._relay_record('r', NULL, NULL, NULL, NULL, NULL, ARRAY[webhook._delivery_id('EVT', 'WH')], '{EVT}', '{WH}',
                         '{k}', '{OUTCOME}', '{1}', '{0}', '{0}', '{0}', '{NULL}', '{NULL}', '{ordered}', '{NULL}', '{NULL}', '{0}')";
    for outcome in ["spill", "delivered"] {
        assert_eq!(move_and(&record.replace("OUTCOME", outcome)).await, "(,{})", "{outcome}");
    }
}

#[tokio::test]
async fn a_setting_that_makes_no_sense_drops_nothing_and_stops_nobody() {
    for setting in ["'-1 day'", "'0'", "'for ever'", "''", "'1e30 days'"] {
        let (db, receiver) = (Database::new().await, Receiver::start());
        db.run(MAINTAIN).await;
        db.run(&format!("ALTER DATABASE {} SET webhook.retention = {setting}", db.name())).await;
        db.webhook(&receiver.url("/hook"), "").await;
        let event = db.emit("user.created", "{}").await;
        let session = db.connect().await;
        let done = session.value(MAINTAIN).await;
        assert!(done.contains("0 days dropped"), "{setting}: {done}");
        assert_eq!(session.value("SELECT webhook._retention()").await, "30 days", "{setting}");
        let relay = Relay::start(&db.url()).await;
        assert_eq!(receiver.wait_for(1).await[0].header("webhook-id"), event);
        assert!(relay.terminate().await.success());
    }
}
