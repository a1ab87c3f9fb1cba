//! A sleeping relay hears of a commit at once, and NOTIFY is not sent while it is awake.

use std::time::Duration;

use webhook_tests::database::Database;
use webhook_tests::process::Signal;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;

#[tokio::test]
async fn a_sleeping_relay_is_woken_by_the_commit() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let asleep = "SELECT last_value = 1 FROM webhook.bell";
    let mut late = Vec::new();
    for n in 1..=10 {
        db.until(asleep, "t").await;
        let before = std::time::Instant::now();
        db.emit("user.created", "{}").await;
        late.push(receiver.wait_for(n).await[n - 1].at - before);
    }
    late.sort();
    // The poll interval is a second: a median far below it is the bell's doing.
    assert!(late[5] < Duration::from_millis(200), "{late:?}");
}

#[tokio::test]
async fn commits_in_a_row_are_each_heard_at_once() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let mut slowest = Duration::ZERO;
    for n in 1..=200 {
        let before = std::time::Instant::now();
        db.emit("user.created", "{}").await;
        slowest = slowest.max(receiver.wait_for(n).await[n - 1].at - before);
    }
    assert!(slowest < Duration::from_millis(900), "the slowest took {slowest:?}: a wake-up was lost");
}

#[tokio::test]
async fn a_commit_rings_only_while_the_bell_is_on_and_somebody_leads() {
    let db = Database::new().await;
    let mut notified = Session::listen(&db.url(), &["webhook", "marker"]).await;
    let relay = db.connect().await;
    let emit = "SELECT webhook_emit('user.created', '{}')";
    for (bell, leads, rings) in [(1, false, 0), (1, true, 1), (0, true, 0), (0, false, 0), (1, true, 1)] {
        relay.run(&format!("SELECT setval('webhook.bell', {bell}), pg_advisory_unlock_all()")).await;
        if leads {
            relay.run("SELECT pg_advisory_lock(webhook._lock())").await;
        }
        db.run(emit).await;
        assert_eq!(
            notified.heard_before(&db, "marker").await.len(),
            rings,
            "bell {bell}, somebody leads: {leads}"
        );
    }
}

#[tokio::test]
async fn a_bell_that_is_not_switched_on_anew_is_not_rung() {
    let db = Database::new().await;
    let mut notified = Session::listen(&db.url(), &["webhook", "marker"]).await;
    let relay = db.connect().await;
    relay.run("SELECT setval('webhook.bell', 1), pg_advisory_lock(webhook._lock())").await;
    for (until, rings) in [("0", 1), ("1", 0), ("extract(epoch FROM now() + interval '1 minute') * 1000", 1)]
    {
        db.run(&format!("SELECT setval('webhook.bell_until', ({until})::bigint)")).await;
        db.emit("user.created", "{}").await;
        assert_eq!(notified.heard_before(&db, "marker").await.len(), rings, "until {until}");
    }
}

#[tokio::test]
async fn a_relay_stopped_in_its_sleep_is_rung_for_no_longer() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    db.until("SELECT last_value FROM webhook.bell", "1").await;
    let until = db.value("SELECT last_value FROM webhook.bell_until").await;
    db.until(&format!("SELECT last_value > {until} FROM webhook.bell_until"), "t").await;
    relay.signal(Signal::STOP);
    // As if the ten seconds were over.
    db.run("SELECT setval('webhook.bell_until', 1)").await;
    assert_eq!(db.value("SELECT last_value FROM webhook.bell").await, "1");
    let mut notified = Session::listen(&db.url(), &["webhook", "marker"]).await;
    db.emit("user.created", "{}").await;
    assert!(notified.heard_before(&db, "marker").await.is_empty());
    relay.signal(Signal::CONT);
    receiver.wait_for(1).await;
    db.until("SELECT last_value > extract(epoch FROM clock_timestamp()) * 1000 FROM webhook.bell_until", "t")
        .await;
}

#[tokio::test]
async fn a_relay_that_died_asleep_costs_nobody_a_notify() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    db.until("SELECT last_value FROM webhook.bell", "1").await;
    let mut notified = Session::listen(&db.url(), &["webhook", "marker"]).await;
    db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    assert_eq!(notified.heard_before(&db, "marker").await, ["webhook"]);
    db.until("SELECT last_value FROM webhook.bell", "1").await;
    relay.kill().await;
    db.until("SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE l.locktype = 'advisory' AND d.datname = current_database()", "0").await;
    db.emit("user.created", "{}").await;
    assert!(notified.heard_before(&db, "marker").await.is_empty());
    let _next = Relay::start(&db.url()).await;
    receiver.wait_for(2).await;
}

#[tokio::test]
async fn nobody_rings_while_a_backlog_is_read() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    db.webhook(&receiver.url("/hook"), "").await;
    db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 20000)").await;
    // As a relay that died in its sleep leaves it.
    db.run("SELECT setval('webhook.bell', 1)").await;
    let _relay = Relay::start(&db.url()).await;
    receiver.wait_for(1).await;
    db.until("SELECT last_value FROM webhook.bell", "0").await;
    let mut notified = Session::listen(&db.url(), &["webhook", "marker"]).await;
    db.emit("user.created", "{}").await;
    assert!(notified.heard_before(&db, "marker").await.is_empty());
    assert_ne!(db.value("SELECT backlog FROM webhook_stats()").await, "0", "too late to tell");
}
