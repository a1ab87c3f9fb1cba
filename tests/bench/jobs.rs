//! A plain job table, as is often written by hand: `FOR UPDATE SKIP LOCKED`, and a worker that keeps 64 requests of reqwest
//! under way. It signs nothing and logs nothing.

use std::time::Duration;

use tokio::task::JoinSet;
use webhook_tests::database::Database;
use webhook_tests::session::Session;

use crate::DATA;

const JOBS: &str = "
    CREATE TABLE jobs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, url text, data jsonb, state text NOT NULL DEFAULT 'queued');
    CREATE INDEX jobs_queued ON jobs (id) WHERE state = 'queued'";
const CLAIM: &str = "
    UPDATE jobs SET state = 'running' WHERE id IN (
        SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 16 FOR UPDATE SKIP LOCKED)
    RETURNING id, url, data";

/// Makes the table and starts the worker, which ends when it is dropped.
pub async fn work_on(db: &Database<'_>) -> JoinSet<()> {
    db.run(JOBS).await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        workers.spawn(work(db.connect().await, client.clone()));
    }
    workers
}

/// A statement that queues so many jobs.
pub fn queue(url: &str, count: usize) -> String {
    format!("INSERT INTO jobs (url, data) SELECT '{url}', {DATA} FROM generate_series(1, {count}) n")
}

/// One of four: sixteen jobs at a time.
async fn work(session: Session, client: reqwest::Client) {
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
            ids.push(id);
            requests.spawn(client.post(url).header("content-type", "application/json").body(data).send());
        }
        for answer in requests.join_all().await {
            assert_eq!(answer.expect("the sink answers").status(), 200);
        }
        session.run(&format!("UPDATE jobs SET state = 'done' WHERE id IN ({})", ids.join(", "))).await;
    }
}
