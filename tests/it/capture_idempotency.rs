//! Idempotency keys: one event and one id, however many ask at once.

use webhook_tests::database::Database;
use webhook_tests::session::Session;

const COUNT: &str = "SELECT count(*) FROM webhook.events";
const EMIT: &str = "SELECT webhook_emit('user.created', '{}', idempotency_key => 'k')";

/// Emits with the key in a session of its own; returns once that session waits for the other one.
async fn emit_behind(db: &Database<'_>) -> tokio::task::JoinHandle<Result<String, String>> {
    let second = db.connect().await;
    let pid = second.value("SELECT pg_backend_pid()").await;
    let task = tokio::spawn(async move { answer(&second).await });
    db.until(&format!("SELECT wait_event_type FROM pg_stat_activity WHERE pid = {pid}"), "Lock").await;
    task
}

async fn answer(session: &Session) -> Result<String, String> {
    let rows = session
        .try_rows(EMIT)
        .await
        .map_err(|error| error.as_db_error().expect("of the database").code().code().to_owned())?;
    Ok(rows.concat().concat())
}

#[tokio::test]
async fn the_second_of_two_transactions_waits_and_gets_the_first_ones_id() {
    let db = Database::new().await;
    let first = db.connect().await;
    first.run("BEGIN").await;
    let id = first.value(EMIT).await;
    let second = emit_behind(&db).await;
    first.run("COMMIT").await;
    assert_eq!(second.await.expect("the second"), Ok(id));
    assert_eq!(db.value(COUNT).await, "1");
}

#[tokio::test]
async fn when_the_first_rolls_back_the_second_emits() {
    let db = Database::new().await;
    let first = db.connect().await;
    first.run("BEGIN; SAVEPOINT s").await;
    let id = first.value(EMIT).await;
    let second = emit_behind(&db).await;
    first.run("ROLLBACK TO s").await;
    let other = second.await.expect("the second").expect("an id");
    assert_ne!(other, id);
    assert_eq!(first.value(EMIT).await, other, "and the first gets that id when it tries again");
    first.run("COMMIT").await;
    assert_eq!(db.value("SELECT string_agg(id, ' ') FROM webhook.events").await, other);
}

#[tokio::test]
async fn a_transaction_with_an_older_snapshot_is_told_to_try_again() {
    let db = Database::new().await;
    let second = db.connect().await;
    second.run("BEGIN ISOLATION LEVEL REPEATABLE READ").await;
    second.run("SELECT 1").await;
    let id = db.value(EMIT).await;
    assert_eq!(answer(&second).await, Err("40001".into()));
    second.run("ROLLBACK").await;
    assert_eq!(answer(&second).await, Ok(id));
}

#[tokio::test]
async fn many_at_once_get_one_id() {
    let db = Database::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let session = db.connect().await;
        tasks.spawn(async move { answer(&session).await });
    }
    let mut ids = tasks.join_all().await;
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(db.value("SELECT id FROM webhook.events").await, ids.remove(0).expect("an id"));
}

#[tokio::test]
async fn within_a_transaction_a_key_holds_as_long_as_its_savepoint() {
    let db = Database::new().await;
    db.run("BEGIN; SAVEPOINT s").await;
    let undone = db.value(EMIT).await;
    assert_eq!(db.value(EMIT).await, undone);
    db.run("ROLLBACK TO s").await;
    let kept = db.value(EMIT).await;
    assert_ne!(kept, undone);
    db.run("COMMIT").await;
    assert_eq!(db.value(EMIT).await, kept);
    assert_eq!(db.value(COUNT).await, "1");
}

#[tokio::test]
async fn the_first_call_decides_what_the_event_says() {
    let db = Database::new().await;
    let id = db.value(EMIT).await;
    let again = "SELECT webhook_emit('other.thing', '{\"a\": 1}', idempotency_key => 'k', key => 'x')";
    assert_eq!(db.value(again).await, id);
    assert_eq!(db.value("SELECT type FROM webhook.events").await, "user.created");
}

#[tokio::test]
async fn a_key_is_free_again_after_24_hours() {
    let db = Database::new().await;
    let first = db.value(EMIT).await;
    let age = |by: &str| format!("UPDATE webhook.idempotency SET created_at = created_at - interval '{by}'");
    db.run(&age("23:59")).await;
    assert_eq!(db.value(EMIT).await, first);
    db.run(&age("00:02")).await;
    let second = db.value(EMIT).await;
    assert_ne!(second, first);
    assert_eq!(db.value(EMIT).await, second, "and then holds for as long");
    assert_eq!(db.value(COUNT).await, "2");
    db.run(&age("25:00")).await;
    db.run("SELECT webhook._relay_maintain()").await;
    assert_eq!(
        db.value("SELECT count(*) FROM webhook.idempotency").await,
        "0",
        "maintenance forgets old keys"
    );
}

#[tokio::test]
async fn each_account_has_keys_of_its_own() {
    let db = Database::new().await;
    let of =
        |account: &str| EMIT.replace("idempotency_key", &format!("account => {account}, idempotency_key"));
    let (none, a, b) = (db.value(EMIT).await, db.value(&of("'a'")).await, db.value(&of("'b'")).await);
    assert!(none != a && a != b && b != none);
    db.run("SET webhook.account = 'a'").await;
    assert_eq!(db.value(EMIT).await, a, "also when the account comes from the setting");
    assert_eq!(db.value(COUNT).await, "3");
}
