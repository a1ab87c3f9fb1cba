//! Names whose addresses change, or are several: what a name server can make the relay connect to.
//!
//! Each relay is in a network of its own with a public address that is ours, and a name server that answers as it is told.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use webhook_tests::database::Database;
use webhook_tests::island::{HOME, Island};
use webhook_tests::nameserver::{Answer, Kind, NameServer};

const PUBLIC: &str = "93.184.215.14";
const METADATA: &str = "169.254.169.254";
const PORT: u16 = 8080;
/// Addresses that nobody may be led to, each with the reason that the attempt gives.
const FORBIDDEN: [(&str, &str); 6] = [
    ("127.0.0.1", "loopback"),
    (HOME, "private"),
    (METADATA, "metadata"),
    ("::1", "loopback"),
    ("::ffff:127.0.0.1", "loopback"),
    ("64:ff9b::7f00:1", "loopback"),
];

/// The network with what listens in it.
struct Scene {
    names: NameServer,
    /// Requests that the public address got.
    delivered: Arc<AtomicUsize>,
    /// On every address that is forbidden and can be listened on.
    tripwires: Vec<TcpListener>,
    island: Island,
}

impl Scene {
    async fn new(db: &Database<'_>) -> Self {
        let island = Island::new(&db.url(), &[PUBLIC, METADATA], &["--allow-http"]).await;
        let (names, public, tripwires) = island.within(|| {
            let listen = |address| TcpListener::bind((address, PORT)).expect("an address of this network");
            let tripwires = ["127.0.0.1", HOME, METADATA, "::1"].map(listen).into();
            (UdpSocket::bind("127.0.0.1:53").expect("the port of name servers"), listen(PUBLIC), tripwires)
        });
        let delivered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&delivered);
        std::thread::spawn(move || accept(&public, &count));
        Self { names: NameServer::on(names), delivered, tripwires, island }
    }

    fn delivered(&self) -> usize {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Nothing has connected, and it would have been noticed.
    fn assert_untouched(&self) {
        for tripwire in &self.tripwires {
            tripwire.set_nonblocking(true).expect("set the listener up");
            assert!(tripwire.accept().is_err(), "something has connected to {tripwire:?}");
            let address = tripwire.local_addr().expect("its address");
            self.island.within(|| std::net::TcpStream::connect(address)).expect("it listens");
            assert!(tripwire.accept().is_ok(), "and would have noticed");
        }
    }
}

