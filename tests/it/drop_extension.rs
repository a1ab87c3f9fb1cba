//! `DROP EXTENSION`: users' tables stay as they were and are written on; a relay says so and waits.

use std::collections::BTreeSet;

use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;

/// What a table of a user is, as the catalogue has it.
async fn table(db: &Session) -> Vec<Vec<String>> {
    db.rows(
        "SELECT 'column', attname, format_type(atttypid, atttypmod), attnotnull::text FROM pg_attribute
         WHERE attrelid = 'users'::regclass AND attnum > 0
         UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid), '' FROM pg_constraint WHERE conrelid = 'users'::regclass
         UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(oid), '' FROM pg_trigger WHERE tgrelid = 'users'::regclass
         UNION ALL SELECT 'acl', relacl::text, relrowsecurity::text, '' FROM pg_class WHERE oid = 'users'::regclass
         ORDER BY 1, 2",
    )
    .await
}

#[tokio::test]
async fn with_cascade_leaves_tables_as_they_were_and_a_relay_that_waits() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    db.run("CREATE TABLE users (id int PRIMARY KEY, name text CHECK (name <> ''))").await;
    db.run("CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'").await;
    db.run("CREATE TRIGGER own BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION own()").await;
    let before = table(&db).await;
    db.run(
        "SELECT webhook_watch('users', 'user', \"when\" => 'NEW.id > 0'), webhook_watch('users', 'person')",
    )
    .await;
    db.run(
        "CREATE TRIGGER by_hand AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION webhook_capture('hand')",
    )
    .await;
    db.webhook(&receiver.url("/hook"), "").await;
    let relay = Relay::start(&db.url()).await;
    // Sessions that have captured, and have plans and oids of what goes.
    let (idle, busy) = (db.connect().await, db.connect().await);
    idle.run("INSERT INTO users VALUES (1, 'Ada')").await;
    busy.run("INSERT INTO users VALUES (2, 'Bob')").await;
    receiver.wait_for(6).await;
    db.until("SELECT backlog FROM webhook_stats()", "0").await;

    let refusal = db.refusal("DROP EXTENSION pg_webhook").await;
    assert_eq!(refusal.code, "2BP01", "{refusal:?}");
    db.run("DROP EXTENSION pg_webhook CASCADE").await;

    assert_eq!(table(&db).await, before, "the table as it was");
    assert_eq!(db.value("SELECT to_regnamespace('webhook') IS NULL").await, "t");
    for (session, id) in [(&idle, 3), (&busy, 4), (&db.connect().await, 5)] {
        session.run(&format!("INSERT INTO users VALUES ({id}, 'Kim'); UPDATE users SET name = 'Lee' WHERE id = {id}; DELETE FROM users WHERE id = 1")).await;
    }
    assert_eq!(db.value("SELECT count(*) FROM users").await, "4");
    relay.logs().wait_for("the extension pg_webhook is not in this database").await;
    assert_eq!(reqwest::get(relay.url("/readyz")).await.expect("it lives").status(), 503);
    let said = Relay::check(&db.url()).await;
    assert!(said.contains("Run CREATE EXTENSION pg_webhook in this database."), "{said}");

    // It comes back, empty: the same sessions and the same relay go on with it.
    db.run("CREATE EXTENSION pg_webhook").await;
    relay.ready().await;
    let sent = receiver.count();
    db.webhook(&receiver.url("/hook"), "").await;
    db.run("SELECT webhook_watch('users', 'user')").await;
    idle.run("INSERT INTO users VALUES (7, 'Max')").await;
    busy.run("DELETE FROM users WHERE id = 7").await;
    let requests = receiver.wait_for(sent + 2).await;
    let types: BTreeSet<_> =
        requests[sent..].iter().map(|request| request.header("x-webhook-event").to_owned()).collect();
    assert_eq!(types, BTreeSet::from(["user.created", "user.deleted"].map(str::to_owned)));
    assert!(relay.terminate().await.success());
}
