//! Replay, cancel, pause and resume.

use webhook_tests::database::Database;
use webhook_tests::receiver::{Gate, Receiver, Reply};
use webhook_tests::relay::Relay;

#[tokio::test]
async fn replay_sends_the_same_delivery_again() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/hook", [Reply::status(500), Reply::status(200)]);
    let (webhook, _) = db
        .webhook(&receiver.url("/hook"), r#"events => '{user.*}', options => '{"retry_schedule": []}'"#)
        .await;
    db.emit("user.created", r#"{"a": 1}"#).await;
    let status = format!("SELECT status FROM webhook_deliveries('{webhook}')");
    db.until(&status, "failed").await;
    let delivery = db.value(&format!("SELECT id FROM webhook_deliveries('{webhook}')")).await;
    assert_eq!(db.value(&format!("SELECT webhook_replay('{delivery}')")).await, delivery);
    let requests = receiver.wait_for(2).await;
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(requests[1].header("x-webhook-delivery"), delivery);
    db.until(&status, "delivered").await;
    assert_eq!(db.value(&format!("SELECT attempts FROM webhook_deliveries('{webhook}')")).await, "2");
}

#[tokio::test]
async fn a_canceled_delivery_is_not_sent_again() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/hook", [Reply::status(500)]);
    let (webhook, _) = db
        .webhook(
            &receiver.url("/hook"),
            r#"events => '{user.*}', options => '{"retry_schedule": ["1 second"]}'"#,
        )
        .await;
    db.emit("user.created", "{}").await;
    db.until(&format!("SELECT attempts FROM webhook_deliveries('{webhook}')"), "1").await;
    let delivery = db.value(&format!("SELECT id FROM webhook_deliveries('{webhook}')")).await;
    assert_eq!(db.value(&format!("SELECT webhook_cancel('{delivery}')")).await, "t");
    assert_eq!(db.value(&format!("SELECT status FROM webhook_deliveries('{webhook}')")).await, "canceled");
    assert_eq!(db.value("SELECT pending FROM webhook_stats()").await, "0");
}

#[tokio::test]
async fn deleting_a_webhook_cancels_what_waits_and_keeps_the_history() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/hook", [Reply::status(200), Reply::status(500)]);
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    db.emit("user.created", "{}").await;
    let one =
        format!("SELECT count(*) FROM webhook.deliveries WHERE webhook_id = '{webhook}' AND attempts = 1");
    db.until(&one, "1").await;
    db.emit("user.created", "{}").await;
    db.until(&one, "2").await;
    db.run(&format!("SELECT webhook_delete('{webhook}')")).await;
    let statuses = db.rows("SELECT status FROM webhook.deliveries ORDER BY id").await.concat();
    assert_eq!(statuses, ["delivered", "canceled"]);
    db.emit("user.created", "{}").await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn what_is_in_flight_when_its_webhook_is_paused_or_deleted_is_recorded() {
    for change in [r#"SELECT webhook_update('WH', '{"status": "inactive"}')"#, "SELECT webhook_delete('WH')"]
    {
        let (db, receiver) = (Database::new().await, Receiver::start());
        let _relay = Relay::start(&db.url()).await;
        let gate = Gate::closed();
        receiver.answer("/hook", [Reply::status(200).held(&gate)]);
        let rest = r#"events => '{user.*}', options => '{"max_in_flight": 2}'"#;
        let (webhook, _) = db.webhook(&receiver.url("/hook"), rest).await;
        db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 10)").await;
        receiver.wait_for(2).await;
        db.run(&change.replace("WH", &webhook)).await;
        // Heard of, as what comes later is not sent to it.
        let (other, _) = db.webhook(&receiver.url("/other"), "events => '{order.*}'").await;
        db.emit("order.paid", "{}").await;
        receiver.wait_for_path("/other", 1).await;
        gate.open();
        let done = |of: &str| {
            format!(
                "SELECT count(*) FROM webhook.attempts WHERE webhook_id = '{of}' AND outcome = 'delivered'"
            )
        };
        db.until(&done(&webhook), "2").await;
        db.until(&done(&other), "1").await;
        db.until("SELECT backlog + pending FROM webhook_stats()", "0").await;
        assert_eq!(receiver.requests_to("/hook").len(), 2, "{change}: and no more is sent");
    }
}

