//! Failed attempts come back on schedule, with the same id and the same bytes.

use std::time::Duration;

use webhook_tests::database::Database;
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::relay::Relay;

#[tokio::test]
async fn a_failed_delivery_is_tried_again_with_the_same_bytes() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/hook", [Reply::status(500), Reply::status(503), Reply::status(200)]);
    let options =
        r#"events => '{user.*}', options => '{"retry_schedule": ["100 milliseconds", "00:00:00.2"]}'"#;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), options).await;
    db.emit("user.created", r#"{"a": 1}"#).await;
    let requests = receiver.wait_for(3).await;
    for header in ["webhook-id", "x-webhook-delivery"] {
        assert!(requests.iter().all(|request| request.header(header) == requests[0].header(header)));
    }
    assert!(requests.iter().all(|request| request.body == requests[0].body));
    // ±10 % jitter, to the millisecond.
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(89));
    assert!(requests[2].at - requests[1].at >= Duration::from_millis(179));

    db.until(&format!("SELECT status FROM webhook_deliveries('{webhook}')"), "delivered").await;
    let delivery = requests[0].header("x-webhook-delivery");
    let attempts = db
        .rows(&format!("SELECT number, response_code FROM webhook_attempts('{delivery}') ORDER BY number"))
        .await;
    assert_eq!(attempts, [["1", "500"], ["2", "503"], ["3", "200"]].map(|row| row.map(String::from)));
}

#[tokio::test]
async fn the_schedule_ends_in_failed() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/hook", [Reply::status(500)]);
    let options = r#"events => '{user.*}', options => '{"retry_schedule": [0.05, 0.05]}'"#;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), options).await;
    db.emit("user.created", "{}").await;
    db.until(&format!("SELECT status FROM webhook_deliveries('{webhook}')"), "failed").await;
    let row =
        db.rows(&format!("SELECT attempts, next_attempt_at FROM webhook_deliveries('{webhook}')")).await;
    assert_eq!(row, [["3", ""].map(String::from)]);
    assert_eq!(receiver.count(), 3);
}

#[tokio::test]
async fn the_schedule_by_default_waits_a_minute_first() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/hook", [Reply::status(500)]);
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    db.emit("user.created", "{}").await;
    let next = "next_attempt_at - updated_at BETWEEN '53 seconds' AND '67 seconds'";
    db.until(
        &format!("SELECT count(*) FROM webhook_deliveries('{webhook}') WHERE attempts = 1 AND {next}"),
        "1",
    )
    .await;
    assert_eq!(db.value(&format!("SELECT status FROM webhook_deliveries('{webhook}')")).await, "pending");
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/soon", [Reply::status(503).header("retry-after", "1"), Reply::status(200)]);
    receiver.answer("/later", [Reply::status(429).header("retry-after", "3600")]);
    let options = r#"events => '{user.*}', options => '{"retry_schedule": ["100 milliseconds"]}'"#;
    db.webhook(&receiver.url("/soon"), options).await;
    let (later, _) = db.webhook(&receiver.url("/later"), options).await;
    db.emit("user.created", "{}").await;
    let requests = receiver.wait_for_path("/soon", 2).await;
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(900));
    let next = "next_attempt_at - updated_at BETWEEN '50 minutes' AND '70 minutes'";
    db.until(&format!("SELECT count(*) FROM webhook_deliveries('{later}') WHERE {next}"), "1").await;
}

#[tokio::test]
async fn a_retry_uses_what_the_webhook_is_by_then() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/old", [Reply::status(500)]);
    let options = r#"events => '{user.*}', options => '{"retry_schedule": ["2 seconds"]}'"#;
    let (webhook, _) = db.webhook(&receiver.url("/old"), options).await;
    let event = db.emit("user.created", "{}").await;
    receiver.wait_for_path("/old", 1).await;
    let url = receiver.url("/new");
    db.run(&format!(r#"SELECT webhook_update('{webhook}', '{{"url": "{url}"}}')"#)).await;
    assert_eq!(receiver.wait_for_path("/new", 1).await[0].header("webhook-id"), event);
}

#[tokio::test]
async fn pending_retries_survive_the_relay() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    receiver.answer("/hook", [Reply::status(500), Reply::status(200)]);
    let options = r#"events => '{user.*}', options => '{"retry_schedule": ["1 second"]}'"#;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), options).await;
    let relay = Relay::start(&db.url()).await;
    db.emit("user.created", "{}").await;
    db.until(&format!("SELECT attempts FROM webhook_deliveries('{webhook}')"), "1").await;
    assert!(relay.terminate().await.success());
    let _relay = Relay::start(&db.url()).await;
    receiver.wait_for(2).await;
    db.until(&format!("SELECT status FROM webhook_deliveries('{webhook}')"), "delivered").await;
}

#[tokio::test]
async fn a_schedule_that_postgres_would_spell_otherwise_stops_nobody() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    receiver.answer("/odd", [Reply::status(500)]);
    receiver.answer("/sent", [Reply::status(500), Reply::status(200)]);
    let mut odd = Vec::new();
    for schedule in [r#"["pt1h"]"#, r#"["59min60s"]"#, "[\"60\u{a0}min\"]", "null"] {
        let rest = format!(r#"events => '{{user.*}}', options => '{{"retry_schedule": {schedule}}}'"#);
        odd.push((schedule, db.webhook(&receiver.url("/odd"), &rest).await.0));
    }
    db.webhook(&receiver.url("/hook"), "").await;
    let _relay = Relay::start(&db.url()).await;
    db.emit("user.created", "{}").await;
    receiver.wait_for_path("/hook", 1).await;
    let url = receiver.url("/sent");
    db.run(&format!(
        r#"SELECT webhook_send('POST', '{url}', options => '{{"retry_schedule": ["pt0.1s"]}}')"#
    ))
    .await;
    receiver.wait_for_path("/sent", 2).await;
    for (schedule, webhook) in odd {
        let hour = if schedule == "null" { "1 minute" } else { "1 hour" };
        let next = format!(
            "abs(extract(epoch FROM next_attempt_at - updated_at) / extract(epoch FROM interval '{hour}') - 1) < 0.15"
        );
        db.until(&format!("SELECT {next} FROM webhook_deliveries('{webhook}')"), "t").await;
    }
}
