//! One endpoint's trouble is its own.

use webhook_tests::database::Database;
use webhook_tests::receiver::{Gate, Receiver, Reply};
use webhook_tests::relay::Relay;

#[tokio::test]
async fn a_hanging_endpoint_holds_back_nobody_else() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start_with(&db.url(), &["--max-in-flight", "20"]).await;
    let gate = Gate::closed();
    receiver.answer("/stuck", [Reply::status(200).held(&gate)]);
    let (stuck, _) = db
        .webhook(&receiver.url("/stuck"), r#"options => '{"max_in_flight": 5, "timeout_ms": 60000}'"#)
        .await;
    db.webhook(&receiver.url("/well"), "").await;
    db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 3000)").await;
    receiver.wait_for_path("/well", 3000).await;
    assert_eq!(receiver.requests_to("/stuck").len(), 5, "its in-flight limit");
    db.until("SELECT count(*) FROM webhook.pending", "3000").await;
    gate.open();
    let delivered = format!(
        "SELECT count(*) FROM webhook.deliveries WHERE webhook_id = '{stuck}' AND status = 'delivered'"
    );
    db.until(&delivered, "3000").await;
    assert_eq!(receiver.requests_to("/stuck").len(), 3000, "none twice");
}

#[tokio::test]
async fn a_thousand_webhooks_of_a_host_that_hangs_hold_back_no_newcomer() {
    let (db, hanging, receiver) = (Database::new().await, Receiver::start(), Receiver::start());
    let _relay = Relay::start_with(&db.url(), &["--max-in-flight", "64"]).await;
    let gate = Gate::closed();
    hanging.answer("/", [Reply::status(200).held(&gate)]);
    let url = hanging.url("/");
    db.run(&format!(
        "SELECT count(webhook_create('{url}', name => 'hook ' || n, events => '{{old.*}}')) FROM generate_series(1, 1000) n"
    ))
    .await;
    db.webhook(&receiver.url("/new"), "events => '{new.*}'").await;
    db.emit("old.created", "{}").await;
    hanging.wait_for(32).await;
    db.emit("new.created", "{}").await;
    receiver.wait_for(1).await;
    assert_eq!(hanging.count(), 32, "half of the slots");
    assert_eq!(db.value("SELECT count(*) FROM webhook.attempts WHERE response_code IS NULL").await, "0");
    gate.open();
    hanging.wait_for(1000).await;
}

#[tokio::test]
async fn ten_failures_in_a_row_make_the_rest_wait() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/down", [Reply::status(500)]);
    let options = r#"events => '{user.*}', options => '{"max_in_flight": 1}'"#;
    let (webhook, _) = db.webhook(&receiver.url("/down"), options).await;
    db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 200)").await;
    let signalled = "SELECT count(*) FROM webhook.events WHERE type = 'webhook.failing'";
    db.until(signalled, "1").await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    assert!(
        receiver.requests_to("/down").len() < 30,
        "one probe at a time: {}",
        receiver.requests_to("/down").len()
    );
    let untried =
        format!("SELECT count(*) FROM webhook.deliveries WHERE webhook_id = '{webhook}' AND attempts = 0");
    assert!(db.value(&untried).await.parse::<u32>().expect("a number") > 150, "no attempts are burned");
}

#[tokio::test]
async fn private_targets_are_refused_unless_allowed() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    // 127.0.0.0/8 is allowed by the harness, these are not.
    let _relay = Relay::start(&db.url()).await;
    for url in
        ["http://10.0.0.1/", "http://169.254.169.254/latest", "http://[::1]:9999/", "http://example.com/"]
    {
        let (webhook, _) = db.webhook(url, r#"events => '{}', options => '{"retry_schedule": []}'"#).await;
        db.run(&format!("SELECT webhook_test('{webhook}')")).await;
        let sql = format!(
            "SELECT count(*) FROM webhook_deliveries('{webhook}') WHERE status = 'failed' AND error <> ''"
        );
        db.until(&sql, "1").await;
    }
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn a_webhook_that_somebody_spoiled_by_hand_stops_no_other() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let (spoiled, _) = db.webhook(&receiver.url("/spoiled"), "").await;
    db.webhook(&receiver.url("/hook"), "").await;
    let number = r#"'{"a": 1e400}'"#;
    db.run(&format!("UPDATE webhook.webhooks SET filter_config = {number} WHERE id = '{spoiled}'")).await;
    let relay = Relay::start(&db.url()).await;
    db.emit("user.created", "{}").await;
    receiver.wait_for_path("/hook", 1).await;
    let said = relay.logs().wait_for("a webhook cannot be used").await;
    assert!(said.contains(&spoiled), "{said}");
}
