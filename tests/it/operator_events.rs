//! `webhook.failing`, `webhook.recovered`, `webhook.disabled` and `delivery.failed`: each told once, whoever sees it.

use webhook_tests::database::Database;
use webhook_tests::receiver::{Gate, Receiver, Reply};
use webhook_tests::relay::Relay;

/// One attempt at a time, and none again within the test.
const ONE_BY_ONE: &str = r#"events => '{user.*}', options => '{"max_in_flight": 1}'"#;
/// One attempt, then `failed`.
const ONCE: &str = r#"events => '{user.*}', options => '{"retry_schedule": []}'"#;

fn count(kind: &str) -> String {
    format!("SELECT count(*) FROM webhook.events WHERE type = '{kind}'")
}

/// A webhook of which a relay that is gone has told that it fails, with deliveries that wait.
async fn failing(db: &Database<'_>, receiver: &Receiver) {
    receiver.answer("/hook", [Reply::status(500)]);
    db.webhook(&receiver.url("/hook"), ONE_BY_ONE).await;
    let relay = Relay::start(&db.url()).await;
    db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 50)").await;
    db.until(&count("webhook.failing"), "1").await;
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn what_a_second_relay_finds_out_again_is_told_once() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    failing(&db, &receiver).await;
    let relay = Relay::start(&db.url()).await;
    relay.logs().wait_for("ten attempts in a row").await;
    receiver.answer("/hook", [Reply::status(200)]);
    db.until(&count("webhook.recovered"), "1").await;
    assert_eq!(db.value(&count("webhook.failing")).await, "1");
}

#[tokio::test]
async fn recovered_is_told_by_a_relay_that_did_not_see_it_fail() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    failing(&db, &receiver).await;
    receiver.answer("/hook", [Reply::status(200)]);
    let _relay = Relay::start(&db.url()).await;
    db.until(&count("webhook.recovered"), "1").await;
    db.until("SELECT webhooks_failing FROM webhook_stats()", "0").await;
}

#[tokio::test]
async fn nothing_has_recovered_of_which_nobody_told_that_it_fails() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    receiver.answer("/hook", [Reply::status(500), Reply::status(200)]);
    receiver.answer("/down", [Reply::status(500)]);
    db.webhook(&receiver.url("/hook"), ONCE).await;
    db.emit("user.created", "{}").await;
    db.until("SELECT webhooks_failing FROM webhook_stats()", "1").await;
    db.emit("user.created", "{}").await;
    db.until("SELECT webhooks_failing FROM webhook_stats()", "0").await;
    // Told after it, as they are told one after the other.
    db.webhook(&receiver.url("/down"), ONCE).await;
    db.emit("user.created", "{}").await;
    db.until(&count("delivery.failed"), "2").await;
    assert_eq!(db.value(&count("webhook.recovered")).await, "0");
}

#[tokio::test]
async fn a_webhook_that_is_made_active_again_has_five_days_anew() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    receiver.answer("/hook", [Reply::status(500)]);
    let (webhook, _) = db.webhook(&receiver.url("/hook"), ONCE).await;
    db.run("UPDATE webhook.webhooks SET failing_since = now() - interval '6 days'").await;
    let _relay = Relay::start(&db.url()).await;
    db.emit("user.created", "{}").await;
    db.until(&count("webhook.disabled"), "1").await;
    let state =
        format!("SELECT status || ': ' || coalesce(disabled_reason, '') FROM webhook_get('{webhook}')");
    assert_eq!(db.value(&state).await, "inactive: nothing but failures for five days");

    db.run(&format!(r#"SELECT webhook_update('{webhook}', '{{"status": "active"}}')"#)).await;
    db.emit("user.created", "{}").await;
    // What there is to tell of the webhook is told first.
    db.until(&count("delivery.failed"), "2").await;
    assert_eq!(db.value(&state).await, "active: ");
    assert_eq!(db.value(&count("webhook.disabled")).await, "1");
}

#[tokio::test]
async fn of_a_webhook_that_was_deleted_meanwhile_nothing_is_told() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let gate = Gate::closed();
    receiver.answer("/held", [Reply::status(500).held(&gate)]);
    receiver.answer("/down", [Reply::status(500)]);
    let (deleted, _) = db.webhook(&receiver.url("/held"), &format!("account => 'acme', {ONCE}")).await;
    db.run("SELECT webhook_emit('user.created', '{}', account => 'acme')").await;
    receiver.wait_for(1).await;
    db.run(&format!("SELECT webhook_delete('{deleted}')")).await;
    gate.open();
    db.until(&format!("SELECT count(*) FROM webhook.attempts WHERE webhook_id = '{deleted}'"), "1").await;
    let (other, _) = db.webhook(&receiver.url("/down"), ONCE).await;
    db.emit("user.created", "{}").await;
    db.until(&format!("{} AND data->>'webhook_id' = '{other}'", count("delivery.failed")), "1").await;
    // It has no account any more, and would be everybody's who has none.
    assert_eq!(db.value(&count("delivery.failed")).await, "1");
}
