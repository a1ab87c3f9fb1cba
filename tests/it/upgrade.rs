//! `ALTER EXTENSION UPDATE` from the first release. The library is the new one from the start, as after a package's upgrade.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::relay::Relay;
use webhook_tests::run::repository;
use webhook_tests::session::Session;
use webhook_tests::stage::Stage;

use crate::backup::TOMORROW;

const CAPABILITIES: [&str; 4] = ["emit", "read", "manage", "relay"];
const FIRST: &str = "0.1.0";
const UPDATE: &str = "ALTER EXTENSION pg_webhook UPDATE";
const VERSION: &str = "SELECT extversion FROM pg_extension WHERE extname = 'pg_webhook'";

/// A database with the extension of that version.
async fn of_version(version: &str) -> Database<'static> {
    let db = Database::bare(Cluster::shared().await).await;
    db.run(&format!("CREATE EXTENSION pg_webhook VERSION '{version}'")).await;
    db
}

async fn catalogue(db: &Session) -> BTreeMap<String, String> {
    let rows = db.rows(include_str!("upgrade/catalogue.sql")).await;
    rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
}

/// What is not the same in both, with what each says of it.
fn differences(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<String> {
    let things: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let differs = things.into_iter().filter(|thing| one.get(*thing) != other.get(*thing));
    differs.map(|thing| format!("{thing}\n  {:?}\n  {:?}", one.get(thing), other.get(thing))).collect()
}

#[tokio::test]
async fn an_upgraded_install_is_a_fresh_one() {
    let (upgraded, fresh) = (of_version(FIRST).await, of_version(env!("CARGO_PKG_VERSION")).await);
    let roles = roles(&[&fresh, &upgraded]).await;
    upgraded.run(UPDATE).await;
    let expected = catalogue(&fresh).await;
    let found = differences(&catalogue(&upgraded).await, &expected);
    assert!(
        found.is_empty(),
        "upgraded and fresh differ; see sql/upgrade/pg_webhook--{FIRST}--….sql:\n{}",
        found.join("\n")
    );
    assert!(expected.len() > 500, "it looks at everything");

    for (change, thing) in [
        ("COMMENT ON TABLE webhook.events IS 'other'", "relation webhook.events"),
        ("COMMENT ON COLUMN webhook.events.key IS 'other'", "column webhook.events.key"),
        ("ALTER TABLE webhook.pending ALTER tries SET DEFAULT 1", "column webhook.pending.tries"),
        ("ALTER TABLE webhook.pending ADD more int", "column webhook.pending.more"),
        (
            "ALTER TABLE webhook.pending ADD CONSTRAINT few CHECK (tries < 9)",
            "constraint few of webhook.pending",
        ),
        ("CREATE INDEX more ON webhook.pending (tries)", "index webhook.more"),
        ("DROP TRIGGER pending_left ON webhook.pending", "trigger pending_left of webhook.pending"),
        (
            "ALTER TABLE webhook.webhooks DISABLE TRIGGER webhook_gone",
            "trigger webhook_gone of webhook.webhooks",
        ),
        ("DROP POLICY account ON webhook.events", "policy account of webhook.events"),
        ("ALTER SEQUENCE webhook.bell CACHE 9", "sequence webhook.bell"),
        ("GRANT EXECUTE ON FUNCTION webhook_stats() TO PUBLIC", "function webhook_stats()"),
        ("ALTER FUNCTION webhook._is_home() RESET search_path", "function webhook._is_home()"),
        (
            "ALTER EXTENSION pg_webhook DROP FUNCTION webhook._lost",
            "member function webhook._lost(text,text)",
        ),
        ("DELETE FROM webhook.event_types WHERE type = 'user.created'", "event type user.created"),
    ] {
        upgraded.run(&format!("BEGIN; {change}")).await;
        let found = differences(&catalogue(&upgraded).await, &expected);
        upgraded.run("ROLLBACK").await;
        assert!(found.iter().any(|said| said.starts_with(&format!("{thing}\n"))), "{change}: {found:?}");
    }
    for db in [&fresh, &upgraded] {
        db.run(&for_each(&roles, "DROP OWNED BY")).await;
    }
    fresh.run(&for_each(&roles, "DROP ROLE")).await;
}

/// A role for each capability, which has it in these databases.
async fn roles(databases: &[&Database<'_>]) -> [String; 4] {
    let roles = CAPABILITIES.map(|capability| format!("{capability}_{}", databases[0].name()));
    databases[0].run(&for_each(&roles, "CREATE ROLE")).await;
    for db in databases {
        for (capability, role) in CAPABILITIES.iter().zip(&roles) {
            db.run(&format!("SELECT webhook_grant('{role}', '{capability}')")).await;
        }
    }
    roles
}

fn for_each(roles: &[String], command: &str) -> String {
    let statements: Vec<_> = roles.iter().map(|role| format!("{command} {role}")).collect();
    statements.join(";")
}

/// Stands in for a release to come, whose upgrade script has this text.
async fn write_script(version: &str, script: &str) {
    let name = format!("pg_webhook--{}--{version}.sql", env!("CARGO_PKG_VERSION"));
    fs::write(Stage::get().await.extension.join(name), script).expect("write a script");
}

async fn update_to(db: &Session, version: &str, script: &str) {
    write_script(version, script).await;
    db.run(&format!("ALTER EXTENSION pg_webhook UPDATE TO '{version}'")).await;
}

#[tokio::test]
async fn what_is_new_is_for_whoever_has_the_capability_and_nobody_else() {
    let db = Database::new().await;
    let roles = roles(&[&db]).await;
    let (guest, partial) = (format!("guest_{}", db.name()), format!("partial_{}", db.name()));
    db.run(&format!(
        "CREATE ROLE {guest}; ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO {guest};
         ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {guest};
         CREATE ROLE {partial}; GRANT EXECUTE ON FUNCTION webhook_stats(), webhook_create TO {partial}; GRANT SELECT ON webhook.events TO {partial}"
    ))
    .await;
    let [remember, privileges, grant] = ["upgrade/remember", "privileges", "upgrade/grant_again"]
        .map(|name| fs::read_to_string(repository().join(format!("sql/{name}.sql"))).expect("read it"));
    let new = "CREATE FUNCTION webhook._relay_new() RETURNS int LANGUAGE sql AS 'SELECT 1';
               CREATE FUNCTION @extschema@.webhook_new() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE webhook.new ();";
    update_to(&db, "9.8.0", &[&*remember, new, &privileges, &grant].join("\n")).await;

    let may = async |what: &str| {
        let all = [&roles[..], &[guest.clone(), partial.clone()]].concat().join(",");
        let sql = format!(
            "SELECT r FROM unnest('{{{all}}}'::name[]) WITH ORDINALITY x(r, n) WHERE {what} ORDER BY n"
        );
        let found = db.rows(&sql).await.concat();
        found.iter().map(|role| role.split('_').next().expect("a word").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(may("has_function_privilege(r, 'webhook._relay_new()', 'EXECUTE')").await, ["relay"]);
    assert_eq!(may("has_function_privilege(r, 'webhook_new()', 'EXECUTE')").await, ["manage"]);
    assert_eq!(may("has_table_privilege(r, 'webhook.new', 'SELECT')").await, [""; 0]);
    let before = "has_function_privilege(r, 'webhook_stats()', 'EXECUTE') AND has_table_privilege(r, 'webhook.events', 'SELECT')";
    assert_eq!(may(before).await, ["read", "partial"], "what was granted apart stays so");
    assert_eq!(may("has_function_privilege(r, 'webhook_get(text)', 'EXECUTE')").await, ["read", "manage"]);
    let all = [&roles[..], &[guest, partial]].concat();
    db.run(&for_each(&all, "DROP OWNED BY")).await;
    db.run(&for_each(&all, "DROP ROLE")).await;
}

#[tokio::test]
async fn under_load_with_a_relay_running() {
    let (db, receiver) = (of_version(FIRST).await, Receiver::start());
    receiver.answer("/fails", [Reply::status(500)]);
    db.run("CREATE TABLE users (id int PRIMARY KEY, n int); SELECT webhook_watch('users', 'user')").await;
    db.webhook(&receiver.url("/hook"), r#"events => '{user.*}', options => '{"ordered": true}'"#).await;
    let (fails, _) = db.webhook(&receiver.url("/fails"), TOMORROW).await;
    let relay = Relay::start(&db.url()).await;
    relay.logs().wait_for("ALTER EXTENSION pg_webhook UPDATE").await;
    let failed = db.emit("order.paid", "{}").await;
    db.until("SELECT count(*) FROM webhook.pending WHERE attempts = 1 AND lease = 0", "1").await;
    let later =
        db.value("SELECT webhook_emit('order.paid', '{}', deliver_at => now() + interval '1 day')").await;

    // Sessions that are open all the while, one of them in a transaction.
    let updated = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..2 {
        let (session, updated) = (db.connect().await, updated.clone());
        session.run(&format!("INSERT INTO users VALUES ({writer}, 0)")).await;
        writers.push(tokio::spawn(async move {
            let (mut writes, mut since) = (1, 0);
            while since < 50 {
                since += usize::from(updated.load(Ordering::Relaxed));
                session.run(&format!("UPDATE users SET n = n + 1 WHERE id = {writer}")).await;
                writes += 1;
            }
            writes
        }));
    }
    let open = db.connect().await;
    open.run("BEGIN; INSERT INTO users VALUES (2, 0)").await;
    receiver.wait_for(100).await;
    db.run(UPDATE).await;
    updated.store(true, Ordering::Relaxed);
    assert_eq!(db.value(VERSION).await, env!("CARGO_PKG_VERSION"));
    open.run("UPDATE users SET n = 1 WHERE id = 2; COMMIT").await;
    let mut written = 2;
    for writer in writers {
        written += writer.await.expect("a writer");
    }

    let delivered = "SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'";
    db.until(delivered, &written.to_string()).await;
    let users: Vec<_> = receiver.requests().into_iter().filter(|request| request.path == "/hook").collect();
    assert_eq!(users.len(), written, "nothing twice");
    for user in 0..3 {
        let seen = users.iter().map(|request| request.json()["data"].clone()).filter(|row| row["id"] == user);
        let seen: Vec<_> = seen.map(|row| row["n"].as_i64().expect("a number")).collect();
        assert!(seen.is_sorted_by(|a, b| a + 1 == *b), "in order: {seen:?}");
    }
    let waiting = db.rows("SELECT event_id FROM webhook.pending ORDER BY event_id").await.concat();
    assert_eq!(waiting, [failed, later], "what was pending still is");
    receiver.answer("/fails", [Reply::status(200)]);
    db.run(&format!("UPDATE webhook.pending SET due_at = clock_timestamp() WHERE webhook_id = '{fails}'"))
        .await;
    db.until(delivered, &(written + 2).to_string()).await;
    let relays = db.value("SELECT count(*) FROM webhook.relays").await;
    assert_eq!((relay.status(), &*relays), (None, "1"), "{}", relay.logs().text());
}

#[tokio::test]
async fn a_table_that_is_locked_fails_the_update_and_nobody_waits_behind_it() {
    let db = of_version(FIRST).await;
    let other = db.connect().await;
    other.run("BEGIN; LOCK TABLE webhook.events IN SHARE UPDATE EXCLUSIVE MODE").await;
    let refusal = db.refusal(UPDATE).await;
    assert_eq!(refusal.code, "55P03", "{refusal:?}");
    assert_eq!(db.value(VERSION).await, FIRST, "all or nothing");
    other.run("COMMIT").await;
    db.run(UPDATE).await;
}

#[tokio::test]
async fn what_somebody_planted_is_not_taken_for_ours() {
    let db = of_version(FIRST).await;
    db.run("ALTER EXTENSION pg_webhook DROP FUNCTION webhook_stats()").await;
    let refusal = db.refusal(UPDATE).await;
    assert_eq!(refusal.code, "55000", "{refusal:?}");
    assert!(refusal.message.contains("webhook_stats() is not a member of extension"), "{refusal:?}");
}

#[tokio::test]
async fn a_relay_of_another_version_says_so_and_ends() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    db.webhook(&receiver.url("/hook"), "").await;
    let running = Relay::start(&db.url()).await;
    update_to(&db, "9.9.0", "").await;
    db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    // It goes on until it has to connect again.
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    db.run(cut).await;
    let said = "the database has pg_webhook 9.9.0: install the relay of the same version, or run ALTER EXTENSION pg_webhook UPDATE";
    for relay in [running, Relay::launch(&db.url(), &[]).await] {
        assert_eq!(relay.ended().await.code(), Some(78));
        assert!(relay.logs().text().contains(said), "{}", relay.logs().text());
    }
    let checked = Relay::check(&db.url()).await;
    assert!(checked.contains("PROBLEM  the extension is 9.9.0 and this relay"), "{checked}");
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn sql_that_is_newer_than_the_library_changes_nothing() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    db.webhook(&receiver.url("/hook"), "").await;
    let relay = Relay::start(&db.url()).await;
    let before = catalogue(&db).await;
    let script = "ALTER TABLE webhook.events ADD later int;
        CREATE FUNCTION webhook._later() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', '_later_wrapper'";
    write_script("9.7.0", script).await;
    let refusal = db.refusal("ALTER EXTENSION pg_webhook UPDATE TO '9.7.0'").await;
    assert_eq!(refusal.code, "42883", "{refusal:?}");
    assert!(refusal.message.contains("_later_wrapper"), "{refusal:?}");
    assert_eq!(differences(&before, &catalogue(&db).await), [""; 0]);
    db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    assert!(relay.terminate().await.success());
}
