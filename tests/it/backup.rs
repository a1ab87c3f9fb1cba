//! Backups: `pg_dump` in every form, and what a restored database sends.

use std::collections::BTreeSet;
use std::process::Output;

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::keys::KeyFile;
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;

/// What a backup must keep, as one text a line.
const KEPT: &str = "
    SELECT concat('webhook ', to_jsonb(w)) FROM webhook.webhooks w
    UNION ALL SELECT concat('secret ', to_jsonb(s)) FROM webhook.secrets s
    UNION ALL SELECT concat('secret key ', to_jsonb(k)) FROM webhook.secret_key k
    UNION ALL SELECT concat('source ', to_jsonb(s) - '{relation,updated_at,numbers_of}'::text[]) FROM webhook.sources s
    UNION ALL SELECT concat('subscription ', to_jsonb(s)) FROM webhook.subscriptions s
    UNION ALL SELECT concat('type ', to_jsonb(t)) FROM webhook.event_types t WHERE NOT builtin
    UNION ALL SELECT concat('event ', to_jsonb(e)) FROM webhook.events e
    UNION ALL SELECT concat('attempt ', to_jsonb(a)) FROM webhook.attempts a
    UNION ALL SELECT concat('pending ', to_jsonb(p)) FROM webhook.pending p
    UNION ALL SELECT concat('request ', to_jsonb(r)) FROM webhook.requests r
    UNION ALL SELECT concat('key ', to_jsonb(i)) FROM webhook.idempotency i
    UNION ALL SELECT concat('cursor ', to_jsonb(c)) FROM webhook.cursors c
    UNION ALL SELECT concat('identity ', to_jsonb(i)) FROM webhook.identity i
    ORDER BY 1";

/// Options of a webhook whose first retry is due long after the test, unless that says otherwise.
pub const TOMORROW: &str = r#"events => '{order.paid}', options => '{"retry_schedule": ["1 day"]}'"#;

/// A database with a little of everything, and no relay any more.
pub struct Original<'a> {
    pub db: Database<'a>,
    receiver: Receiver,
    /// What its secrets are sealed with.
    keys: KeyFile,
    /// Events that were delivered.
    delivered: BTreeSet<String>,
    /// Events that were not, and must be after a restore.
    waiting: BTreeSet<String>,
    kept: BTreeSet<String>,
}

/// Makes one.
pub async fn original(cluster: &Cluster) -> Original<'_> {
    let db = Database::on(cluster).await;
    let (receiver, keys) = (Receiver::start(), KeyFile::new().await);
    receiver.answer("/fails", [Reply::status(500), Reply::status(200)]);
    db.run("SELECT webhook._relay_maintain(); CREATE TABLE users (id int PRIMARY KEY, name text); SELECT webhook_watch('users', 'user')").await;
    db.webhook(&receiver.url("/hook"), r#"events => '{user.*}', filter_config => '{"id": {"$gt": 0}}', options => '{"headers": {"X-Key": "k"}}'"#).await;
    let (fails, _) = db.webhook(&receiver.url("/fails"), TOMORROW).await;
    db.webhook("https://example.com/", "events => '{}', account => 'acme'").await;
    db.run(&format!("SELECT webhook_rotate_secret('{fails}', grace => '1 day')")).await;
    db.run("SELECT webhook_subscribe(webhook_source_create('till'), id) FROM webhook_list() LIMIT 1").await;
    db.run("SELECT webhook_event_type_create('till.opened', 'a till was opened'), webhook_event_type_create('user.created', 'one of ours')").await;

    let relay = Relay::start_with(&db.url(), &keys.arguments()).await;
    relay.logs().wait_for("secrets were sealed").await;
    db.run("INSERT INTO users VALUES (1, 'Ada'), (2, 'Bob')").await;
    let retried = db.emit("order.paid", "{}").await;
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'", "2").await;
    db.until("SELECT count(*) FROM webhook.pending WHERE attempts = 1 AND lease = 0", "1").await;
    assert!(relay.terminate().await.success());
    let delivered = ids(&db, "type LIKE 'user.%'").await;
    db.run("INSERT INTO users VALUES (3, 'Eve'); SELECT webhook_emit('order.paid', '{}', idempotency_key => 'k1')").await;
    let mut waiting: BTreeSet<_> = ids(&db, "type IN ('user.created', 'order.paid')").await;
    waiting.retain(|id| !delivered.contains(id));
    assert!(waiting.contains(&retried) && waiting.len() == 3 && delivered.len() == 2);
    let kept = kept(&db).await;
    Original { db, receiver, keys, delivered, waiting, kept }
}

