//! What holds the order of a key together.

use webhook_tests::database::Database;
use webhook_tests::receiver::{Gate, Receiver, Reply};
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;

/// Three events of a key are put aside, the last one first.
async fn put_three_aside(db: &Session) {
    let create = r#"SELECT id FROM webhook_create('https://example.com/', options => '{"ordered": true}')"#;
    let webhook = db.value(create).await;
    db.run("SELECT webhook_emit('user.created', '{}', key => 'k') FROM generate_series(1, 3)").await;
    let spill = format!(
        "SELECT webhook._relay_record(
             'relay', NULL, NULL, NULL, NULL, NULL, array_agg(webhook._delivery_id(e.id, '{webhook}') ORDER BY e.seq DESC),
             array_agg(e.id ORDER BY e.seq DESC), array_agg('{webhook}'::text), array_agg(e.key), array_agg('spill'::text), array_agg(1),
             array_agg(0), array_agg(0::bigint), array_agg(0), array_agg(NULL::int), array_agg(NULL::int),
             array_agg('ordered'::text), array_agg(NULL::text), array_agg(NULL::bytea), array_agg(0::bigint))
         FROM webhook.events e"
    );
    db.run(&spill).await;
}

const WAITS: &str = "SELECT due_at = 'infinity' FROM webhook.pending ORDER BY seq";
const FIRST_GOES: &str = "DELETE FROM webhook.pending WHERE due_at < 'infinity'";

#[tokio::test]
async fn a_batch_out_of_order_is_put_aside_in_order() {
    let db = Database::new().await;
    put_three_aside(&db).await;
    assert_eq!(db.rows(WAITS).await.concat(), ["f", "t", "t"]);
    db.run(FIRST_GOES).await;
    assert_eq!(db.rows(WAITS).await.concat(), ["f", "t"]);
}

#[tokio::test]
async fn a_key_goes_on_though_its_next_one_is_canceled_in_the_same_moment() {
    let db = Database::new().await;
    put_three_aside(&db).await;
    let second = "SELECT webhook_cancel(delivery_id) FROM (SELECT * FROM webhook.pending ORDER BY seq OFFSET 1 LIMIT 1) p";
    db.run(&format!("BEGIN; {second}")).await;
    let relay = db.connect().await;
    let recording = tokio::spawn(async move { relay.run(FIRST_GOES).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    db.until(waits, "1").await;
    db.run("COMMIT").await;
    recording.await.expect("the first one goes");
    assert_eq!(db.rows(WAITS).await.concat(), ["f"], "it is the third one's turn");
}

#[tokio::test]
async fn a_delivery_that_failed_for_good_blocks_its_key_alone_until_it_is_replayed() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    receiver.answer("/hook", [Reply::status(500), Reply::status(200)]);
    let block =
        r#"events => '{user.*}', options => '{"ordered": true, "on_failed": "block", "retry_schedule": []}'"#;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), block).await;
    let _relay = Relay::start(&db.url()).await;
    let emit = async |n: u32, key: &str| {
        let sql = format!("SELECT webhook_emit('user.updated', '{{\"n\": {n}}}', key => '{key}')");
        let event = db.value(&sql).await;
        db.value(&format!("SELECT webhook._delivery_id('{event}', '{webhook}')")).await
    };
    let status = |delivery: &str| {
        format!("SELECT status FROM webhook_deliveries('{webhook}') WHERE id = '{delivery}'")
    };
    let first = emit(1, "k").await;
    db.until(&status(&first), "failed").await;
    let second = emit(2, "k").await;
    let other = emit(3, "other").await;
    db.until(&status(&other), "delivered").await;
    assert_eq!(db.value(&status(&second)).await, "pending");
    db.run(&format!("SELECT webhook_replay('{first}')")).await;
    db.until(&status(&second), "delivered").await;
    assert_eq!(db.value(&status(&first)).await, "delivered");
    let order: Vec<_> =
        receiver.requests().iter().map(|request| request.json()["data"]["n"].as_i64()).collect();
    assert_eq!(order, [1, 3, 1, 2].map(Some));
}

#[tokio::test]
async fn a_delivery_that_failed_for_good_does_not_block_its_key_unless_that_was_asked_for() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    receiver.answer("/hook", [Reply::status(500), Reply::status(500), Reply::status(200)]);
    let options = r#"events => '{user.*}', options => '{"ordered": true, "retry_schedule": ["1 second"]}'"#;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), options).await;
    let relay = Relay::start(&db.url()).await;
    db.run("SELECT webhook_emit('user.updated', to_jsonb(n), key => 'k') FROM generate_series(1, 3) n").await;
    let statuses = format!(
        "SELECT string_agg(status, ' ' ORDER BY created_at, id) FROM webhook_deliveries('{webhook}')"
    );
    db.until(&format!("SELECT count(*) FROM ({statuses}) x(s) WHERE s LIKE '%delivered%delivered%'"), "1")
        .await;
    let failed = format!(
        "SELECT count(*) FROM webhook_deliveries('{webhook}') WHERE status = 'failed' AND attempts = 2"
    );
    assert_eq!(db.value(&failed).await, "1", "the fault landed");
    let order: Vec<_> = receiver.requests().iter().map(|request| request.json()["data"].as_i64()).collect();
    assert_eq!(order, [1, 1, 2, 3].map(Some));
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn a_key_with_most_of_the_events_holds_up_no_other() {
    const HOT: usize = 500;
    let (db, receiver) = (Database::new().await, Receiver::start());
    let gate = Gate::closed();
    let first = (0..100).map(|_| Reply::status(200));
    receiver.answer("/hook", first.chain([Reply::status(200).held(&gate), Reply::status(200)]));
    db.webhook(&receiver.url("/hook"), r#"events => '{user.*}', options => '{"ordered": true}'"#).await;
    let relay = Relay::start(&db.url()).await;
    let emit = async |key: &str, count: usize| {
        let sql = format!(
            "SELECT webhook_emit('user.updated', jsonb_build_array('{key}', n), key => '{key}') FROM generate_series(1, {count}) n"
        );
        db.run(&sql).await;
    };
    emit("hot", HOT).await;
    // In the midst of them.
    receiver.wait_for(101).await;
    for key in 0..50 {
        emit(&format!("cold {key}"), 1).await;
    }
    receiver.wait_for(151).await;
    let numbers = |key: &str| -> Vec<u64> {
        let requests = receiver.requests();
        let data = requests.iter().map(|request| request.json()["data"].clone());
        data.filter(|data| data[0].as_str().is_some_and(|of| of.starts_with(key)))
            .filter_map(|data| data[1].as_u64())
            .collect()
    };
    assert_eq!((numbers("hot").len(), numbers("cold").len()), (101, 50), "while one of them is under way");
    gate.open();
    receiver.wait_for(HOT + 50).await;
    assert_eq!(numbers("hot"), (1..=HOT as u64).collect::<Vec<_>>());
    assert!(relay.terminate().await.success());
}