/// Answers one request a connection by 200.
fn accept(listener: &TcpListener, count: &AtomicUsize) {
    for mut stream in listener.incoming().map_while(Result::ok) {
        let mut bytes = [0; 16 * 1024];
        let mut request = Vec::new();
        while !request.windows(6).any(|window| window == b"{\"n\":1") {
            match stream.read(&mut bytes) {
                Ok(length @ 1..) => request.extend_from_slice(&bytes[..length]),
                _ => break,
            }
        }
        count.fetch_add(1, Ordering::Relaxed);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn at(addresses: &[&str]) -> Answer {
    Answer::Addresses(addresses.iter().map(|text| ip(text)).collect())
}

/// A webhook at that host, tried once; its id.
async fn webhook(db: &Database<'_>, host: &str) -> String {
    let rest = r#"events => '{user.created}', options => '{"retry_schedule": [], "store_response": "body", "signature": "none"}'"#;
    db.webhook(&format!("http://{host}:{PORT}/"), rest).await.0
}

/// Emits an event and returns what became of it for that webhook: status, response and error.
async fn outcome(db: &Database<'_>, webhook: &str) -> Vec<String> {
    let event = db.emit("user.created", r#"{"n":1}"#).await;
    finished(db, webhook, &event).await
}

async fn finished(db: &Database<'_>, webhook: &str, event: &str) -> Vec<String> {
    let sql = format!(
        "SELECT d.status, concat(a.response_code, a.response_headers, a.response_body), a.error
         FROM webhook_deliveries('{webhook}', event_id => '{event}') d, webhook_attempts(d.id) a WHERE d.status <> 'pending'"
    );
    db.until(&format!("SELECT count(*) FROM ({sql}) q"), "1").await;
    db.rows(&sql).await.remove(0)
}

#[tokio::test]
async fn a_name_that_moves_to_a_forbidden_address_is_called_no_more() {
    let db = Database::new().await;
    let scene = Scene::new(&db).await;
    for (n, (address, reason)) in FORBIDDEN.into_iter().enumerate() {
        let host = format!("moves-{n}.example.com");
        scene.names.answer(&host, [at(&[PUBLIC]), at(&[address])]);
        let webhook = webhook(&db, &host).await;
        let first = outcome(&db, &webhook).await;
        assert_eq!(first[0], "delivered", "{host}: {first:?}");
        assert_eq!(scene.delivered(), n + 1);
        assert_eq!(scene.names.asked(&host, Kind::A), 1, "asked once: what was vetted is what was called");
        let second = outcome(&db, &webhook).await;
        let expected =
            format!("blocked_target: {host}:{PORT} is at {address}, which is not allowed ({reason})");
        assert_eq!(second, ["failed", "", &expected]);
        assert_eq!(scene.names.asked(&host, Kind::A), 2, "a new connection asks again");
        db.run(&format!("SELECT webhook_delete('{webhook}')")).await;
    }
    assert_eq!(scene.delivered(), FORBIDDEN.len());
    scene.assert_untouched();
}

#[tokio::test]
async fn one_forbidden_address_among_others_is_enough() {
    let db = Database::new().await;
    let scene = Scene::new(&db).await;
    for (n, (address, reason)) in FORBIDDEN.into_iter().enumerate() {
        for (m, answer) in [
            at(&[PUBLIC, address]),
            at(&[address, PUBLIC]),
            Answer::Alias("elsewhere.example.net", vec![ip(address)]),
            Answer::Alias("elsewhere.example.net", vec![ip(PUBLIC), ip(address)]),
        ]
        .into_iter()
        .enumerate()
        {
            let host = format!("mixed-{n}-{m}.example.com");
            scene.names.answer(&host, [answer]);
            let webhook = webhook(&db, &host).await;
            let outcome = outcome(&db, &webhook).await;
            let expected =
                format!("blocked_target: {host}:{PORT} is at {address}, which is not allowed ({reason})");
            assert_eq!(outcome, ["failed", "", &expected]);
            db.run(&format!("SELECT webhook_delete('{webhook}')")).await;
        }
    }
    assert_eq!(scene.delivered(), 0, "not even the one that is allowed");
    scene.assert_untouched();
}

#[tokio::test]
async fn a_name_server_that_fails_is_a_failed_attempt() {
    let db = Database::new().await;
    let scene = Scene::new(&db).await;
    let many: Vec<_> = (1..=20).map(|n| IpAddr::from([93, 184, 215, n])).collect();
    let cases = [
        ("nowhere.example.com", Answer::NoSuchName, "dns_error: "),
        ("fails.example.com", Answer::Failure, "dns_error: "),
        ("silent.example.com", Answer::Silence, "dns_error: "),
        ("empty.example.com", at(&[]), "dns_error: "),
    ];
    for (host, answer, error) in cases {
        scene.names.answer(host, [answer]);
        let webhook = webhook(&db, host).await;
        let outcome = outcome(&db, &webhook).await;
        assert!(
            outcome[0] == "failed" && outcome[1].is_empty() && outcome[2].starts_with(error),
            "{outcome:?}"
        );
        db.run(&format!("SELECT webhook_delete('{webhook}')")).await;
    }
    scene.names.answer("many.example.com", [Answer::Addresses(many)]);
    let webhook = webhook(&db, "many.example.com").await;
    assert_eq!(outcome(&db, &webhook).await[0], "delivered");
    scene.assert_untouched();
}