impl Original<'_> {
    /// Checks that what became of it holds, keeps to itself and in the end sends what it should.
    pub async fn goes_on(&self, cluster: &Cluster, database: &str) {
        let copy = cluster.connect(database).await;
        let now = kept(&copy).await;
        let more: Vec<_> = now.difference(&self.kept).collect();
        let lost: Vec<_> = self.kept.difference(&now).collect();
        assert!(
            more.is_empty() && lost.is_empty(),
            "what the original has not: {more:#?}\nwhat is lost: {lost:#?}"
        );
        let before = self.receiver.count();
        let relay = Relay::launch(&cluster.url(database), &self.keys.arguments()).await;
        relay.logs().wait_for("webhook_adopt").await;
        copy.run("INSERT INTO users VALUES (4, 'Kim'); UPDATE webhook.pending SET due_at = clock_timestamp() WHERE due_at <> 'infinity'").await;
        let again = "SELECT webhook_emit('order.paid', '{}', idempotency_key => 'k1')";
        assert!(self.waiting.contains(&copy.value(again).await), "a key used before the backup still holds");
        assert_eq!(self.receiver.count(), before, "an unadopted database sends nothing");

        let mut expected = self.waiting.clone();
        expected.extend(ids(&copy, "data->>'id' = '4'").await);
        copy.run("SELECT webhook_adopt()").await;
        self.receiver.wait_for(before + expected.len()).await;
        copy.until("SELECT backlog + pending FROM webhook_stats()", "0").await;
        let requests = self.receiver.requests();
        let sent: Vec<_> =
            requests[before..].iter().map(|request| request.header("webhook-id").to_owned()).collect();
        assert_eq!(sent.len(), expected.len(), "none twice");
        assert_eq!(sent.into_iter().collect::<BTreeSet<_>>(), expected);
        assert!(self.delivered.is_disjoint(&expected), "nothing old again");
        assert!(relay.terminate().await.success());
    }
}

async fn kept(db: &Session) -> BTreeSet<String> {
    db.rows(KEPT).await.concat().into_iter().collect()
}

async fn ids(db: &Session, condition: &str) -> BTreeSet<String> {
    db.rows(&format!("SELECT id FROM webhook.events WHERE {condition}")).await.concat().into_iter().collect()
}

/// Runs a Postgres program with arguments given as one text; `None` where there is none for this server.
fn client(cluster: &Cluster, program: &str, arguments: &str) -> Output {
    let mut command = cluster.program(program);
    command.args(arguments.split_whitespace());
    command.output().unwrap_or_else(|error| panic!("cannot start {program}: {error}"))
}

fn succeeds(cluster: &Cluster, program: &str, arguments: &str) {
    let output = client(cluster, program, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {said}");
    assert!(!said.contains("ERROR"), "{program} {arguments}: {said}");
}

/// Dumps and restores into a new database, which is checked to hold and to send what it should.
async fn survives(how: &str, restore: impl AsyncFnOnce(&Cluster, &str, &str, &str)) {
    let cluster = Cluster::shared().await;
    let from = original(cluster).await;
    if !cluster.has("pg_dump") {
        return;
    }
    let to = format!("{}_{how}", from.db.name());
    let file = cluster.folder().join(&to).display().to_string();
    cluster.connect("postgres").await.run(&format!("CREATE DATABASE {to}")).await;
    restore(cluster, from.db.name(), &to, &file).await;
    from.goes_on(cluster, &to).await;
    succeeds(cluster, "dropdb", &format!("--force {to}"));
}

#[tokio::test]
async fn a_plain_dump() {
    survives("plain", async |cluster, from, to, file| {
        succeeds(cluster, "pg_dump", &format!("--file {file} {from}"));
        succeeds(cluster, "psql", &format!("-qX -v ON_ERROR_STOP=1 -f {file} {to}"));
    })
    .await;
}

#[tokio::test]
async fn a_custom_dump() {
    survives("custom", async |cluster, from, to, file| {
        succeeds(cluster, "pg_dump", &format!("--format custom --file {file} {from}"));
        succeeds(cluster, "pg_restore", &format!("--exit-on-error --dbname {to} {file}"));
    })
    .await;
}

#[tokio::test]
async fn a_parallel_dump() {
    survives("parallel", async |cluster, from, to, file| {
        succeeds(cluster, "pg_dump", &format!("--format directory --jobs 3 --file {file} {from}"));
        succeeds(cluster, "pg_restore", &format!("--exit-on-error --jobs 3 --dbname {to} {file}"));
    })
    .await;
}

#[tokio::test]
async fn the_schema_first_and_the_data_later() {
    survives("parts", async |cluster, from, to, file| {
        succeeds(cluster, "pg_dump", &format!("--format custom --file {file} {from}"));
        succeeds(cluster, "pg_restore", &format!("--exit-on-error --schema-only --dbname {to} {file}"));
        // With the triggers on, the rows of watched tables would be captured as new ones.
        succeeds(
            cluster,
            "pg_restore",
            &format!("--exit-on-error --data-only --disable-triggers --dbname {to} {file}"),
        );
    })
    .await;
}

#[tokio::test]
async fn the_schema_webhook_alone_into_a_new_extension() {
    survives("schema", async |cluster, from, to, file| {
        let db = cluster.connect(to).await;
        db.run("CREATE EXTENSION pg_webhook; CREATE TABLE users (id int PRIMARY KEY, name text)").await;
        // By way of the parents: a new extension has no partitions yet.
        succeeds(cluster, "pg_dump", &format!("--data-only --schema webhook --extension pg_webhook --load-via-partition-root --file {file} {from}"));
        succeeds(cluster, "psql", &format!("-qX -v ON_ERROR_STOP=1 -f {file} {to}"));
        db.run("SELECT webhook_watch('users', 'user')").await;
    })
    .await;
}
