//! What we send verifies in code that we did not write.

use webhook_tests::database::Database;
use webhook_tests::relay::Relay;

use crate::asymmetric::{OTHER_PUBLIC, PUBLIC, SEED};
use crate::receivers::{Language, NEWER_PYTHON, SEED_003, SEED_004, libraries, sample, start};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A database that watches a table whose rows are hard to re-serialise.
async fn database() -> Database<'static> {
    let db = Database::new().await;
    db.run(
        r#"CREATE TABLE things (
               id int PRIMARY KEY, price numeric(10,2), at timestamptz, name text, doc jsonb, ratio float8, big bigint,
               tags text[], "7" int, "odd "" name" text)"#,
    )
    .await;
    db.run("SELECT webhook_watch('things', 'thing')").await;
    db
}

/// Rows that a receiver must verify as they are.
const ROWS: &str = r#"INSERT INTO things VALUES
    (1, 1.10, '2026-01-02 03:04:05.678+00', 'plain', '{}', 0.1, 1, '{}', 1, ''),
    (2, 100.00, '2026-01-02 03:04:05+09:30', 'Grüße 🌍 "q" \ / é ', NULL, 1e21, 9007199254740991, '{a,"b c"}', NULL, 'x'),
    (3, -0.50, 'infinity', E'tab\tline\nbell\u0007\u2028', '{"b": 1.50, "a": [1, 2.0, {"x": null}], "10": 1, "2": {"y": 1e3}}',
     'NaN', -42, '{NULL}', 7, NULL),
    (4, 12345678.90, now(), 'name', '[[[1.000, "\u20ac", "😀", {"k": {"k": []}}]]]', 1e-7, 0, NULL, 0, '😀'),
    (5, NULL, NULL, NULL, '"text"', -0.0, NULL, NULL, NULL, NULL)"#;

/// Every row arrives with 200, and a receiver with another secret refuses them.
async fn verifies(language: Language, program: &str, sample: Option<&str>, signature: &str) {
    let keys = [SECRET, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"];
    verifies_by(keys, language, program, sample, signature, SECRET).await;
}

/// The same with the receivers' own keys, the right one and another.
async fn verifies_by(
    keys: [&str; 2],
    language: Language,
    program: &str,
    sample: Option<&str>,
    signature: &str,
    secret: &str,
) {
    let db = database().await;
    let _relay = Relay::start(&db.url()).await;
    let receiver = start(language, program, sample, keys[0]).await;
    let stranger = start(language, program, sample, keys[1]).await;
    let mut webhooks = Vec::new();
    for port in [&receiver.port, &stranger.port] {
        let options = format!(
            r#"events => '{{thing.*}}', secret => '{secret}', options => '{{"signature": "{signature}", "retry_schedule": []}}'"#
        );
        webhooks.push(db.webhook(&format!("http://127.0.0.1:{port}/webhooks"), &options).await.0);
    }
    db.run(ROWS).await;
    db.run("UPDATE things SET price = price + 0.01; DELETE FROM things WHERE id = 2").await;
    let sent = db.value("SELECT count(*) FROM webhook.events WHERE type LIKE 'thing.%'").await;
    let settled = |webhook: &str| {
        format!(
            "SELECT coalesce(string_agg(DISTINCT response_code::text, ','), '') || ' ' || count(*)
             FROM webhook.deliveries WHERE webhook_id = '{webhook}' AND status <> 'pending'"
        )
    };
    db.until(&settled(&webhooks[0]), &format!("200 {sent}")).await;
    db.until(&settled(&webhooks[1]), &format!("401 {sent}")).await;
}

#[tokio::test]
async fn standardwebhooks_of_npm() {
    verifies(Language::Node, "standard.js", None, "standard").await;
}

#[tokio::test]
async fn standardwebhooks_of_pypi() {
    verifies(Language::Python, "standard.py", None, "standard").await;
}

#[tokio::test]
async fn ed25519_of_node() {
    verifies_by([PUBLIC, OTHER_PUBLIC], Language::Node, "ed25519.js", None, "standard", SEED).await;
}

/// Where there is a Python for it; Node's own Ed25519 verifies everywhere.
#[tokio::test]
async fn authweave_webhooks_of_pypi() {
    if libraries().await.join(NEWER_PYTHON).exists() {
        let keys = [PUBLIC, OTHER_PUBLIC];
        verifies_by(keys, Language::NewerPython, "asymmetric.py", None, "standard", SEED).await;
    }
}

#[tokio::test]
async fn the_node_route_of_seed_004_which_serialises_the_body_anew() {
    let sample = sample(SEED_004, "javascript", "JSON.stringify(req.body)");
    verifies(Language::Node, "express_route.js", Some(&sample), "sha256").await;
}

#[tokio::test]
async fn the_complete_node_example_of_seed_004() {
    let sample = sample(SEED_004, "javascript", "app.listen(3000, ");
    verifies(Language::Node, "express_app.js", Some(&sample), "sha256").await;
}

#[tokio::test]
async fn the_python_route_of_seed_004() {
    let sample = sample(SEED_004, "python", "def verify_webhook_signature");
    verifies(Language::Python, "flask_route.py", Some(&sample), "sha256").await;
}

#[tokio::test]
async fn the_node_sample_of_seed_003() {
    let sample = sample(SEED_003, "javascript", "function verifyWebhookSignature");
    verifies(Language::Node, "raw.js", Some(&sample), "hex").await;
}
