//! `webhook_replay` of a time range.

use webhook_tests::database::Database;
use webhook_tests::receiver::{Gate, Receiver, Reply};
use webhook_tests::relay::Relay;

fn replay(webhook: &str, status: &str) -> String {
    format!("SELECT webhook_replay('{webhook}', now() - interval '1 day', status => '{status}')")
}

#[tokio::test]
async fn a_webhook_created_later_gets_the_past_in_order() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.run(
        "SELECT webhook_emit(CASE WHEN n % 5 = 0 THEN 'order.paid' ELSE 'user.created' END, jsonb_build_object('n', n),
                             account => CASE WHEN n % 7 = 0 THEN 'acme' END)
         FROM generate_series(1, 300) n",
    )
    .await;
    let rest = r#"events => '{user.*}', filter_config => '{"n": {"$gt": 100}}'"#;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), rest).await;
    let expected: Vec<i64> = (101..=300).filter(|n| n % 5 != 0 && n % 7 != 0).collect();
    assert_eq!(db.value(&replay(&webhook, "failed")).await, "0");
    assert_eq!(db.value(&replay(&webhook, "missed")).await, expected.len().to_string());
    assert_eq!(db.value(&replay(&webhook, "missed")).await, "0", "they wait already");
    let numbers = |requests: &[webhook_tests::receiver::Request]| -> Vec<_> {
        requests.iter().filter_map(|request| request.json()["data"]["n"].as_i64()).collect()
    };
    assert_eq!(numbers(&receiver.wait_for(expected.len()).await), expected);
    db.until("SELECT pending FROM webhook_stats()", "0").await;
    assert_eq!(db.value(&replay(&webhook, "missed")).await, "0", "they were sent");
    assert_eq!(db.value(&replay(&webhook, "delivered")).await, expected.len().to_string());
    receiver.wait_for(2 * expected.len()).await;
    let twice =
        format!("SELECT count(*) FROM webhook.deliveries WHERE webhook_id = '{webhook}' AND attempts = 2");
    db.until(&twice, &expected.len().to_string()).await;
    let requests = receiver.requests();
    let again = &requests[expected.len()..];
    assert_eq!(numbers(again), expected);
    assert_eq!(requests[0].body, again[0].body, "the same bytes");
}

#[tokio::test]
async fn an_ordered_webhook_gets_the_past_in_order_per_key() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.run("SELECT webhook_emit('user.created', jsonb_build_object('k', n % 3, 'n', n), key => (n % 3)::text) FROM generate_series(1, 60) n").await;
    let (webhook, _) = db
        .webhook(
            &receiver.url("/hook"),
            r#"options => '{"ordered": true, "retry_schedule": ["50 milliseconds"]}'"#,
        )
        .await;
    receiver.answer("/hook", [Reply::status(500), Reply::status(200)]);
    assert_eq!(db.value(&replay(&webhook, "all")).await, "60");
    let requests = receiver.wait_for(60).await;
    for key in 0..3 {
        let of_key =
            requests.iter().map(|request| request.json()["data"].clone()).filter(|data| data["k"] == key);
        let numbers: Vec<_> = of_key.filter_map(|data| data["n"].as_i64()).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
}

#[tokio::test]
async fn by_status_and_range() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let mut replies = vec![Reply::status(500); 4];
    replies.push(Reply::status(200));
    receiver.answer("/hook", replies);
    let (webhook, _) = db
        .webhook(
            &receiver.url("/hook"),
            r#"events => '{user.*}', options => '{"retry_schedule": [], "max_in_flight": 1}'"#,
        )
        .await;
    for _ in 0..6 {
        db.emit("user.created", "{}").await;
    }
    let count = |status: &str| {
        format!(
            "SELECT count(*) FROM webhook.deliveries WHERE webhook_id = '{webhook}' AND status = '{status}'"
        )
    };
    db.until(&count("failed"), "4").await;
    db.until(&count("delivered"), "2").await;
    let last = db.value(&format!("SELECT max(e.created_at) FROM webhook.deliveries d JOIN webhook.events e ON e.id = d.event_id WHERE d.webhook_id = '{webhook}' AND d.status = 'failed'")).await;
    let before = format!(
        "SELECT webhook_replay('{webhook}', '{last}'::timestamptz - interval '1 hour', '{last}'::timestamptz - interval '1 microsecond')"
    );
    assert_eq!(db.value(&before).await, "3");
    db.until(&count("delivered"), "5").await;
    assert_eq!(db.value(&replay(&webhook, "failed")).await, "1");
    db.until(&count("delivered"), "6").await;
    assert_eq!(db.value(&replay(&webhook, "failed")).await, "0");
    assert_eq!(db.value(&replay(&webhook, "all")).await, "6");
    db.until("SELECT pending FROM webhook_stats()", "0").await;
    for until in ["infinity", "20000-01-01"] {
        let ever = format!("SELECT webhook_replay('{webhook}', '-infinity', '{until}', 'delivered')");
        assert_eq!(db.value(&ever).await, "6", "{until}");
        db.until("SELECT pending FROM webhook_stats()", "0").await;
    }
}

#[tokio::test]
async fn what_the_relay_has_still_to_read_is_not_sent_twice() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let relay = Relay::start(&db.url()).await;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    relay.terminate().await;
    db.emit("user.created", "{}").await;
    assert_eq!(db.value(&replay(&webhook, "missed")).await, "0");
    let _relay = Relay::start(&db.url()).await;
    receiver.wait_for(2).await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn a_replay_beside_the_first_attempt_has_an_attempt_of_its_own() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let gate = Gate::closed();
    receiver.answer("/hook", [Reply::status(500).held(&gate), Reply::status(200)]);
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    let event = db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    // Active anew it counts as missed, though the relay, which knew it as active before, is sending it.
    db.run(&format!(
        "BEGIN;
         SELECT webhook_update('{webhook}', '{{\"status\": \"inactive\"}}');
         SELECT webhook_update('{webhook}', '{{\"status\": \"active\"}}');
         SELECT webhook_replay('{webhook}', now() - interval '1 hour', clock_timestamp(), 'missed');
         COMMIT"
    ))
    .await;
    receiver.wait_for(2).await;
    let delivered =
        format!("SELECT count(*) FROM webhook.attempts WHERE event_id = '{event}' AND outcome = 'delivered'");
    db.until(&delivered, "1").await;
    gate.open();
    let log = format!(
        "SELECT string_agg(number || ' ' || outcome, ', ' ORDER BY number) FROM webhook.attempts WHERE event_id = '{event}'"
    );
    db.until(&log, "1 delivered, 2 retry").await;
    assert_eq!(
        db.value(&format!("SELECT status FROM webhook.deliveries WHERE event_id = '{event}'")).await,
        "pending"
    );
}

#[tokio::test]
async fn what_was_missed_and_is_not_due_yet_waits_for_its_time() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    db.run("SELECT webhook_emit('user.created', '{}', deliver_at => clock_timestamp() + '1 day')").await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "").await;
    assert_eq!(db.value(&replay(&webhook, "missed")).await, "1");
    let early =
        "SELECT due_at < deliver_at FROM webhook.pending p JOIN webhook.events e ON e.id = p.event_id";
    assert_eq!(db.value(early).await, "f");
    db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    assert_eq!(db.value("SELECT pending FROM webhook_stats()").await, "1");
}
