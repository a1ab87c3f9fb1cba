//! The server's disk is slow, or does not take a write.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;
use webhook_tests::until::until;

use crate::restart::{emit_until_cut, nothing_is_lost};

#[tokio::test]
async fn every_flush_takes_fifty_milliseconds() {
    let cluster = Cluster::start(&["commit_delay=50000", "commit_siblings=0"]).await;
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let before = Instant::now();
    for _ in 0..10 {
        db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 50)").await;
    }
    assert!(before.elapsed() > Duration::from_millis(500), "the fault landed");
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'", "500").await;
    assert_eq!(receiver.count(), 500);
    assert_eq!(db.value("SELECT count(*) FROM webhook.attempts WHERE outcome <> 'delivered'").await, "0");
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn a_write_that_does_not_reach_it_is_a_crash_that_loses_nothing() {
    let cluster = Cluster::start_fragile().await;
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let machine = cluster.fragile().expect("a fragile one");
    let writers: Vec<_> =
        [db.connect().await, db.connect().await].map(emit_until_cut).map(tokio::spawn).into();
    receiver.wait_for(100).await;
    machine.fail_next_sync();
    let mut acknowledged = HashSet::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("a writer"));
    }
    assert!(
        machine.has_failed() && cluster.log_text().contains("PANIC:  could not fdatasync"),
        "the fault landed"
    );
    let session = until("Postgres to be back", async || Session::try_open(&db.url()).await).await;
    nothing_is_lost(&session, &receiver, &relay, acknowledged).await;
}
