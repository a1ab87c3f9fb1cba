//! Secrets where nobody looks for them: in logs at every level, in statistics, in what Postgres logs of everything.
//!
//! The harness searches the log of every relay (at level trace), what it keeps, and the log of every server; here is
//! the proof that it finds something, and what takes settings of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::keys::KeyFile;
use webhook_tests::leaks;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

const OWN: &str = "canary-of-the-secret";
const GENERATED: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// What dropping it says.
fn dying_words(dropped: impl Sized) -> String {
    let caught = catch_unwind(AssertUnwindSafe(|| drop(dropped)));
    let words = caught.expect_err("the search fails the test");
    words.downcast_ref::<String>().expect("a message").clone()
}

#[tokio::test]
async fn a_secret_in_the_log_of_a_relay_is_found() {
    let db = Database::new().await;
    let relay = Relay::doomed(&db.url(), &[&format!("--{GENERATED}")], &[]).await;
    relay.ended().await;
    // An argument's name ends at its first equals sign.
    let name = GENERATED.trim_end_matches('=');
    relay.logs().wait_for(name).await;
    let words = dying_words(relay);
    assert!(words.contains("in the relay's log") && words.contains(name), "{words}");
}

#[tokio::test]
async fn a_secret_in_the_log_of_a_server_is_found() {
    let cluster = Cluster::start(&["fsync=off"]).await;
    for secret in [OWN, GENERATED] {
        let db = Database::on(&cluster).await;
        db.webhook("https://example.com/", &format!("secret => '{OWN}'")).await;
        db.run(&format!("DO $$ BEGIN RAISE LOG 'it is %', '{secret}'; END $$")).await;
        let words = dying_words(db);
        assert!(words.contains("in the server's log") && words.contains(secret), "{words}");
    }
    // Who errs in a statement finds it quoted in the log.
    let db = Database::on(&cluster).await;
    db.refusal(&format!("SELECT webhook_sign('{{}}', '{GENERATED}', \n'nonsense')")).await;
    assert!(cluster.log_text().contains(&format!("STATEMENT:  SELECT webhook_sign('{{}}', '{GENERATED}'")));
}

#[tokio::test]
async fn a_secret_in_a_table_is_found() {
    let cluster = Cluster::start(&["fsync=off"]).await;
    let db = Database::on(&cluster).await;
    db.webhook("https://example.com/", &format!("name => '{GENERATED}'")).await;
    let words = dying_words(db);
    assert!(words.contains("in the tables") && words.contains(GENERATED), "{words}");
}

/// The most that a server can be told to log, and a relay, while secrets are made, sealed, used and replaced.
#[tokio::test]
async fn with_everything_logged_nothing_of_ours_is() {
    let settings =
        ["fsync=off", "log_statement=all", "log_min_duration_statement=0", "log_error_verbosity=verbose"];
    let cluster = Cluster::start(&settings).await;
    let (db, receiver, keys) = (Database::on(&cluster).await, Receiver::start(), KeyFile::new().await);
    let auth = r#"options => '{"auth": {"username": "u", "password": "canary-of-the-password"}, "store_response": "body"}'"#;
    // Not in a statement, where a literal stands in the log as its author wrote it.
    let (webhook, plain) = db.webhook(&receiver.url("/"), auth).await;
    let level = ["--log", "trace,tokio_postgres::query=trace,h2::frame=trace,hyper::proto=trace"];
    for arguments in [&level[..], &[&level[..], &keys.arguments()].concat()] {
        let relay = Relay::start_with(&db.url(), arguments).await;
        let before = receiver.count();
        let rotated = db.value(&format!("SELECT secret FROM webhook_rotate_secret('{webhook}')")).await;
        db.emit("user.created", r#"{"name": "Ada"}"#).await;
        let request = receiver.wait_for(before + 1).await.remove(before);
        db.until("SELECT count(*) FROM webhook.deliveries WHERE status <> 'delivered'", "0").await;
        assert!(relay.terminate().await.success());
        let secrets = [&plain, &rotated].map(|secret| secret.split_once('_').expect("a prefix").1);
        let header = request.header("authorization").strip_prefix("Basic ").expect("a header").to_owned();
        for (place, text) in [("relay", relay.logs().text()), ("server", cluster.log_text())] {
            for secret in secrets.iter().chain(&[&*header, request.header("x-webhook-signature")]) {
                assert!(!text.contains(*secret), "{secret} in the log of the {place}");
            }
            assert!(place == "server" || !text.contains("canary-of-the-password"));
            assert!(place == "server" || !text.contains("Ada"), "the payload");
        }
    }
    let log = cluster.log_text();
    assert!(
        log.contains("webhook._relay_reseal") && log.to_lowercase().contains("detail:  parameters: $1 = "),
        "there is something to find"
    );
    assert_eq!(
        leaks::find(log.as_bytes()).as_deref(),
        Some("canary-of-the-password"),
        "the author's own literal"
    );
}

#[tokio::test]
async fn statistics_of_statements_hold_no_literal() {
    // A Postgres from elsewhere than Debian comes without contrib.
    let there = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_stat_statements'";
    if Cluster::shared().await.connect("postgres").await.value(there).await == "0" {
        return;
    }
    let cluster = Cluster::start(&[
        "fsync=off",
        "shared_preload_libraries=pg_stat_statements",
        "pg_stat_statements.track=all",
    ])
    .await;
    let (db, receiver, keys) = (Database::on(&cluster).await, Receiver::start(), KeyFile::new().await);
    db.run("CREATE EXTENSION pg_stat_statements").await;
    let options = r#"options => '{"auth": {"username": "u", "password": "canary-of-the-password"}, "headers": {"X-Key": "canary-of-a-header"}}'"#;
    let (webhook, _) = db.webhook(&receiver.url("/"), &format!("secret => '{OWN}', {options}")).await;
    let relay = Relay::start_with(&db.url(), &keys.arguments()).await;
    db.run(&format!("SELECT webhook_rotate_secret('{webhook}', '{OWN}-too')")).await;
    db.run(&format!(
        "SELECT webhook_send('POST', '{}', headers => '{{\"Authorization\": \"canary-of-a-token\"}}')",
        receiver.url("/one")
    ))
    .await;
    db.emit("user.created", r#"{"name": "canary-of-the-payload"}"#).await;
    receiver.wait_for(2).await;
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status <> 'delivered'", "0").await;
    assert!(relay.terminate().await.success());
    let statements = db.value("SELECT string_agg(query, E'\\n') FROM pg_stat_statements").await;
    assert!(!statements.contains("canary"), "{statements}");
    for statement in [
        "FROM webhook_create($1, secret => $2",
        "webhook_rotate_secret($1, $2)",
        "webhook._relay_record",
        "INSERT INTO webhook.secrets",
    ] {
        assert!(statements.contains(statement), "{statement} in {statements}");
    }
}
