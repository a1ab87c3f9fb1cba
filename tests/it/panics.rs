//! The relay panics, as no relay should: what it was about fails visibly, everything else goes on, and the log says where,
//! without what the message quotes. The panics are told to a debug build; see `relay/src/failpoint.rs`.

use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

const DELIVERED: &str = "SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'";

async fn told_to_panic(db: &Database<'_>, point: &str) -> Relay {
    let failpoint = format!("{point}:panic");
    Relay::doomed(&db.url(), &[], &[("WEBHOOK_RELAY_FAILPOINT", &failpoint)]).await
}

/// The fault landed, and the log says so without the message, which could quote anything.
async fn assert_told(relay: &Relay) {
    let line = relay.logs().wait_for("the relay panicked").await;
    assert!(line.contains("failpoint.rs:"), "{line}");
    assert!(!relay.logs().text().contains("a message with a value"), "{}", relay.logs().text());
}

#[tokio::test]
async fn while_a_request_is_sent_fails_that_attempt_alone() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = told_to_panic(&db, "send:2").await;
    let options = r#"options => '{"retry_schedule": [0.05]}'"#;
    db.webhook(&receiver.url("/hook"), options).await;
    db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 20)").await;
    db.until(DELIVERED, "20").await;
    assert_told(&relay).await;
    assert_eq!(receiver.count(), 20);
    let failed = "SELECT outcome, error FROM webhook.attempts WHERE outcome <> 'delivered'";
    assert_eq!(db.rows(failed).await, [["retry", "internal_error"]]);
    assert!(relay.page("/metrics").await.contains("\nwebhook_relay_panics_total 1\n"));
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn while_an_event_is_matched_fails_that_delivery_alone() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = told_to_panic(&db, "match:2").await;
    db.webhook(&receiver.url("/hook"), "events => '{user.*}', filter_config => '{\"n\": {\"$gt\": 0}}'")
        .await;
    db.run("SELECT webhook_emit('user.created', jsonb_build_object('n', n)) FROM generate_series(1, 20) n")
        .await;
    db.until(DELIVERED, "19").await;
    assert_told(&relay).await;
    let failed = "SELECT id, status, error FROM webhook_deliveries() WHERE status <> 'delivered'";
    db.until(&format!("SELECT count(*) FROM ({failed}) f"), "1").await;
    let [delivery, status, error] = db.rows(failed).await.remove(0).try_into().expect("three columns");
    assert_eq!([&*status, &*error], ["failed", "internal_error"]);
    assert_eq!(receiver.count(), 19, "what was not decided is not sent");
    db.run(&format!("SELECT webhook_replay('{delivery}')")).await;
    db.until(DELIVERED, "20").await;
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn in_a_part_that_nothing_goes_on_without_ends_the_relay() {
    for point in ["read:1", "claimed:1", "record:1"] {
        let (db, receiver) = (Database::new().await, Receiver::start());
        db.webhook(&receiver.url("/hook"), "").await;
        db.emit("user.created", "{}").await;
        let relay = told_to_panic(&db, point).await;
        assert_eq!(relay.ended().await.code(), Some(1), "{point}\n{}", relay.logs().text());
        assert_told(&relay).await;
        let next = Relay::start(&db.url()).await;
        db.until(DELIVERED, "1").await;
        assert!(next.terminate().await.success());
    }
}
