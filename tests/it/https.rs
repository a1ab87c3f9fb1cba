//! Receivers behind TLS: HTTP/2 where both sides speak it, and receivers that ask who calls.

use std::path::Path;

use hyper::Version;
use webhook_tests::certificates::Authority;
use webhook_tests::database::Database;
use webhook_tests::receiver::{Gate, Receiver, Reply, Secured};
use webhook_tests::relay::Relay;

async fn relay(db: &Database<'_>, authority: &Authority, more: &[&str]) -> Relay {
    let file = authority.file();
    let trusted = file.to_str().expect("a path in UTF-8");
    Relay::start_with(&db.url(), &[&["--ca-file", trusted], more].concat()).await
}

const DELIVERED: &str = "SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'";

#[tokio::test]
async fn one_connection_of_http_2_for_many_requests() {
    let (db, authority) = (Database::new().await, Authority::new());
    let receiver = Receiver::secure(Secured::by(authority.certify("127.0.0.1")));
    let gate = Gate::closed();
    // The first pass, which lets the relay trust the receiver with more at a time; the rest hangs.
    let replies = (0..200).map(|_| Reply::status(200)).chain([Reply::status(200).held(&gate)]);
    receiver.answer("/hook", replies);
    let _relay = relay(&db, &authority, &[]).await;
    db.webhook(&receiver.url("/hook"), r#"options => '{"max_in_flight": 64}'"#).await;
    db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 1000)").await;
    let requests = receiver.wait_for(200 + 64).await;
    assert!(requests.iter().all(|request| request.version == Version::HTTP_2));
    assert_eq!(receiver.connections(), 1, "64 of them at the same time");
    gate.open();
    db.until(DELIVERED, "1000").await;
    assert_eq!(receiver.count(), 1000);
}

#[tokio::test]
async fn a_receiver_that_speaks_http_1_alone() {
    let (db, authority) = (Database::new().await, Authority::new());
    let receiver = Receiver::secure(Secured::by(authority.certify("127.0.0.1")).only_http1());
    let _relay = relay(&db, &authority, &[]).await;
    db.webhook(&receiver.url("/hook"), "").await;
    db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 100)").await;
    db.until(DELIVERED, "100").await;
    assert!(receiver.requests().iter().all(|request| request.version == Version::HTTP_11));
}

#[tokio::test]
async fn a_slow_neighbour_on_the_same_connection_holds_nobody_up() {
    let (db, authority) = (Database::new().await, Authority::new());
    let receiver = Receiver::secure(Secured::by(authority.certify("127.0.0.1")));
    receiver.answer("/hangs", [Reply::hang()]);
    receiver.answer("/endless", [Reply::status(200).endless()]);
    let _relay = relay(&db, &authority, &[]).await;
    for path in ["/hangs", "/endless", "/good"] {
        db.webhook(&receiver.url(path), r#"options => '{"timeout_ms": 500, "store_response": "body"}'"#)
            .await;
    }
    db.run("SELECT webhook_emit('user.created', '{}') FROM generate_series(1, 200)").await;
    receiver.wait_for_path("/good", 200).await;
    assert!(receiver.requests_to("/hangs").len() < 200, "while others hang");
    let failed = "SELECT count(*) > 0 FROM webhook.attempts WHERE error = 'timeout'";
    db.until(failed, "t").await;
    let cut = "SELECT max(length(response_body)) FROM webhook.attempts";
    db.until(cut, &(16 * 1024).to_string()).await;
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_client_certificate() {
    let (db, authority, theirs) = (Database::new().await, Authority::new(), Authority::new());
    let certified = || Secured::by(authority.certify("127.0.0.1")).for_clients_of(&theirs);
    theirs.certify("partner");
    // The folder holds the authority's own certificate too, which is nobody's identity.
    let folder = folder_with(&theirs, "partner");
    for receiver in [Receiver::secure(certified()), Receiver::secure(certified().only_http1())] {
        let _relay = relay(&db, &authority, &["--client-cert-dir", &folder]).await;
        let once = r#""retry_schedule": []"#;
        for (options, expected) in [
            (format!(r#"{{{once}, "client_cert": "partner"}}"#), ""),
            (format!("{{{once}}}"), "tls_error: the receiver asks for a client certificate: see client_cert"),
            (
                format!(r#"{{{once}, "client_cert": "nobody"}}"#),
                "tls_error: the relay has no client certificate of that name",
            ),
        ] {
            let (webhook, _) = db
                .webhook(&receiver.url("/hook"), &format!("events => '{{user.*}}', options => '{options}'"))
                .await;
            db.emit("user.created", "{}").await;
            let status = if expected.is_empty() { "delivered" } else { "failed" };
            db.until(&format!("SELECT status FROM webhook_deliveries('{webhook}')"), status).await;
            let error = format!("SELECT error FROM webhook_deliveries('{webhook}')");
            assert_eq!(db.value(&error).await, expected);
            db.value(&format!("SELECT webhook_delete('{webhook}')")).await;
        }
        assert_eq!(receiver.count(), 1, "nothing was sent without a certificate");
    }
}

#[tokio::test]
async fn a_receiver_that_is_not_who_it_should_be_gets_nothing() {
    let (db, authority, other) = (Database::new().await, Authority::new(), Authority::new());
    let _relay = relay(&db, &authority, &[]).await;
    let showing = |identity| Receiver::secure(Secured::by(identity));
    for (receiver, expected) in [
        (showing(authority.certify("127.0.0.1")), ""),
        (showing(authority.certify_expired("127.0.0.1")), "expired"),
        (showing(authority.certify("127.0.0.2")), "not valid for name"),
        (showing(other.certify("127.0.0.1")), "UnknownIssuer"),
    ] {
        let rest = r#"events => '{user.*}', options => '{"retry_schedule": []}'"#;
        let (webhook, _) = db.webhook(&receiver.url("/hook"), rest).await;
        db.emit("user.created", "{}").await;
        let is_well = expected.is_empty();
        let outcome = format!("SELECT status FROM webhook_deliveries('{webhook}')");
        db.until(&outcome, if is_well { "delivered" } else { "failed" }).await;
        let error = db.value(&format!("SELECT error FROM webhook_deliveries('{webhook}')")).await;
        assert!(
            is_well || error.starts_with("tls_error: ") && error.contains(expected),
            "{expected}: {error}"
        );
        assert_eq!((receiver.count(), receiver.connections()), (usize::from(is_well), 1), "{expected}");
        db.value(&format!("SELECT webhook_delete('{webhook}')")).await;
    }
}

/// A folder as `--client-cert-dir` wants it, with one identity.
fn folder_with(authority: &Authority, name: &str) -> String {
    let folder = webhook_tests::run::subfolder("client-certs");
    let file = Path::new(name).with_extension("pem");
    std::fs::copy(authority.folder().join(&file), folder.join(&file)).expect("copy a certificate");
    folder.to_str().expect("a path in UTF-8").to_owned()
}
