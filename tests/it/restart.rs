//! Postgres goes away under load: the relay reconnects by itself, nothing committed is lost, nothing else is sent.

use std::collections::HashSet;

use webhook_tests::cluster::{Cluster, Stop};
use webhook_tests::database::Database;
use webhook_tests::fault::Proxy;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;
use webhook_tests::until::until;

/// Emits until the server goes away; returns the ids of the events whose commit was acknowledged.
pub async fn emit_until_cut(session: Session) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while let Ok(rows) = session.try_rows("SELECT webhook_emit('user.created', '{}')").await {
        acknowledged.push(rows[0][0].clone());
    }
    acknowledged
}

/// What was acknowledged, and one event more, arrives, and of all events nothing that was not committed.
pub async fn nothing_is_lost(
    session: &Session,
    receiver: &Receiver,
    relay: &Relay,
    mut acknowledged: HashSet<String>,
) {
    acknowledged.insert(session.value("SELECT webhook_emit('user.created', '{}')").await);
    let sent =
        || receiver.requests().iter().map(|r| r.header("webhook-id").to_string()).collect::<HashSet<_>>();
    until("all that was committed to arrive", async || {
        let missing = acknowledged.difference(&sent()).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} are missing\n{}", relay.logs().text())) }
    })
    .await;
    session.until("SELECT backlog FROM webhook_stats()", "0").await;
    session.until("SELECT pending FROM webhook_stats()", "0").await;
    let committed = session.rows("SELECT id FROM webhook.events").await.concat();
    assert_eq!(sent(), committed.into_iter().collect(), "and nothing that never was");
}

async fn survives(how: Stop) {
    let cluster = Cluster::start(&[]).await;
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let writers: Vec<_> =
        [db.connect().await, db.connect().await].map(emit_until_cut).map(tokio::spawn).into();
    receiver.wait_for(200).await;
    let before = cluster.pid();
    cluster.restart(how).await;
    assert_ne!(cluster.pid(), before, "the fault landed");

    let mut acknowledged = HashSet::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("a writer"));
    }
    let session = db.connect().await;
    nothing_is_lost(&session, &receiver, &relay, acknowledged).await;
    let log = "SELECT count(*) - count(DISTINCT event_id) FROM webhook.deliveries";
    assert_eq!(session.value(log).await, "0");
}

#[tokio::test]
async fn an_immediate_shutdown() {
    survives(Stop::Immediate).await;
}

#[tokio::test]
async fn a_kill_of_all_its_processes() {
    survives(Stop::Kill).await;
}

#[tokio::test]
async fn a_fast_shutdown() {
    survives(Stop::Fast).await;
}

#[tokio::test]
async fn the_way_to_postgres_is_cut_and_comes_back() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let proxy = Proxy::before(db.cluster().address()).await;
    let url = format!(
        "host={} port={} user=postgres dbname={}",
        proxy.address().ip(),
        proxy.address().port(),
        db.name()
    );
    let relay = Relay::start(&url).await;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    proxy.cut();
    db.emit("user.created", "{}").await;
    receiver.wait_for(2).await;
    proxy.refuse();
    db.emit("user.created", "{}").await;
    proxy.pass();
    let delivered = format!(
        "SELECT count(*) FROM webhook.deliveries WHERE webhook_id = '{webhook}' AND status = 'delivered'"
    );
    db.until(&delivered, "3").await;
    relay.ready().await;
}

#[tokio::test]
async fn what_is_recorded_is_kept_though_commits_do_not_wait_for_the_disk() {
    let cluster = Cluster::start(&["synchronous_commit=off", "wal_writer_delay=10s"]).await;
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    let delivered = format!(
        "SELECT count(*) FROM webhook.deliveries WHERE webhook_id = '{webhook}' AND status = 'delivered'"
    );
    cluster.freeze_wal_writer().expect("there is one");
    db.emit("user.created", "{}").await;
    db.until(&delivered, "1").await;
    cluster.restart(Stop::Kill).await;
    let session = db.connect().await;
    assert_eq!(session.value(&delivered).await, "1");
    session.run("SELECT webhook_emit('user.created', '{}')").await;
    session.until(&delivered, "2").await;
    assert_eq!(receiver.count(), 2, "nothing twice\n{}", relay.logs().text());
}
