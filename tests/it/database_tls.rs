//! The relay's way to Postgres over TLS: `sslmode` and its companions mean what they mean to libpq.

use std::path::Path;

use webhook_tests::certificates::{Authority, Identity};
use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;
use webhook_tests::run;

/// A cluster that shows `identity`, and lets those in over TCP whom these lines of `pg_hba.conf` let in.
async fn cluster(authority: &Authority, identity: &Identity, hba: &str) -> Cluster {
    let file = run::subfolder("hba").join("pg_hba.conf");
    std::fs::write(&file, format!("local all all trust\n{hba}\n")).expect("write pg_hba.conf");
    let settings = [
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", identity.certificate.display()),
        format!("ssl_key_file={}", identity.key.display()),
        format!("ssl_ca_file={}", authority.file().display()),
        format!("hba_file={}", file.display()),
    ];
    // Not that of the run: a fetched Postgres may be built without TLS.
    Cluster::start_of(15, &settings.each_ref().map(String::as_str)).await
}

fn url(db: &Database<'_>, host: &str, parameters: &str) -> String {
    let port = db.cluster().address().port();
    format!("postgresql://postgres@{host}:{port}/{}?hostaddr=127.0.0.1&{parameters}", db.name())
}

fn pem(key: &str, file: &Path) -> String {
    format!("{key}={}", file.display())
}

const TLS_ONLY: &str = "hostssl all all 127.0.0.1/32 trust";

#[tokio::test]
async fn deliveries_over_a_verified_connection() {
    let authority = Authority::new();
    let cluster = cluster(&authority, &authority.certify("db.example"), TLS_ONLY).await;
    let (db, receiver) = (Database::on(&cluster).await, Receiver::start());
    let full = format!("sslmode=verify-full&{}", pem("sslrootcert", &authority.file()));
    let relay = Relay::start(&url(&db, "db.example", &full)).await;
    db.webhook(&receiver.url("/hook"), "").await;
    db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'", "1").await;
    let sessions =
        "FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name = 'webhook-relay'";
    let all_encrypted = format!("SELECT count(*) >= 2 AND bool_and(ssl) {sessions}");
    assert_eq!(db.value(&all_encrypted).await, "t", "the main session's, the recorder's and the errands'");
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn what_each_mode_accepts() {
    let (authority, other) = (Authority::new(), Authority::new());
    let cluster = cluster(&authority, &authority.certify("db.example"), TLS_ONLY).await;
    let db = Database::on(&cluster).await;
    let (right, wrong) = (pem("sslrootcert", &authority.file()), pem("sslrootcert", &other.file()));
    for (host, parameters, expected) in [
        ("db.example", format!("sslmode=verify-full&{right}"), "connected"),
        ("db.example", format!("sslmode=verify-full&{wrong}"), "UnknownIssuer"),
        ("other.example", format!("sslmode=verify-full&{right}"), "not valid for name \"other.example\""),
        ("other.example", format!("sslmode=verify-ca&{right}"), "connected"),
        ("other.example", format!("sslmode=verify-ca&{wrong}"), "UnknownIssuer"),
        ("other.example", format!("sslmode=require&{wrong}"), "UnknownIssuer"),
        ("db.example", "sslmode=verify-full&sslrootcert=system".into(), "UnknownIssuer"),
        ("other.example", "sslmode=require".into(), "connected"),
        ("other.example", "sslmode=prefer".into(), "connected"),
        ("other.example", "sslmode=allow".into(), "connected"),
        ("other.example", String::new(), "connected"),
        ("other.example", "sslmode=disable".into(), "no encryption"),
    ] {
        let said = Relay::check(&url(&db, host, &parameters)).await;
        assert!(said.contains(expected), "{host} {parameters}:\n{said}");
        assert_eq!(said.contains("no connection to PostgreSQL"), expected != "connected", "{said}");
    }
}

#[tokio::test]
async fn a_server_without_tls_or_one_that_wants_none() {
    let db = Database::new().await;
    for (parameters, expected) in [
        ("sslmode=require", "server does not support TLS"),
        ("sslmode=prefer", "connected"),
        ("", "connected"),
    ] {
        let said = Relay::check(&url(&db, "db.example", parameters)).await;
        assert!(said.contains(expected), "{parameters}:\n{said}");
    }
    let authority = Authority::new();
    let identity = authority.certify("db.example");
    let cluster = cluster(&authority, &identity, "hostnossl all all 127.0.0.1/32 trust").await;
    let db = Database::on(&cluster).await;
    for (parameters, expected) in [("sslmode=require", "SSL encryption"), ("sslmode=prefer", "connected")] {
        let said = Relay::check(&url(&db, "db.example", parameters)).await;
        assert!(said.contains(expected), "{parameters}:\n{said}");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let cluster = cluster(&authority, &authority.certify_expired("db.example"), TLS_ONLY).await;
    let db = Database::on(&cluster).await;
    for mode in ["verify-ca", "verify-full"] {
        let parameters = format!("sslmode={mode}&{}", pem("sslrootcert", &authority.file()));
        let said = Relay::check(&url(&db, "db.example", &parameters)).await;
        assert!(said.contains("certificate expired"), "{said}");
    }
}

#[tokio::test]
async fn a_server_that_asks_who_we_are() {
    let authority = Authority::new();
    let hba = "hostssl all all 127.0.0.1/32 cert";
    let cluster = cluster(&authority, &authority.certify("db.example"), hba).await;
    let db = Database::on(&cluster).await;
    let (ours, theirs) = (authority.certify("postgres"), authority.certify("somebody"));
    for (parameters, expected) in [
        (format!("{}&{}", pem("sslcert", &ours.certificate), pem("sslkey", &ours.key)), "connected"),
        (pem("sslcert", &ours.both), "connected"),
        (pem("sslcert", &theirs.both), "certificate authentication failed for user \"postgres\""),
        (String::new(), "requires a valid client certificate"),
    ] {
        let said = Relay::check(&url(&db, "db.example", &format!("sslmode=require&{parameters}"))).await;
        assert!(said.contains(expected), "{parameters}:\n{said}");
    }
}
