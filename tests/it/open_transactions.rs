//! A user's session is left open in a transaction that has changed a delivery or a webhook: nobody else's deliveries wait for it.

use webhook_tests::database::Database;
use webhook_tests::receiver::{Gate, Receiver, Reply};
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;

const RETRIED: &str = r#"options => '{"retry_schedule": ["1 second"]}'"#;

/// How many attempts of a webhook are logged as delivered.
fn delivered(webhook: &str) -> String {
    format!("SELECT count(*) FROM webhook.attempts WHERE webhook_id = '{webhook}' AND outcome = 'delivered'")
}

#[tokio::test]
async fn whatever_it_did_to_a_delivery_that_is_under_way() {
    // Whether the row of the delivery is locked by it.
    let changes = [
        ("SELECT webhook_cancel('DEL')", true),
        ("SELECT webhook_replay('DEL')", true),
        ("SELECT webhook_delete('WH')", true),
        (r#"SELECT webhook_update('WH', '{"status": "inactive"}')"#, false),
        ("SELECT webhook_rotate_secret('WH')", false),
        ("SELECT webhook_adopt()", false),
    ];
    for ((change, locks), end) in changes.iter().flat_map(|change| [(change, "COMMIT"), (change, "ROLLBACK")])
    {
        let (db, receiver) = (Database::new().await, Receiver::start());
        let gate = Gate::closed();
        receiver.answer("/it", [Reply::status(500), Reply::status(200).held(&gate)]);
        receiver.answer("/other", [Reply::status(200), Reply::status(500), Reply::status(200)]);
        let (it, _) = db.webhook(&receiver.url("/it"), &format!("events => '{{user.*}}', {RETRIED}")).await;
        let (other, _) =
            db.webhook(&receiver.url("/other"), &format!("events => '{{order.*}}', {RETRIED}")).await;
        let relay = Relay::start(&db.url()).await;
        db.emit("user.created", "{}").await;
        receiver.wait_for_path("/it", 2).await;
        let delivery = db.value("SELECT delivery_id FROM webhook.pending WHERE lease <> 0").await;
        let user = db.connect().await;
        user.run(&format!("BEGIN; {}", change.replace("DEL", &delivery).replace("WH", &it))).await;
        gate.open();
        if !locks {
            db.until(&delivered(&it), "1").await;
        }
        // One that was read, and one that is claimed.
        for count in ["1", "2"] {
            db.emit("order.paid", "{}").await;
            db.until(&delivered(&other), count).await;
        }
        assert_eq!(
            db.value(&delivered(&it)).await,
            if *locks { "0" } else { "1" },
            "{change}: the fault landed"
        );
        user.run(end).await;
        db.until(&delivered(&it), "1").await;
        db.until("SELECT backlog + pending FROM webhook_stats()", "0").await;
        assert_eq!(receiver.requests_to("/it").len(), 2, "{change}; {end}: nothing twice");
        assert!(relay.terminate().await.success());
    }
}

#[tokio::test]
async fn and_the_events_of_its_key_stay_in_order() {
    for (end, expected) in [("ROLLBACK", &[1, 2, 3, 4][..]), ("COMMIT", &[1, 2, 4])] {
        let (db, receiver) = (Database::new().await, Receiver::start());
        let gate = Gate::closed();
        receiver.answer("/hook", [Reply::status(200).held(&gate), Reply::status(200)]);
        let (webhook, _) = db
            .webhook(&receiver.url("/hook"), r#"events => '{user.*}', options => '{"ordered": true}'"#)
            .await;
        let relay = Relay::start(&db.url()).await;
        let emit = async |n: u32, key: &str| {
            db.run(&format!("SELECT webhook_emit('user.updated', to_jsonb({n}), key => '{key}')")).await;
        };
        for n in 1..=3 {
            emit(n, "k").await;
        }
        receiver.wait_for(1).await;
        db.until("SELECT count(*) FROM webhook.pending", "3").await;
        let user = db.connect().await;
        let last = "SELECT webhook_cancel(delivery_id) FROM (SELECT * FROM webhook.pending ORDER BY seq DESC LIMIT 1) p";
        user.run(&format!("BEGIN; {last}")).await;
        // The next of this key comes after one that is locked.
        emit(4, "k").await;
        emit(9, "other").await;
        db.until(&delivered(&webhook), "1").await;
        gate.open();
        db.until(&delivered(&webhook), "2").await;
        receiver.wait_for(3).await;
        // Of the second the next one is locked.
        emit(9, "other").await;
        db.until(&delivered(&webhook), "3").await;
        let pending = "SELECT count(*) FROM webhook.pending";
        assert_eq!(
            db.value(pending).await,
            "3",
            "the second is not recorded, the third not sent, the fourth put aside"
        );
        user.run(end).await;
        db.until(pending, "0").await;
        let numbers = receiver.requests().into_iter().filter_map(|request| request.json()["data"].as_u64());
        assert_eq!(numbers.filter(|n| *n != 9).collect::<Vec<_>>(), expected, "{end}");
        assert!(relay.terminate().await.success());
    }
}

/// Records that the first of three of a key, leased under the token 7, was delivered; what was locked.
async fn record_the_first(db: &Session) -> String {
    let record = "SELECT r.locked FROM webhook.pending p, webhook._relay_record(
             'relay', NULL, NULL, NULL, NULL, NULL, ARRAY[p.delivery_id], ARRAY[p.event_id], ARRAY[p.webhook_id], ARRAY[p.key], '{delivered}', '{1}',
             '{1}', '{7}', '{0}', '{200}', '{1}', '{NULL}', '{NULL}', '{NULL}', '{0}') r WHERE p.lease = 7";
    db.value(record).await
}

#[tokio::test]
async fn what_cannot_be_recorded_stays_leased() {
    let db = Database::new().await;
    let (webhook, _) = db.webhook("https://example.com/", r#"options => '{"ordered": true}'"#).await;
    db.run(&format!(
        "SELECT webhook_emit('user.created', '{{}}', key => 'k') FROM generate_series(1, 3);
         INSERT INTO webhook.pending (delivery_id, event_id, webhook_id, key, reason, due_at, ordered, seq)
         SELECT webhook._delivery_id(id, '{webhook}'), id, '{webhook}', key, 'ordered', clock_timestamp(), true, seq FROM webhook.events ORDER BY seq"
    ))
    .await;
    let claim =
        "SELECT count(delivery_id) FROM webhook._relay_claim('relay', 7, 1000, '{}', 10, 10, 1000000)";
    assert_eq!(db.value(claim).await, "1");
    let lease =
        "SELECT due_at > clock_timestamp() + interval '20 seconds' FROM webhook.pending WHERE lease = 7";
    let user = db.connect().await;
    let cancel = |place: u32| {
        format!(
            "BEGIN; SELECT webhook_cancel(delivery_id) FROM (SELECT * FROM webhook.pending ORDER BY seq OFFSET {place} LIMIT 1) p"
        )
    };
    // It is locked itself; and then the next one is, which is due when it goes.
    for (place, goes_on) in [(0, "f"), (1, "t")] {
        user.run(&cancel(place)).await;
        assert_eq!(record_the_first(&db).await, "{1}");
        assert_eq!(db.value(lease).await, goes_on);
        assert_eq!(db.value("SELECT count(*) FROM webhook.attempts").await, "0");
        user.run("ROLLBACK").await;
    }
    user.run(&cancel(2)).await;
    assert_eq!(record_the_first(&db).await, "{}", "the last one is no matter of the first one's");
    let due = "SELECT due_at < 'infinity' FROM webhook.pending ORDER BY seq";
    assert_eq!(db.rows(due).await.concat(), ["t", "f"]);
    assert_eq!(db.value("SELECT count(*) FROM webhook.attempts WHERE outcome = 'delivered'").await, "1");
}

#[tokio::test]
async fn a_claim_locks_no_more_than_it_may_take() {
    let db = Database::new().await;
    for _ in 0..2 {
        let (webhook, _) = db.webhook("https://example.com/", "").await;
        db.run(&format!(
            "WITH e AS (SELECT webhook_emit('user.created', '{{}}') AS id FROM generate_series(1, 10))
             INSERT INTO webhook.pending (delivery_id, event_id, webhook_id, reason, due_at)
             SELECT webhook._delivery_id(id, '{webhook}'), id, '{webhook}', 'due', clock_timestamp() FROM e"
        ))
        .await;
    }
    let claim = |relay: &str| {
        format!(
            "SELECT count(delivery_id) FROM webhook._relay_claim('{relay}', 7, 1000, '{{}}', 10, 4, 1000000)"
        )
    };
    let other = db.connect().await;
    other.run("BEGIN").await;
    assert_eq!(other.value(&claim("other")).await, "4");
    assert_eq!(db.value(&claim("relay")).await, "4", "while that is not committed");
}

#[tokio::test]
async fn a_claim_takes_no_more_payload_than_it_may() {
    let db = Database::new().await;
    let (webhook, _) = db.webhook("https://example.com/", "").await;
    let data = "jsonb_build_object('text', repeat('x', 100000))";
    db.run(&format!(
        "WITH e AS (SELECT webhook_emit('user.created', {data}) AS id FROM generate_series(1, 10))
         INSERT INTO webhook.pending (delivery_id, event_id, webhook_id, reason, due_at)
         SELECT webhook._delivery_id(id, '{webhook}'), id, '{webhook}', 'due', clock_timestamp() FROM e"
    ))
    .await;
    // However well it is compressed.
    for (bytes, taken) in [(1, "1"), (250_000, "3"), (10_000_000, "6")] {
        let claim = format!(
            "SELECT count(delivery_id) FROM webhook._relay_claim('relay', 7, 1000, '{{}}', 10, 10, {bytes})"
        );
        assert_eq!(db.value(&claim).await, taken, "{bytes}");
    }
}

#[tokio::test]
async fn what_is_to_be_noted_of_a_webhook_is_noted_later() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let user = db.connect().await;
    user.run("BEGIN").await;
    receiver.answer("/fails", [Reply::status(410)]);
    let rest = r#"events => '{user.*}', options => '{"retry_schedule": []}'"#;
    for _ in 0..3 {
        let (webhook, _) = db.webhook(&receiver.url("/fails"), rest).await;
        user.run(&format!(r#"SELECT webhook_update('{webhook}', '{{"name": "mine"}}')"#)).await;
    }
    receiver.answer("/well", [Reply::status(500), Reply::status(200)]);
    let (well, _) = db.webhook(&receiver.url("/well"), &format!("events => '{{order.*}}', {RETRIED}")).await;
    let relay = Relay::start(&db.url()).await;
    db.emit("user.created", "{}").await;
    // Told while the webhooks are locked; its failing and its end cannot be noted.
    db.until("SELECT count(*) FROM webhook.events WHERE type = 'delivery.failed'", "3").await;
    db.emit("order.paid", "{}").await;
    db.until(&delivered(&well), "1").await;
    let noted =
        "SELECT count(*) FROM webhook.webhooks WHERE failing_since IS NOT NULL AND status = 'inactive'";
    assert_eq!(db.value(noted).await, "0", "the fault landed");
    user.run("COMMIT").await;
    db.until(noted, "3").await;
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn an_adoption_does_not_keep_relays_from_coming() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    db.webhook(&receiver.url("/hook"), "").await;
    assert!(Relay::start(&db.url()).await.terminate().await.success(), "it is known where home is");
    let user = db.connect().await;
    user.run("BEGIN; SELECT webhook_adopt()").await;
    let relay = Relay::start(&db.url()).await;
    db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    user.run("COMMIT").await;
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn what_it_keeps_from_being_tidied_does_not_keep_partitions_from_being_made() {
    let db = Database::new().await;
    let (webhook, _) = db.webhook("https://example.com/", "").await;
    db.run(&format!("SELECT webhook_rotate_secret('{webhook}', grace => '0')")).await;
    let user = db.connect().await;
    user.run("BEGIN; SELECT FROM webhook.secrets FOR UPDATE").await;
    let done = db.value("SELECT webhook._relay_maintain()").await;
    assert_eq!(done, "6 partitions created, 0 days dropped, 1 left for later because they were locked");
    user.run("COMMIT").await;
}

#[tokio::test]
async fn nobody_waits_for_the_tidying_as_for_the_partitions() {
    let db = Database::new().await;
    let (webhook, _) = db.webhook("https://example.com/", "").await;
    db.run(&format!("SELECT webhook_rotate_secret('{webhook}', grace => '0')")).await;
    db.run(
        "CREATE TABLE tidied (locked boolean);
         CREATE FUNCTION tidied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO public.tidied SELECT EXISTS (
                 SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'webhook.events'::regclass AND mode = 'AccessExclusiveLock');
             RETURN OLD;
         END $$;
         CREATE TRIGGER tidied BEFORE DELETE ON webhook.secrets FOR EACH ROW EXECUTE FUNCTION tidied()",
    )
    .await;
    let done = db.value("SELECT webhook._relay_maintain()").await;
    assert_eq!(done, "6 partitions created, 0 days dropped, 0 left for later because they were locked");
    assert_eq!(db.rows("SELECT locked FROM tidied").await, [["f"]]);
}