#[tokio::test]
async fn a_paused_webhook_misses_what_happens_unless_it_keeps_a_backlog() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let (forgets, _) = db.webhook(&receiver.url("/forgets"), "").await;
    let (keeps, _) = db
        .webhook(&receiver.url("/keeps"), r#"events => '{user.*}', options => '{"keep_backlog": true}'"#)
        .await;
    let set = async |status: &str| {
        for webhook in [&forgets, &keeps] {
            db.run(&format!(r#"SELECT webhook_update('{webhook}', '{{"status": "{status}"}}')"#)).await;
        }
    };
    set("inactive").await;
    let missed = db.emit("user.created", "{}").await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    assert_eq!(receiver.count(), 0);
    let why =
        db.rows(&format!("SELECT result, reason FROM webhook_explain('{missed}') ORDER BY webhook_id")).await;
    assert_eq!([&*why[0][0], &*why[1][0]], ["inactive", "pending"], "{why:?}");
    assert!(why[1][1].contains("until the webhook is active again"), "{why:?}");
    set("active").await;
    assert_eq!(receiver.wait_for_path("/keeps", 1).await[0].header("webhook-id"), missed);
    let seen = db.emit("user.created", "{}").await;
    assert_eq!(receiver.wait_for_path("/forgets", 1).await[0].header("webhook-id"), seen);
}

#[tokio::test]
async fn deliver_at_is_waited_for() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.webhook(&receiver.url("/hook"), "").await;
    let later = db
        .value("SELECT webhook_emit('user.created', '{}', deliver_at => clock_timestamp() + '1 second')")
        .await;
    let now = db.emit("user.created", "{}").await;
    let requests = receiver.wait_for(2).await;
    let ids: Vec<_> = requests.iter().map(|request| request.header("webhook-id")).collect();
    assert_eq!(ids, [now, later]);
}

#[tokio::test]
async fn an_ordered_webhook_sends_one_of_a_key_at_a_time() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let gate = Gate::closed();
    receiver.answer("/hook", [Reply::status(200).held(&gate), Reply::status(200)]);
    db.webhook(&receiver.url("/hook"), r#"events => '{user.*}', options => '{"ordered": true}'"#).await;
    db.run("SELECT webhook_emit('user.created', to_jsonb(n), key => 'a') FROM generate_series(1, 50) n")
        .await;
    receiver.wait_for(1).await;
    db.run("SELECT webhook_emit('user.created', '0', key => 'b')").await;
    receiver.wait_for(2).await;
    gate.open();
    let numbers: Vec<_> =
        receiver.wait_for(51).await.iter().filter_map(|request| request.json()["data"].as_i64()).collect();
    assert_eq!(numbers[..2], [1, 0], "another key does not wait");
    assert!(numbers[2..].is_sorted(), "{numbers:?}");
}

#[tokio::test]
async fn last_triggered_is_the_time_of_the_last_attempt_of_whichever_event() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    db.emit("user.created", "{}").await;
    db.emit("user.updated", "{}").await;
    db.until("SELECT count(*) FROM webhook.attempts", "2").await;
    db.run("SELECT webhook_replay(min(id)) FROM webhook_deliveries()").await;
    db.until("SELECT count(*) FROM webhook.attempts", "3").await;
    let last = format!(
        "SELECT last_triggered = (SELECT max(at) FROM webhook.attempts) FROM webhook_get('{webhook}')"
    );
    assert_eq!(db.value(&last).await, "t");
}
