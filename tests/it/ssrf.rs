//! What a webhook's URL can make the relay connect to: nothing that an operator has not opened.

use std::net::{TcpListener, ToSocketAddrs};

use webhook_tests::database::Database;
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::relay::Relay;

use targets::{FORBIDDEN, REFUSED};

mod targets;

/// Names of this machine, and all others that its hosts file has.
fn names() -> Vec<String> {
    let file = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let names = file
        .lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(|line| line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>());
    let usual = ["localhost", "LOCALHOST", "localhost.", "%6cocalhost", "ip6-localhost", "a.localhost"];
    names
        .chain(usual.map(str::to_owned))
        .filter(|name| {
            let found = (name.replace("%6c", "l"), 0).to_socket_addrs();
            found.is_ok_and(|mut found| found.all(|address| address.ip().is_loopback()))
        })
        .collect()
}

/// A port on every address of this machine that nothing may ever connect to.
struct Tripwire(TcpListener);

impl Tripwire {
    fn set() -> Self {
        let listener = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
        let listener = listener.expect("bind a port");
        listener.set_nonblocking(true).expect("set the listener up");
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("it has an address").port()
    }

    /// The kernel accepts connections before anybody asks for them, so none that was made is missed.
    fn tripped(&self) -> bool {
        self.0.accept().is_ok()
    }

    fn assert_untouched(self) {
        assert!(!self.tripped(), "something has connected");
        let port = self.port();
        std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        assert!(self.tripped(), "and would have noticed");
    }
}

/// Creates a webhook for each URL, emits one event, and returns each one's `(url as given, error)` of the only
/// attempt, after it has checked that the attempt shows no response.
async fn attempted(db: &Database<'_>, urls: &[String]) -> Vec<(String, String)> {
    let mut created = Vec::new();
    for url in urls {
        let rest =
            r#"events => '{user.created}', options => '{"retry_schedule": [], "store_response": "body"}'"#;
        created.push((url, db.webhook(url, rest).await.0));
    }
    db.emit("user.created", "{}").await;
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'failed'", &urls.len().to_string())
        .await;
    let mut errors = Vec::new();
    for (url, id) in created {
        let sql = format!(
            "SELECT d.attempts, d.response_code, a.number, a.response_code, a.response_headers, a.response_body, d.error, a.error
             FROM webhook_deliveries('{id}') d, webhook_attempts(d.id) a"
        );
        let mut rows = db.rows(&sql).await;
        assert_eq!(rows.len(), 1, "{url}: one attempt");
        let row = rows.remove(0);
        assert_eq!(row[..6], ["1", "", "1", "", "", ""].map(String::from), "{url}");
        assert_eq!(row[6], row[7], "{url}");
        errors.push((url.clone(), row[7].clone()));
    }
    errors
}

#[tokio::test]
async fn no_spelling_of_a_forbidden_address_is_called() {
    let (db, tripwire) = (Database::new().await, Tripwire::set());
    let _relay = Relay::strict(&db.url(), &[], &[]).await;
    let port = tripwire.port().to_string();
    let mut urls = Vec::new();
    let mut reasons = Vec::new();
    for (reason, hosts) in FORBIDDEN {
        urls.extend(hosts.iter().map(|host| format!("http://{}/", host.replace("PORT", &port))));
        reasons.resize(urls.len(), *reason);
    }
    let names = names();
    assert!(names.iter().any(|name| name == "localhost"), "{names:?}");
    urls.extend(names.iter().map(|name| format!("http://{name}:{port}/")));
    reasons.resize(urls.len(), "loopback");
    for ((url, error), reason) in attempted(&db, &urls).await.into_iter().zip(reasons) {
        let why = format!("which is not allowed ({reason})");
        assert!(error.starts_with("blocked_target: ") && error.ends_with(&why), "{url}: {error}");
    }
    tripwire.assert_untouched();
}

#[tokio::test]
async fn a_public_address_needs_https_and_a_port_of_the_web() {
    let db = Database::new().await;
    let _relay = Relay::strict(&db.url(), &[], &[]).await;
    let urls = ["http://93.184.215.14/", "http://[::ffff:93.184.215.14]:8080/", "https://93.184.215.14:81/"];
    let errors: Vec<_> =
        attempted(&db, &urls.map(String::from)).await.into_iter().map(|(_, error)| error).collect();
    let expected = [
        "blocked_target: plain http to 93.184.215.14:80 is not allowed",
        "blocked_target: plain http to [::ffff:5db8:d70e]:8080 is not allowed",
        "blocked_target: port 81 of 93.184.215.14 is not allowed",
    ];
    assert_eq!(errors, expected);
}

#[tokio::test]
async fn what_is_no_url_is_refused_at_once() {
    let db = Database::new().await;
    for (url, why) in REFUSED {
        let url = url.replace("PORT", "8080");
        for sql in [format!("SELECT webhook_create('{url}')"), format!("SELECT webhook_send('GET', '{url}')")]
        {
            let refusal = db.refusal(&sql).await;
            assert_eq!(refusal.code, "22023", "{url:?}: {}", refusal.message);
            assert!(refusal.message.contains(why) && !refusal.hint.is_empty(), "{url:?}: {refusal:?}");
        }
    }
    assert_eq!(db.value("SELECT count(*) FROM webhook.webhooks").await, "0");
}

