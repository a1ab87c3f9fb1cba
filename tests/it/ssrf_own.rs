//! A public address that is the relay's own machine's is not called, unless the operator allows it.

use std::io::Read;
use std::net::TcpListener;
use std::process::Command;

use webhook_tests::database::Database;
use webhook_tests::island::Island;

const OWN: &str = "93.184.215.14";
const PORT: u16 = 8080;

/// What the listener at our own public address is sent, and what the attempt says of it.
async fn call(arguments: &[&str]) -> (usize, String) {
    let db = Database::new().await;
    let island = Island::new(&db.url(), &[], arguments).await;
    let listener = island.within(|| {
        let added = Command::new("ip").args(["address", "add", OWN, "dev", "lo"]).status();
        assert!(added.expect("start ip").success());
        TcpListener::bind((OWN, PORT)).expect("an address of this network")
    });
    // Not `*`: it would get the news of its own failure too.
    let rest = r#"events => '{user.*}', options => '{"retry_schedule": [], "timeout_ms": 500}'"#;
    let (webhook, _) = db.webhook(&format!("http://{OWN}:{PORT}/"), rest).await;
    db.emit("user.created", "{}").await;
    let outcome = format!("SELECT error FROM webhook_deliveries('{webhook}') WHERE status = 'failed'");
    db.until(&format!("SELECT count(*) FROM ({outcome}) o"), "1").await;
    let (mut stream, _) = listener.accept().expect("it was connected to");
    let mut sent = Vec::new();
    let _ = stream.read_to_end(&mut sent);
    (sent.len(), db.value(&outcome).await)
}

#[tokio::test]
async fn our_own_public_address_gets_nothing() {
    let (sent, error) = call(&["--allow-http"]).await;
    assert_eq!((sent, &*error), (0, "blocked_target: 93.184.215.14 is this machine's own address"));
    let (sent, error) = call(&["--allow-target", OWN]).await;
    assert!(sent > 0 && error == "timeout", "without the refusal it would have come: {sent} bytes, {error}");
}
