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

#[tokio::test]
async fn claims_touch_what_they_take_however_much_is_pending_and_whatever_the_planner_knows() {
    const CLAIMED: u64 = 256;
    let db = Database::new().await;
    db.run("ALTER TABLE webhook.pending SET (autovacuum_enabled = off)").await;
    for n in 1..=4 {
        let (webhook, _) = db.webhook(&format!("https://example.com/{n}"), "").await;
        db.run(&format!(
            "INSERT INTO webhook.pending (delivery_id, event_id, webhook_id, reason, due_at)
             SELECT webhook._delivery_id(e.id, '{webhook}'), e.id, '{webhook}', 'capacity', clock_timestamp()
             FROM (SELECT webhook_emit('a.b', '{{}}') AS id FROM generate_series(1, 5000)) e"
        ))
        .await;
    }
    let touched = "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relid = 'webhook.pending'::regclass";
    let session = db.connect().await;
    session.run("BEGIN").await;
    let mut before = 0;
    // The first plans are made for their arguments, unless that is prevented.
    for _ in 0..7 {
        let claimed = session.value(&format!("SELECT count(delivery_id) FROM webhook._relay_claim('relay', 7, 60000, '{{}}', 64, {CLAIMED}, 1000000)")).await;
        assert_eq!(claimed, CLAIMED.to_string());
        let after: u64 = session.value(touched).await.parse().expect("a number");
        assert!(after - before < 10 * CLAIMED, "{} rows touched", after - before);
        before = after;
    }
}
