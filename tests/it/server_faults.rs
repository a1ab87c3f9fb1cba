//! Postgres is there, but refuses, makes wait, ends sessions or stands still: the relay lives on, and nothing is lost.

use std::collections::HashSet;

use webhook_tests::database::Database;
use webhook_tests::process::{Signal, signal_to};
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;

const DELIVERED: &str = "SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'";
const EMIT: &str = "SELECT webhook_emit('user.created', '{}')";

/// A role for the relay alone, and the address with which it comes.
async fn role(db: &Database<'_>) -> (String, String) {
    let role = format!("relay_{}", db.name());
    db.run(&format!("CREATE ROLE {role} LOGIN; SELECT webhook_grant('{role}', 'relay')")).await;
    let url = db.url().replace("user=postgres", &format!("user={role}"));
    (role, url)
}

/// The sessions of a role, of which the main one holds the lead.
fn sessions(role: &str) -> String {
    format!("FROM pg_stat_activity WHERE usename = '{role}'")
}

async fn forget(db: &Session, role: &str) {
    db.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn no_connection_is_left_for_it() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let (role, url) = role(&db).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let relay = Relay::start(&url).await;
    db.run(EMIT).await;
    db.until(DELIVERED, "1").await;
    db.run(&format!(
        "ALTER ROLE {role} CONNECTION LIMIT 0; SELECT pg_terminate_backend(pid) {}",
        sessions(&role)
    ))
    .await;
    relay.logs().wait_for("too many connections").await;
    db.run(EMIT).await;
    assert_eq!(receiver.count(), 1, "the fault landed; the user's write went on");
    db.run(&format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await;
    db.until(DELIVERED, "2").await;
    assert_eq!(receiver.count(), 2, "nothing twice");
    assert!(relay.terminate().await.success());
    forget(&db, &role).await;
}

#[tokio::test]
async fn its_role_has_timeouts_that_are_far_too_short() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let (role, url) = role(&db).await;
    for setting in [
        "statement_timeout = '20ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '100ms'",
        "idle_session_timeout = '20ms'",
    ] {
        db.run(&format!("ALTER ROLE {role} SET {setting}")).await;
    }
    let session = Session::open(&url).await;
    assert_eq!(session.value("SHOW statement_timeout").await, "20ms", "the fault landed");
    db.webhook(&receiver.url("/hook"), "").await;
    let relay = Relay::start(&url).await;
    let other = db.connect().await;
    other.run("BEGIN; LOCK TABLE webhook.attempts_default IN EXCLUSIVE MODE").await;
    db.run(EMIT).await;
    let waits = format!(
        "SELECT count(*) > 0 {} AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > '100 milliseconds'",
        sessions(&role)
    );
    db.until(&waits, "t").await;
    other.run("COMMIT").await;
    db.until(DELIVERED, "1").await;
    assert_eq!(receiver.count(), 1);
    assert!(relay.terminate().await.success());
    forget(&db, &role).await;
}

#[tokio::test]
async fn a_table_of_ours_is_locked_for_longer_than_it_waits() {
    for table in ["events", "attempts", "pending", "cursors"] {
        let (db, receiver) = (Database::new().await, Receiver::start());
        db.webhook(&receiver.url("/hook"), "").await;
        let relay = Relay::start(&db.url()).await;
        db.run(EMIT).await;
        db.until(DELIVERED, "1").await;
        let other = db.connect().await;
        other.run(&format!("BEGIN; LOCK TABLE webhook.{table} IN ACCESS EXCLUSIVE MODE")).await;
        let writer = db.connect().await;
        let writing = tokio::spawn(async move { writer.run(EMIT).await });
        // Without what is pending only claims have to wait.
        let said = if table == "pending" { "could not be claimed" } else { "WARN" };
        relay.logs().wait_for(said).await;
        other.run("COMMIT").await;
        writing.await.expect("the writer");
        db.until(DELIVERED, "2").await;
        let ids: HashSet<_> =
            receiver.requests().iter().map(|request| request.header("webhook-id").to_owned()).collect();
        assert!(ids.len() == 2 && receiver.count() <= 3, "{table}: once more at most what was in flight");
        assert!(
            relay.status().is_none() && relay.terminate().await.success(),
            "{table}: {}",
            relay.logs().text()
        );
    }
}

