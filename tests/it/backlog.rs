//! A relay that starts late catches up in bounded memory.

use std::time::Duration;

use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;
use webhook_tests::until::within;

const EVENTS: usize = 100_000;

#[tokio::test]
async fn a_hundred_thousand_events_drain_in_bounded_memory() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    db.webhook(&receiver.url("/hook"), r#"options => '{"store_response": "none"}'"#).await;
    let data = "jsonb_build_object('n', n, 'text', repeat('x', 480))";
    db.run(&format!("SELECT webhook_emit('user.created', {data}) FROM generate_series(1, {EVENTS}) n")).await;
    assert_eq!(db.value("SELECT backlog FROM webhook_stats()").await, EVENTS.to_string());

    let relay = Relay::start(&db.url()).await;
    within(Duration::from_secs(300), "the backlog to drain", async || {
        let arrived = receiver.count();
        if arrived >= EVENTS { Ok(()) } else { Err(format!("{arrived} arrived\n{}", relay.logs().text())) }
    })
    .await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    let log = "SELECT count(*), count(DISTINCT id) FROM webhook.deliveries WHERE status = 'delivered'";
    db.until(&log.replace(", count(DISTINCT id)", ""), &EVENTS.to_string()).await;
    assert_eq!(db.rows(log).await, [[EVENTS.to_string(), EVENTS.to_string()]]);
    assert_eq!(receiver.count(), EVENTS, "none twice");
    let peak = relay.peak_memory() / 1024;
    assert!(peak <= 150, "peak memory of the relay: {peak} MiB");
}
