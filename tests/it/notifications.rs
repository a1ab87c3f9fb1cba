//! Notifications that cannot be sent, cannot be listened to, or do not come: the relay polls, and no commit fails for them.

use std::fs;
use std::time::{Duration, Instant};

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;

const ASLEEP: &str = "SELECT last_value FROM webhook.bell";
const EMIT: &str = "SELECT webhook_emit('user.created', '{}')";
const USAGE: &str = "SELECT pg_notification_queue_usage() > 0.9";

/// A session that listens and, in the midst of a transaction, takes nothing of what it hears.
async fn stuck(cluster: &Cluster) -> Session {
    let session = cluster.connect("postgres").await;
    session.run("LISTEN stuck").await;
    session.run("BEGIN; SELECT 1").await;
    session
}

/// As many notifications as take so many pages of the queue.
async fn fill(cluster: &Cluster, pages: usize) -> Result<(), tokio_postgres::Error> {
    let session = cluster.connect("postgres").await;
    for n in 0..pages {
        session.try_rows(&format!("SELECT pg_notify('stuck', {n} || repeat('x', 7900))")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_queue_is_full_and_commits_go_on() {
    // Older ones have a queue of 8 GB.
    let cluster = Cluster::start_of(18, &["max_notify_queue_pages=64"]).await;
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    db.webhook(&receiver.url("/hook"), "").await;
    let _relay = Relay::start(&db.url()).await;
    let _stuck = stuck(&cluster).await;
    let full = fill(&cluster, 100).await.expect_err("the queue is full");
    assert!(full.as_db_error().is_some_and(|error| error.message().contains("too many notifications")));
    assert_eq!(db.value(USAGE).await, "t");
    for n in 1..=3 {
        db.until(ASLEEP, "1").await;
        db.run(EMIT).await;
        receiver.wait_for(n).await;
    }
    assert_eq!(db.value(USAGE).await, "t", "all the while");
}

#[tokio::test]
async fn listen_is_refused_and_the_relay_polls() {
    let cluster = Cluster::start(&[]).await;
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    db.webhook(&receiver.url("/hook"), "").await;
    let _stuck = stuck(&cluster).await;
    // More than Postgres keeps in memory, and then a file of it is lost: who begins to listen would have to read it.
    fill(&cluster, 60).await.expect("there is room");
    let queue = cluster.folder().join("data/pg_notify");
    for file in fs::read_dir(&queue).expect("the queue").flatten() {
        fs::remove_file(file.path()).expect("lose a file");
    }
    assert_eq!(db.connect().await.refusal("LISTEN anything").await.code, "58P01", "the fault landed");
    let relay = Relay::start(&db.url()).await;
    relay.logs().wait_for("notifications cannot be listened to").await;
    for n in 1..=3 {
        db.run(EMIT).await;
        receiver.wait_for(n).await;
    }
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn one_that_does_not_come_costs_a_poll() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let mut notified = Session::listen(&db.url(), &["webhook", "marker"]).await;
    for n in 1..=3 {
        db.until(ASLEEP, "1").await;
        notified.heard_before(&db, "marker").await;
        // The bell that rings for the emitter is taken away from it: nobody notifies.
        db.run(&format!("SELECT setval('webhook.bell', 0); {EMIT}")).await;
        assert!(notified.heard_before(&db, "marker").await.is_empty(), "the fault landed");
        receiver.wait_for(n).await;
    }
}

#[tokio::test]
async fn a_commit_that_is_under_way_while_the_relay_falls_asleep_is_heard() {
    // Between the look at the bell, which is off, and the moment at which the event can be seen, a commit waits for the disk.
    let cluster = Cluster::start(&["commit_delay=50000", "commit_siblings=0"]).await;
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    let _relay = Relay::start_with(&db.url(), &["--poll-interval", "2s"]).await;
    db.webhook(&receiver.url("/hook"), "events => '{order.paid}'").await;
    let (busy, observer) = (db.connect().await, db.connect().await);
    busy.run("SET synchronous_commit = off").await;
    let (mut slowest, mut overtaken) = (Duration::ZERO, 0);
    for n in 0..30 {
        // Much is emitted, so that the relay switches the bell off. When nothing comes for a fifth of a second it switches it
        // on again, which is to fall into the commit.
        while observer.value(ASLEEP).await == "1" {
            busy.run(EMIT).await;
        }
        tokio::time::sleep(Duration::from_millis(100 + 8 * (n as u64 % 15))).await;
        let before = observer.value(ASLEEP).await;
        db.run("SELECT webhook_emit('order.paid', '{}')").await;
        let committed = Instant::now();
        overtaken += usize::from(before == "0" && observer.value(ASLEEP).await == "1");
        slowest = slowest.max(receiver.wait_for(n + 1).await[n].at.saturating_duration_since(committed));
    }
    assert!(overtaken > 0, "the fault landed");
    assert!(slowest < Duration::from_millis(900), "the slowest took {slowest:?}: a wake-up was lost");
}

#[tokio::test]
async fn an_emitter_with_an_old_snapshot_notifies_who_fell_asleep_since() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    db.webhook(&receiver.url("/hook"), "").await;
    db.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT last_value FROM webhook.bell").await;
    let observer = db.connect().await;
    assert_eq!(observer.value(ASLEEP).await, "0", "nobody sleeps yet");
    let _relay = Relay::start(&db.url()).await;
    observer.until(ASLEEP, "1").await;
    let mut notified = Session::listen(&db.url(), &["webhook", "marker"]).await;
    db.run(&format!("{EMIT}; COMMIT")).await;
    assert_eq!(notified.heard_before(&observer, "marker").await, ["webhook"]);
    receiver.wait_for(1).await;
}
