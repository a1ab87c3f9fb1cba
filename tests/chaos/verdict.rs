//! The account at the end: what arrived beside what should have.

use std::fmt;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use webhook_tests::receiver::{Receiver, Request};
use webhook_tests::session::Session;
use webhook_tests::stage;

use crate::evidence::Evidence;
use crate::faults::Landed;

/// What a round came to.
#[derive(Debug)]
pub struct Account {
    /// The kind of round.
    pub kind: String,
    /// Transactions that were acknowledged.
    pub committed: u32,
    /// How long it took until nothing was left to do.
    pub drained: Duration,
    /// Deliveries that had to arrive, each once or more.
    pub due: usize,
    /// Requests that arrived.
    pub arrived: usize,
    /// Requests that were repeated without a record of the one before.
    pub repeated: usize,
    /// Requests that were unrecorded at a hard fault.
    pub unrecorded: usize,
    /// Hard faults that landed.
    pub faults: usize,
    /// Signs of that in the logs.
    pub evidence: Evidence,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, committed, drained, due, arrived, repeated, unrecorded, faults, .. } = self;
        write!(
            f,
            "{kind}, {faults} hard faults, {committed} transactions, {due} deliveries due, {arrived} requests, "
        )?;
        write!(
            f,
            "{repeated} repeated of {unrecorded} unrecorded at a fault, drained in {} s",
            drained.as_secs()
        )
    }
}

/// An account and the rules that were broken.
pub struct Verdict {
    /// The figures.
    pub account: Account,
    /// Each broken rule with the first rows that break it.
    pub broken: Vec<String>,
}

/// Asks all of `checks.sql`.
pub async fn judge(
    session: &Session,
    receiver: &Receiver,
    landed: &[Landed],
    acknowledged: &[u32],
) -> Verdict {
    load(session, receiver, landed).await;
    let names = acknowledged.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    session.run(&format!("INSERT INTO chaos.acknowledged SELECT unnest('{{{names}}}'::bigint[])")).await;
    let mut checks = include_str!("checks.sql").split("-- check: ");
    session.run(checks.next().expect("what comes before the checks")).await;
    let mut broken = Vec::new();
    for check in checks {
        let (rule, query) = check.split_once('\n').expect("a rule and its query");
        let rows = session.rows(query).await;
        if !rows.is_empty() {
            let mut text = format!("BROKEN, {} times: {rule}", rows.len());
            for row in rows.iter().take(5) {
                let _ = write!(text, "\n    {}", row.join(" | "));
            }
            broken.push(text);
        }
    }
    let figures = include_str!("figures.sql");
    let row = session.rows(figures).await.remove(0);
    let [due, arrived, repeated, unrecorded] = [0, 1, 2, 3].map(|n| row[n].parse().expect("a number"));
    if repeated > unrecorded {
        broken.push(format!(
            "BROKEN: {repeated} requests were repeated, {unrecorded} were unrecorded at a fault"
        ));
    }
    let account = Account {
        kind: String::new(),
        committed: 0,
        drained: Duration::ZERO,
        due,
        arrived,
        repeated,
        unrecorded,
        faults: landed.len(),
        evidence: Evidence::default(),
    };
    Verdict { account, broken }
}

/// Writes the receiver's journal and the faults into the database.
async fn load(session: &Session, receiver: &Receiver, landed: &[Landed]) {
    let secrets = session.rows("SELECT webhook_id, secret FROM chaos.secret").await;
    let rows: Vec<_> =
        receiver.requests().iter().enumerate().map(|(n, request)| row(n, request, &secrets)).collect();
    for rows in rows.chunks(500) {
        session.run(&format!("INSERT INTO chaos.arrived VALUES {}", rows.join(","))).await;
    }
    for fault in landed {
        let [began, ended] = [fault.began, fault.ended].map(seconds);
        let sql = format!(
            "INSERT INTO chaos.fault VALUES ('{}', to_timestamp({began}), to_timestamp({ended}))",
            fault.name
        );
        session.run(&sql).await;
    }
}

fn row(n: usize, request: &Request, secrets: &[Vec<String>]) -> String {
    let webhook = request.header("x-webhook-id");
    let mut of_webhook = secrets.iter().filter(|row| row[0] == webhook).map(|row| &*row[1]);
    let is_valid = of_webhook.clone().any(|secret| is_signed(request, secret))
        && request
            .header("webhook-signature")
            .split(' ')
            .all(|one| of_webhook.clone().any(|secret| standard(request, secret) == one))
        && of_webhook.next().is_some();
    format!(
        "({n}, to_timestamp({}), to_timestamp({}), '{}', '{}', '{webhook}', '{}', {is_valid}, '{}')",
        seconds(request.clock),
        request.header("webhook-timestamp"),
        request.header("x-webhook-delivery"),
        request.header("webhook-id"),
        request.path,
        String::from_utf8_lossy(&request.body).replace('\'', "''"),
    )
}

fn is_signed(request: &Request, secret: &str) -> bool {
    let digest = hmac(secret.as_bytes(), &request.body);
    let hex = digest.iter().fold(String::from("sha256="), |text, byte| text + &format!("{byte:02x}"));
    request.header("x-webhook-signature") == hex
}

fn standard(request: &Request, secret: &str) -> String {
    let key = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_")).expect("a generated secret");
    let head = format!("{}.{}.", request.header("webhook-id"), request.header("webhook-timestamp"));
    format!("v1,{}", BASE64_STANDARD.encode(hmac(&key, &[head.as_bytes(), &request.body].concat())))
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// Keeps what happened in a failed round; returns where.
pub async fn keep(seed: u64, session: &Session, relays: &str, server: &str) -> PathBuf {
    let folder = stage::target().join("chaos");
    std::fs::create_dir_all(&folder).expect("make the folder of logs");
    let path = folder.join(format!("seed-{seed}.log"));
    let history = session.rows(include_str!("history.sql")).await;
    let history = history.iter().fold(String::new(), |text, row| text + &row.join(" ") + "\n");
    std::fs::write(&path, format!("{history}\n==== relays\n{relays}\n==== server\n{server}"))
        .expect("write the log");
    path
}