#[tokio::test]
async fn its_sessions_are_ended_again_and_again() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let (role, url) = role(&db).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let relay = Relay::start(&url).await;
    let (mut ended, mut emitted) = (0, 0);
    while ended < 20 {
        db.until(&format!("SELECT count(*) > 0 {}", sessions(&role)), "t").await;
        db.run(&format!("{EMIT} FROM generate_series(1, 50)")).await;
        emitted += 50;
        ended += db.rows(&format!("SELECT pg_terminate_backend(pid) {}", sessions(&role))).await.len();
    }
    db.until(DELIVERED, &emitted.to_string()).await;
    db.until("SELECT backlog + pending FROM webhook_stats()", "0").await;
    let mut seen = HashSet::new();
    let twice = receiver
        .requests()
        .iter()
        .filter(|request| !seen.insert(request.header("webhook-id").to_owned()))
        .count();
    assert!(seen.len() == emitted && twice < emitted, "{twice} twice");
    assert!(relay.terminate().await.success());
    forget(&db, &role).await;
}

#[tokio::test]
async fn the_process_of_its_main_session_stands_still() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let (role, url) = role(&db).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let relay = Relay::start(&url).await;
    relay.logs().wait_for("this relay leads").await;
    let leads = "SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                 WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()";
    let frozen: u32 = db.value(leads).await.parse().expect("a pid");
    signal_to(frozen, Signal::STOP);
    db.run(EMIT).await;
    relay.logs().wait_for("did not answer in time").await;
    assert_eq!(receiver.count(), 0, "the fault landed");
    // It holds the lead until the server notices that its client is gone.
    signal_to(frozen, Signal::CONT);
    db.until(DELIVERED, "1").await;
    assert_eq!(receiver.count(), 1);
    assert!(relay.terminate().await.success());
    forget(&db, &role).await;
}

#[tokio::test]
async fn our_tables_are_rewritten_under_load() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    db.run("SELECT webhook._relay_maintain()").await;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), r#"options => '{"ordered": true}'"#).await;
    let relay = Relay::start(&db.url()).await;
    let writer = db.connect().await;
    let writing = tokio::spawn(async move {
        for n in 0..300 {
            writer.run(&format!("SELECT webhook_emit('user.updated', '{{\"n\": {n}}}', key => 'k')")).await;
        }
    });
    let tables = "SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'webhook'::regnamespace AND c.relkind = 'r'
                  AND c.relpersistence = 'p'";
    for table in db.rows(tables).await.concat() {
        let node = "SELECT relfilenode FROM pg_class WHERE oid = ";
        let before = db.value(&format!("{node}'{table}'::regclass")).await;
        db.run(&format!("VACUUM (FULL, ANALYZE) {table}")).await;
        assert_ne!(db.value(&format!("{node}'{table}'::regclass")).await, before, "the fault landed");
        db.run(&format!("REINDEX TABLE {table}")).await;
    }
    db.run("CLUSTER webhook.pending USING pending_pkey").await;
    writing.await.expect("the writer");
    let delivered = format!(
        "SELECT count(*) FROM webhook_deliveries('{webhook}', \"limit\" => 1000) WHERE status = 'delivered'"
    );
    db.until(&delivered, "300").await;
    let order: Vec<_> =
        receiver.requests().iter().map(|request| request.json()["data"]["n"].as_u64()).collect();
    assert!(order.len() == 300 && order.is_sorted(), "{order:?}");
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn its_database_is_dropped_and_comes_back() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    let admin = db.cluster().connect("postgres").await;
    admin.run(&format!("DROP DATABASE {} WITH (FORCE)", db.name())).await;
    relay.logs().wait_for("does not exist").await;
    admin.run(&format!("CREATE DATABASE {}", db.name())).await;
    relay.logs().wait_for("the extension pg_webhook is not in this database").await;
    let again = db.connect().await;
    again.run("CREATE EXTENSION pg_webhook").await;
    again.run(&format!("SELECT webhook_create('{}')", receiver.url("/hook"))).await;
    again.run(EMIT).await;
    receiver.wait_for(1).await;
    assert!(relay.terminate().await.success());
}
