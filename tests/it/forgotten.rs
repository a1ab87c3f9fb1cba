//! A crash or a failover undoes transactions, and others get their numbers: a cursor that was read before must not be written
//! after it, or it would count those others as read.

use webhook_tests::cluster::{Cluster, Stop};
use webhook_tests::database::Database;
use webhook_tests::fault::Proxy;
use webhook_tests::session::Session;

const RELAY: &str = "relay_before";

fn lead(relay: &str) -> String {
    format!("SELECT n, \"window\" FROM webhook._relay_lead('{relay}')")
}

async fn next_number(session: &Session) -> u64 {
    let sql = "SELECT pg_snapshot_xmax(pg_current_snapshot())";
    session.value(sql).await.parse().expect("a transaction id")
}

/// Reads, as the leader from `cursor` on, past transactions that are neither on disk nor on a standby; returns the statement that
/// records that.
async fn read_what_is_not_there(session: &Session, cursor: &[String]) -> String {
    for _ in 0..10 {
        // What wrote nothing is not waited for.
        session.run("SELECT pg_current_xact_id()").await;
    }
    let read = format!("SELECT next FROM webhook._relay_read('{}', 0, 0, 100, 1000000, NULL)", cursor[1]);
    let next = session.rows(&read).await.concat().concat();
    let nothing = ["'{}'"; 15].join(", ");
    format!("SELECT webhook._relay_record('{RELAY}', {}, '{next}', 0, 0, 0, {nothing})", cursor[0])
}

/// The next leader finds the one event that there is.
async fn is_found(session: &Session, event: &str) {
    let cursor = session.rows(&lead("relay_after")).await.remove(0);
    let read = format!(
        "SELECT id FROM webhook._relay_read('{}', 0, 0, 100, 1000000, NULL) WHERE id IS NOT NULL",
        cursor[1]
    );
    assert_eq!(session.rows(&read).await.concat(), [event]);
}

#[tokio::test]
async fn by_a_crash() {
    let cluster = Cluster::start(&[]).await;
    let db = Database::on(&cluster).await;
    cluster.freeze_wal_writer().expect("a process to stop");
    let session = db.connect().await;
    let cursor = session.rows(&lead(RELAY)).await.remove(0);
    let record = read_what_is_not_there(&session, &cursor).await;
    let before = next_number(&session).await;
    cluster.restart(Stop::Kill).await;
    let session = db.connect().await;
    assert!(next_number(&session).await < before, "the fault landed");
    let event = session.value("SELECT webhook_emit('user.created', '{}')").await;
    assert_eq!(session.refusal(&record).await.code, "55006");
    is_found(&session, &event).await;
}

#[tokio::test]
async fn by_a_failover() {
    let primary = Cluster::start(&[]).await;
    if !primary.has("pg_basebackup") {
        return;
    }
    let db = Database::on(&primary).await;
    let link = Proxy::before(primary.address()).await;
    let standby = primary.standby(link.address()).await;
    // What the leader took over with gets there, what it reads afterwards does not.
    let session = db.connect().await;
    let cursor = session.rows(&lead(RELAY)).await.remove(0);
    let copy = standby.connect(db.name()).await;
    copy.until("SELECT max(n) FROM webhook.cursors", &cursor[0]).await;
    link.stall();
    let record = read_what_is_not_there(&session, &cursor).await;
    copy.run("SELECT pg_promote()").await;
    let copy = standby.connect(db.name()).await;
    let event = copy.value("SELECT webhook_emit('user.created', '{}')").await;
    assert!(next_number(&copy).await < next_number(&session).await, "the fault landed");
    // A relay whose sessions are on both servers must not carry it over.
    assert_eq!(copy.refusal(&record).await.code, "55006");
    is_found(&copy, &event).await;
    session.run(&record).await;
}

#[tokio::test]
async fn what_was_claimed_where_nobody_knows_of_it_is_sent_again() {
    let db = Database::new().await;
    let (webhook, _) = db.webhook("https://example.com/", "").await;
    let event = db.emit("user.created", "{}").await;
    let delivery = db.value(&format!("SELECT webhook._delivery_id('{event}', '{webhook}')")).await;
    let recorded = format!("SELECT webhook._relay_recorded('{{{delivery}}}')");
    let record = |outcome| {
        format!(
            "SELECT webhook._relay_record('{RELAY}', NULL, NULL, NULL, NULL, NULL, '{{{delivery}}}', '{{{event}}}', '{{{webhook}}}', '{{NULL}}',
                 '{{{outcome}}}', '{{1}}', '{{1}}', '{{7}}', '{{0}}', '{{500}}', '{{1}}', '{{NULL}}', '{{NULL}}', '{{NULL}}', '{{1000}}')"
        )
    };
    db.run(&record("retry")).await;
    assert!(db.rows(&recorded).await.is_empty(), "the next leader would leave it out");
    // It was there, and somebody canceled it: that it had been on its way is logged.
    db.run(&record("hold")).await;
    assert_eq!(db.value(&format!("SELECT webhook_cancel('{delivery}')")).await, "t");
    db.run(&record("retry")).await;
    let logged = "SELECT outcome FROM webhook.attempts ORDER BY number";
    assert_eq!(db.rows(logged).await.concat(), ["canceled", "retry"]);
}

#[tokio::test]
async fn a_failure_on_the_way_since_before_another_relay_delivered_it_means_nothing() {
    let db = Database::new().await;
    let (webhook, _) = db.webhook("https://example.com/", "").await;
    let event = db.emit("user.created", "{}").await;
    let delivery = db.value(&format!("SELECT webhook._delivery_id('{event}', '{webhook}')")).await;
    let record = async |outcome: &str, number: u32, lease: u32, age: u32| {
        db.run(&format!(
            "SELECT webhook._relay_record('{RELAY}', NULL, NULL, NULL, NULL, NULL, '{{{delivery}}}', '{{{event}}}', '{{{webhook}}}', '{{NULL}}',
                 '{{{outcome}}}', '{{{number}}}', '{{1}}', '{{{lease}}}', '{{{age}}}', '{{200}}', '{{1}}', '{{NULL}}', '{{NULL}}', '{{NULL}}', '{{1000}}')"
        ))
        .await;
    };
    let status = async || db.value("SELECT status || attempts FROM webhook.deliveries").await;
    record("delivered", 1, 0, 1000).await;
    // Claimed on a former primary, where it had failed once.
    for outcome in ["retry", "failed"] {
        record(outcome, 2, 7, 2000).await;
        assert_eq!(status().await, "delivered1", "{outcome}");
    }
    // A replay since then, which was canceled on its way.
    record("retry", 2, 7, 500).await;
    assert_eq!(status().await, "canceled2");
}
