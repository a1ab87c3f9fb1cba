//! A plain job table, as is often written by hand: `FOR UPDATE SKIP LOCKED`, and a worker that keeps 64 requests of reqwest
//! under way.

use std::fmt::Write;
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use tokio::task::JoinSet;
use webhook_tests::database::Database;
use webhook_tests::session::Session;

use crate::{DATA, ceiling};

/// What is done for each job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It is sent.
    Send,
    /// The same work as pg_webhook's: it is sent with both signatures, and the answer logged.
    SignAndLog,
}

const JOBS: &str = "
    CREATE TABLE jobs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, url text, data jsonb, state text NOT NULL DEFAULT 'queued');
    CREATE INDEX jobs_queued ON jobs (id) WHERE state = 'queued';
    CREATE TABLE attempts (job bigint, number int, at timestamptz, outcome text, response_code int, response_time_ms int,
                           response_headers jsonb, response_body text, PRIMARY KEY (job, number))";
const CLAIM: &str = "
    UPDATE jobs SET state = 'running' WHERE id IN (
        SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 16 FOR UPDATE SKIP LOCKED)
    RETURNING id, url, data";

/// Makes the tables and starts the worker, which ends when it is dropped.
pub async fn work_on(db: &Database<'_>, work: Work) -> JoinSet<()> {
    db.run(JOBS).await;
    let client = Client::builder().no_proxy().build().expect("a client");
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        workers.spawn(sixteen_at_a_time(db.connect().await, client.clone(), work));
    }
    workers
}

/// A statement that queues so many jobs.
pub fn queue(url: &str, count: usize) -> String {
    format!("INSERT INTO jobs (url, data) SELECT '{url}', {DATA} FROM generate_series(1, {count}) n")
}

/// One of four.
async fn sixteen_at_a_time(session: Session, client: Client, work: Work) {
    loop {
        let jobs = session.rows(CLAIM).await;
        if jobs.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        let mut ids = Vec::new();
        let mut requests = JoinSet::new();
        for job in jobs {
            let [id, url, data] = <[String; 3]>::try_from(job).expect("three columns");
            let request = match work {
                Work::Send => client.post(url).header("content-type", "application/json").body(data),
                Work::SignAndLog => ceiling::request(&client, &url, &format!("evt_{id:0>26}"), &data),
            };
            requests.spawn(attempt(id.clone(), request));
            ids.push(id);
        }
        let attempts = requests.join_all().await.join(", ");
        let mut record = format!("UPDATE jobs SET state = 'done' WHERE id IN ({})", ids.join(", "));
        if work == Work::SignAndLog {
            let _ = write!(record, "; INSERT INTO attempts VALUES {attempts}");
        }
        session.run(&record).await;
    }
}

/// Sends it; returns its row of `attempts`.
async fn attempt(job: String, request: RequestBuilder) -> String {
    let start = Instant::now();
    let answer = request.send().await.expect("the sink answers");
    let code = answer.status();
    assert_eq!(code, 200);
    let headers = answer.headers().iter();
    let headers: Vec<_> = headers.map(|(name, value)| format!(r#""{name}": {value:?}"#)).collect();
    let body = answer.text().await.expect("a body");
    let (headers, took) = (headers.join(", "), start.elapsed().as_millis());
    format!("({job}, 1, now(), 'delivered', {}, {took}, '{{{headers}}}', '{body}')", code.as_u16())
}