#[tokio::test]
async fn a_one_off_request_is_no_way_around() {
    let (db, tripwire) = (Database::new().await, Tripwire::set());
    let _relay = Relay::strict(&db.url(), &[], &[]).await;
    for host in ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "localhost"] {
        let url = format!("http://{host}:{}/", tripwire.port());
        let delivery = db.value(&format!("SELECT webhook_send('GET', '{url}')")).await;
        db.until(&format!("SELECT status FROM webhook.deliveries WHERE id = '{delivery}'"), "failed").await;
        let attempt =
            format!("SELECT response_code, response_body, error FROM webhook_attempts('{delivery}')");
        let row = db.rows(&attempt).await.remove(0);
        assert_eq!((&*row[0], &*row[1]), ("", ""), "{url}");
        assert!(
            row[2].starts_with("blocked_target: ") && row[2].ends_with("(loopback)"),
            "{url}: {}",
            row[2]
        );
    }
    tripwire.assert_untouched();
}

/// The other half of the first test: the spellings there do lead to a listener, once somebody opens it.
#[tokio::test]
async fn the_same_spellings_lead_to_what_the_operator_opened() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let port = receiver.address().port();
    let opened = format!("127.0.0.1:{port}");
    let _relay = Relay::strict(&db.url(), &["--allow-target", &opened], &[]).await;
    let mapped = std::net::TcpStream::connect(("::ffff:127.0.0.1", port)).is_ok();
    let hosts = FORBIDDEN[0].1.iter().filter(|host| match host.starts_with('[') {
        true => mapped && host.to_lowercase().contains("ffff:"),
        false => !host.starts_with("127.255"),
    });
    let paths: Vec<_> = hosts.enumerate().map(|(n, host)| (format!("/{n}"), host)).collect();
    for (path, host) in &paths {
        let url = format!("http://{}{path}", host.replace("PORT", &port.to_string()));
        db.webhook(&url, "events => '{user.created}'").await;
    }
    db.emit("user.created", "{}").await;
    for (path, host) in &paths {
        assert_eq!(receiver.wait_for_path(path, 1).await.len(), 1, "{host}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_to_anywhere() {
    let (db, receiver, tripwire) = (Database::new().await, Receiver::start(), Tripwire::set());
    let opened = format!("127.0.0.1:{}", receiver.address().port());
    let _relay = Relay::strict(&db.url(), &["--allow-target", &opened], &[]).await;
    let forbidden = format!("http://127.0.0.1:{}/", tripwire.port());
    let targets =
        [&*forbidden, "http://169.254.169.254/latest/meta-data/", &receiver.url("/canary"), "/canary"];
    let mut paths = Vec::new();
    for status in [300, 301, 302, 303, 305, 307, 308] {
        for (n, target) in targets.iter().enumerate() {
            let path = format!("/{status}/{n}");
            receiver.answer(&path, [Reply::status(status).header("location", target)]);
            let rest = r#"events => '{user.created}', options => '{"retry_schedule": []}'"#;
            paths.push((status, db.webhook(&receiver.url(&path), rest).await.0));
        }
    }
    db.emit("user.created", "{}").await;
    for (status, webhook) in &paths {
        let sql = format!("SELECT status, response_code, error FROM webhook_deliveries('{webhook}')");
        db.until(&format!("SELECT count(*) FROM ({sql}) d WHERE status = 'failed'"), "1").await;
        let expected = ["failed", &status.to_string(), "redirect_refused"].map(String::from);
        assert_eq!(db.rows(&sql).await, [expected]);
    }
    assert_eq!(receiver.count(), paths.len(), "one request each");
    assert_eq!(receiver.requests_to("/canary").len(), 0);
    tripwire.assert_untouched();
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    let (db, receiver, tripwire) = (Database::new().await, Receiver::start(), Tripwire::set());
    let proxy = format!("http://127.0.0.1:{}", tripwire.port());
    let names = [
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "CGI_HTTP_PROXY",
    ];
    let mut environment: Vec<_> = names.iter().map(|name| (*name, &*proxy)).collect();
    environment.extend([("no_proxy", ""), ("NO_PROXY", "")]);
    let relay = Relay::strict(&db.url(), &["--allow-target", "127.0.0.0/8"], &environment).await;
    let set = std::fs::read(format!("/proc/{}/environ", relay.pid())).expect("its environment");
    let set = String::from_utf8_lossy(&set);
    assert_eq!(set.matches(&proxy).count(), names.len(), "{set}");
    let (plain, _) = db.webhook(&receiver.url("/plain"), "events => '{user.created}'").await;
    let tls = receiver.url("/tls").replace("http://", "https://");
    let (tls, _) =
        db.webhook(&tls, r#"events => '{user.created}', options => '{"retry_schedule": []}'"#).await;
    db.emit("user.created", "{}").await;
    let status = |id| format!("SELECT status FROM webhook_deliveries('{id}')");
    db.until(&status(plain), "delivered").await;
    // It greets the receiver itself, which speaks no TLS.
    db.until(&status(tls), "failed").await;
    assert_eq!(receiver.count(), 1);
    tripwire.assert_untouched();
}
