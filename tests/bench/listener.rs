//! The least that an event takes on its way: `NOTIFY`, one read by an index, one request of a bare reqwest loop, signed as ours are.
//! It keeps no cursor and no log, and would lose what commits out of order.

use std::future::poll_fn;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_postgres::{AsyncMessage, NoTls};
use webhook_tests::database::Database;

use crate::{DATA, ceiling};

const OUTBOX: &str =
    "CREATE TABLE bare_outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, data jsonb)";
const READ: &str = "SELECT id, data::text FROM bare_outbox WHERE id > $1 ORDER BY id";

/// Makes its outbox and starts it; it ends when it is dropped.
pub async fn start(db: &Database<'_>, url: String) -> JoinSet<()> {
    db.run(OUTBOX).await;
    let (session, mut connection) = tokio_postgres::connect(&db.url(), NoTls).await.expect("connect");
    let (ring, mut rung) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if matches!(message, AsyncMessage::Notification(_)) {
                ring.send(()).expect("a listener");
            }
        }
    });
    session.batch_execute("LISTEN bare_outbox").await.expect("listen");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    tasks.spawn(async move {
        let read = session.prepare(READ).await.expect("prepare");
        let mut last = 0_i64;
        while rung.recv().await.is_some() {
            for row in session.query(&read, &[&last]).await.expect("read") {
                last = row.get(0);
                let answer = ceiling::request(&client, &url, &last.to_string(), row.get(1)).send().await;
                assert_eq!(answer.expect("the receiver answers").status(), 200);
            }
        }
    });
    tasks
}

/// A query that emits event `n` and returns its id.
pub fn emit(n: usize) -> String {
    format!(
        "WITH e AS (INSERT INTO bare_outbox (data) SELECT {DATA} FROM (VALUES ({n})) v(n) RETURNING id)
         SELECT e.id FROM e, pg_notify('bare_outbox', '')"
    )
}
