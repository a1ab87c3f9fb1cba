//! Which events are read, and when: commits decide, not ids.

use webhook_tests::cluster::{Cluster, Stop};
use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

fn ids(receiver: &Receiver) -> Vec<String> {
    receiver.requests().iter().map(|request| request.header("webhook-id").to_string()).collect()
}

#[tokio::test]
async fn a_slow_transaction_that_started_first_is_delivered_when_it_commits_and_holds_back_nobody() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let (slow, slower) = (db.connect().await, db.connect().await);
    slower.run("BEGIN").await;
    let slowest = slower.value("SELECT webhook_emit('user.created', '{}')").await;
    slow.run("BEGIN").await;
    let first = slow.value("SELECT webhook_emit('user.created', '{}')").await;
    let mut others = Vec::new();
    for n in 1..=20 {
        others.push(db.emit("user.created", "{}").await);
        receiver.wait_for(n).await;
    }
    assert_eq!(ids(&receiver), others);
    slow.run("COMMIT").await;
    receiver.wait_for(21).await;
    others.push(first);
    others.push(db.emit("user.created", "{}").await);
    receiver.wait_for(22).await;
    slower.run("COMMIT").await;
    others.push(slowest);
    receiver.wait_for(23).await;
    assert_eq!(ids(&receiver), others);
}

#[tokio::test]
async fn a_slow_transaction_outlives_the_relay_that_saw_it_first() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    let slow = db.connect().await;
    slow.run("BEGIN").await;
    let first = slow.value("SELECT webhook_emit('user.created', '{}')").await;
    let other = db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    let delivered = format!(
        "SELECT count(*) FROM webhook.deliveries WHERE webhook_id = '{webhook}' AND status = 'delivered'"
    );
    db.until(&delivered, "1").await;
    relay.kill().await;
    let _relay = Relay::start(&db.url()).await;
    slow.run("COMMIT").await;
    db.until(&delivered, "2").await;
    assert_eq!(ids(&receiver), [other, first]);
}

#[tokio::test]
async fn what_is_rolled_back_is_never_sent() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let emit = "SELECT webhook_emit('user.created', '{}')";
    db.run(&format!("BEGIN; {emit}; ROLLBACK")).await;
    db.run(&format!("BEGIN; {emit}")).await;
    db.refusal("SELECT 1/0").await;
    db.run("ROLLBACK").await;
    db.run("BEGIN; SAVEPOINT a").await;
    db.run(&format!("{emit}; ROLLBACK TO a")).await;
    let kept = db.value(emit).await;
    db.run(&format!("SAVEPOINT b; {emit}; ROLLBACK TO b; COMMIT")).await;
    let marker = db.emit("user.created", "{}").await;
    receiver.wait_for(2).await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    let mut sent = ids(&receiver);
    // Both may have been on their way at once.
    sent.sort();
    assert_eq!(sent, [kept, marker]);
}

#[tokio::test]
async fn a_prepared_transaction_is_sent_when_it_is_committed_elsewhere() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let emit = "SELECT webhook_emit('user.created', '{}')";
    let name = db.name();
    db.run("BEGIN").await;
    let prepared = db.value(emit).await;
    db.run(&format!("PREPARE TRANSACTION '{name}_yes'")).await;
    db.run(&format!("BEGIN; {emit}; PREPARE TRANSACTION '{name}_no'")).await;
    let marker = db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    let other = db.connect().await;
    other.run(&format!("ROLLBACK PREPARED '{name}_no'")).await;
    other.run(&format!("COMMIT PREPARED '{name}_yes'")).await;
    receiver.wait_for(2).await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    assert_eq!(ids(&receiver), [marker, prepared]);
}

#[tokio::test]
async fn many_writers_at_once_lose_and_double_nothing() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let mut writers = Vec::new();
    for writer in 0..8 {
        let session = db.connect().await;
        writers.push(tokio::spawn(async move {
            for n in 0..50 {
                let end = if (writer + n) % 5 == 0 { "ROLLBACK" } else { "COMMIT" };
                let emit = "SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 3)";
                session.run(&format!("BEGIN; {emit}; {end}")).await;
            }
        }));
    }
    for writer in writers {
        writer.await.expect("a writer");
    }
    receiver.wait_for(960).await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    let (mut sent, committed) =
        (ids(&receiver), db.rows("SELECT id FROM webhook.events ORDER BY id").await.concat());
    sent.sort();
    assert_eq!(sent, committed);
}

#[tokio::test]
async fn transaction_ids_past_32_bits() {
    let cluster = Cluster::start(&[]).await;
    if !cluster.has("pg_resetwal") {
        return;
    }
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    db.webhook(&receiver.url("/hook"), "").await;
    let relay = Relay::start(&db.url()).await;
    let mut expected = vec![db.emit("user.created", "{}").await];
    receiver.wait_for(1).await;
    cluster.stop(Stop::Fast).await;
    let reset =
        cluster.program("pg_resetwal").args(["--epoch", "5"]).arg(cluster.folder().join("data")).output();
    assert!(reset.expect("start pg_resetwal").status.success());
    cluster.resume().await;
    let (session, slow) = (db.connect().await, db.connect().await);
    let past = "SELECT pg_current_xact_id()::text::numeric > 2^32";
    assert_eq!(session.value(past).await, "t", "the fault landed");
    slow.run("BEGIN").await;
    let late = slow.value("SELECT webhook_emit('user.created', '{}')").await;
    for n in 2..=6 {
        expected.push(session.value("SELECT webhook_emit('user.created', '{}')").await);
        receiver.wait_for(n).await;
    }
    slow.run("COMMIT").await;
    expected.push(late);
    receiver.wait_for(7).await;
    session.until("SELECT backlog FROM webhook_stats()", "0").await;
    assert_eq!(ids(&receiver), expected);
    assert!(relay.terminate().await.success());
}
