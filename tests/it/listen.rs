//! `webhook-relay listen` and `check`.

use std::process::Command;

use webhook_tests::cluster::free_port;
use webhook_tests::database::Database;
use webhook_tests::relay::{Logs, Relay};
use webhook_tests::stage::Stage;

use crate::asymmetric::{OTHER_PUBLIC, PUBLIC, SEED};

#[tokio::test]
async fn listen_verifies_and_prints() {
    let db = Database::new().await;
    let _relay = Relay::start(&db.url()).await;
    let port = free_port();
    let (_, secret) = db.webhook(&format!("http://127.0.0.1:{port}/"), "").await;
    let mut command = Command::new(&Stage::get().await.relay);
    let (_listener, printed) =
        Logs::of(command.args(["listen", "--port", &port.to_string(), "--secret", &secret]));
    printed.wait_for(&port.to_string()).await;
    let event = db.emit("user.created", r#"{"name": "Ada"}"#).await;
    printed.wait_for(&event).await;
    db.until("SELECT status FROM webhook.deliveries", "delivered").await;
    assert!(!printed.text().contains(&secret));
}

#[tokio::test]
async fn listen_verifies_with_the_public_key_alone() {
    let db = Database::new().await;
    let _relay = Relay::start(&db.url()).await;
    for (key, code) in [(PUBLIC, "200"), (OTHER_PUBLIC, "401")] {
        let port = free_port();
        let rest = format!("secret => '{SEED}', options => '{{\"retry_schedule\": []}}'");
        let (webhook, _) = db.webhook(&format!("http://127.0.0.1:{port}/"), &rest).await;
        let mut command = Command::new(&Stage::get().await.relay);
        let (_listener, printed) =
            Logs::of(command.args(["listen", "--port", &port.to_string(), "--secret", key]));
        printed.wait_for(&port.to_string()).await;
        db.emit("user.created", r#"{"name": "Ada"}"#).await;
        let outcome = format!("SELECT response_code FROM webhook_deliveries('{webhook}')");
        db.until(&outcome, code).await;
        db.run(&format!("SELECT webhook_delete('{webhook}')")).await;
    }
}

#[tokio::test]
async fn listen_refuses_what_is_not_signed_when_it_has_a_secret() {
    for (secret, code) in [(&["--secret", "correct horse"][..], 401), (&[], 200)] {
        let port = free_port().to_string();
        let mut command = Command::new(&Stage::get().await.relay);
        let (_listener, printed) = Logs::of(command.args(["listen", "--port", &port]).args(secret));
        printed.wait_for(&port).await;
        let request = reqwest::Client::new().post(format!("http://127.0.0.1:{port}/")).body("{}");
        assert_eq!(request.send().await.expect("an answer").status(), code);
        printed.wait_for("absent").await;
    }
}

#[tokio::test]
async fn check_says_what_is_wrong() {
    let db = Database::new().await;
    let relay = &Stage::get().await.relay;
    let good = Command::new(relay).args(["check", "--database-url", &db.url()]).output().expect("run check");
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stdout));

    let url = format!("host=127.0.0.1 port={} user=postgres dbname=x", free_port());
    let bad = Command::new(relay).args(["check", "--database-url", &url]).output().expect("run check");
    assert!(!bad.status.success());
    let bare = db.cluster().url("postgres");
    let bad = Command::new(relay).args(["check", "--database-url", &bare]).output().expect("run check");
    let said = [bad.stdout, bad.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(!bad.status.success());
    assert!(said.contains("CREATE EXTENSION pg_webhook"), "{said}");
}
