//! Emitters wait neither for webhooks, however many match, nor for each other.

use webhook_tests::database::Database;

use crate::capture_seen::watched;

#[tokio::test]
async fn an_emit_asks_nothing_of_the_webhooks() {
    let db = watched().await;
    db.webhook("https://example.com/", "").await;
    let other = db.connect().await;
    let tables =
        "webhook.webhooks, webhook.secrets, webhook.subscriptions, webhook.pending, webhook.attempts";
    other.run(&format!("BEGIN; LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")).await;
    db.run("SET lock_timeout = '1s'").await;
    assert_eq!(db.refusal("SELECT webhook_list()").await.code, "55P03", "the fault landed");
    db.run("INSERT INTO users VALUES (1); SELECT webhook_emit('user.created', '{}', key => 'k')").await;
    assert_eq!(db.value("SELECT count(*) FROM webhook.events").await, "2");
    other.run("ROLLBACK").await;
}

#[tokio::test]
async fn two_that_emit_the_same_keys_in_opposite_order_do_not_meet() {
    let db = Database::new().await;
    let (first, second) = (db.connect().await, db.connect().await);
    let emit = |key: &str| format!("SELECT webhook_emit('user.updated', '{{}}', key => '{key}')");
    // What waits in memory is inserted when the outbox is looked at.
    let insert = "SELECT count(*) FROM webhook.events";
    for session in [&first, &second] {
        session.run("SET lock_timeout = '1s'; BEGIN").await;
    }
    for (session, key) in [(&first, "a"), (&second, "b"), (&first, "b"), (&second, "a")] {
        session.run(&emit(key)).await;
        session.run(insert).await;
    }
    for session in [&first, &second] {
        session.run("COMMIT").await;
    }
    assert_eq!(db.value(insert).await, "4");
}

#[tokio::test]
async fn idempotency_keys_in_opposite_order_end_one_of_two_transactions() {
    let db = Database::new().await;
    let (first, second) = (db.connect().await, db.connect().await);
    let emit = |key: &str| format!("SELECT webhook_emit('user.updated', '{{}}', idempotency_key => '{key}')");
    first.run(&format!("BEGIN; {}", emit("a"))).await;
    second.run(&format!("BEGIN; {}", emit("b"))).await;
    let pid = first.value("SELECT pg_backend_pid()").await;
    let wait = emit("b");
    let waiting = tokio::spawn(async move { first.try_rows(&format!("{wait}; COMMIT")).await });
    db.until(&format!("SELECT wait_event_type FROM pg_stat_activity WHERE pid = {pid}"), "Lock").await;
    let second = second.try_rows(&format!("{}; COMMIT", emit("a"))).await;
    let results = [waiting.await.expect("the first"), second];
    let refused: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()?.code()).collect();
    assert_eq!(refused.iter().map(|code| code.code()).collect::<Vec<_>>(), ["40P01"]);
    assert_eq!(db.value("SELECT count(*) FROM webhook.events").await, "2");
}
