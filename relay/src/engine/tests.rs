//! The dispatcher between a database that the test plays and a real receiver on this machine.

use bytes::Bytes;
use clap::Parser;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::client::{Client, Tls};
use crate::config::{Cli, Command};
use crate::record::{Judged, Word};
use crate::store::{Claimed, ClaimedRow, Lead, StoreError, Written};
use crate::testing::{self, event, hooks, plain};

mod changes;
mod fence;
mod locked;
mod slow;
mod term;
mod unrecorded;

/// A request that waits for its answer.
struct Arrived {
    delivery: String,
    answer: oneshot::Sender<u16>,
}

struct Stage {
    context: Arc<Context>,
    registry: Arc<Registry>,
    url: String,
    arrived: mpsc::UnboundedReceiver<Arrived>,
    news: mpsc::UnboundedSender<News>,
    chunks: mpsc::Sender<Chunk>,
    batches: mpsc::Receiver<Batch>,
    recorded: mpsc::UnboundedSender<Recorded>,
    errands: mpsc::Receiver<Errand>,
    errands_done: mpsc::UnboundedSender<Errands>,
    orders: watch::Receiver<Orders>,
    stop: watch::Sender<bool>,
    engine: JoinHandle<()>,
    n: i64,
}

fn position(seq: i64) -> Position {
    Position { window: "w".into(), seq, xid: 1 }
}

async fn receiver() -> (String, mpsc::UnboundedReceiver<Arrived>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (arrivals, arrived) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let arrivals = arrivals.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let arrivals = arrivals.clone();
                async move {
                    let delivery = request.headers()["x-webhook-delivery"].to_str().unwrap().to_owned();
                    let (answer, answered) = oneshot::channel();
                    arrivals.send(Arrived { delivery, answer }).unwrap();
                    let status = answered.await.unwrap_or(500);
                    let mut response = Response::new(Full::new(Bytes::from_static(b"thanks")));
                    *response.status_mut() = status.try_into().unwrap();
                    Ok::<_, std::convert::Infallible>(response)
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (url, arrived)
}

impl Stage {
    async fn new(options: &[Value]) -> Self {
        let args =
            ["webhook-relay", "run", "--database-url", "postgresql://db/db", "--allow-target", "127.0.0.1"];
        let Command::Run(config) = Cli::try_parse_from(args).unwrap().command else { unreachable!() };
        let context = Arc::new(Context::new(config));
        context.pulse.set_connected(true);
        context.pulse.set_adopted(true);
        context.pulse.beat(Instant::now());
        let (url, arrived) = receiver().await;
        let (registry, _) = hooks(&url, options);
        let client =
            Client::new(context.config.targets.policy(), Tls::new(rustls::RootCertStore::empty()), 10);
        let (news, news_in) = mpsc::unbounded_channel();
        let (orders, orders_out) = watch::channel(Orders::default());
        let (batches, batches_out) = mpsc::channel(1);
        let (recorded, recorded_in) = mpsc::unbounded_channel();
        let (errands, errands_out) = mpsc::channel(100);
        let (errands_done, errands_in) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let out = Outbox { orders, hungry: Arc::new(Notify::new()), batches, errands };
        let (engine, landings) = Engine::new(context.clone(), client, out);
        let inbox = Inbox { news: news_in, recorded: recorded_in, errands: errands_in, stop: stopped };
        let stage = Self {
            context,
            registry: Arc::new(registry),
            url,
            arrived,
            news,
            chunks: mpsc::channel(1).0,
            batches: batches_out,
            recorded,
            errands: errands_out,
            errands_done,
            orders: orders_out,
            stop,
            engine: tokio::spawn(engine.run(inbox, landings)),
            n: 0,
        };
        stage.news.send(News::Registry(stage.registry.clone())).unwrap();
        stage
    }

    fn lead(&mut self, term: u64) {
        self.n += 1;
        let (chunks, taken) = mpsc::channel(1);
        self.chunks = chunks;
        self.begin(term, taken);
    }

    fn begin(&self, term: u64, chunks: mpsc::Receiver<Chunk>) {
        let lead = Lead { n: self.n, position: position(0), ahead: 0 };
        self.news.send(News::Led { term, lead, chunks }).unwrap();
    }

    /// Events of these numbers are read, each for all webhooks.
    async fn read(&self, numbers: impl Iterator<Item = u64>) {
        self.chunks.send(self.chunk(numbers)).await.unwrap();
    }

    fn chunk(&self, numbers: impl Iterator<Item = u64>) -> Chunk {
        let mut end = position(0);
        let mut items = Vec::new();
        for n in numbers {
            end = position(n as i64);
            let matched = self.registry.matched(event(n), None);
            items.push(Item { matched, due: None, after: end.clone() });
        }
        Chunk { registry: self.registry.clone(), items, end }
    }

    async fn arrival(&mut self) -> Arrived {
        self.arrived.recv().await.unwrap()
    }

    /// The next batch with something in it, recorded.
    async fn record(&mut self) -> Batch {
        let mut batch = self.batches.recv().await.unwrap();
        let copy = Batch { term: batch.term, cursor: batch.cursor.clone(), ..Batch::default() };
        let n = batch.cursor.as_ref().map(|_| {
            self.n += 1;
            self.n
        });
        let result = Ok(Written { n, locked: Vec::new() });
        let judged = std::mem::take(&mut batch.judged);
        batch = Batch { judged, ..copy };
        let done = Batch { term: batch.term, cursor: batch.cursor.clone(), ..Batch::default() };
        self.recorded.send(Recorded { batch: done, result }).unwrap();
        batch
    }

    /// The next batch, not recorded.
    async fn refuse(&mut self, error: StoreError) {
        let batch = self.batches.recv().await.unwrap();
        self.recorded.send(Recorded { batch, result: Err(error) }).unwrap();
    }

    /// Records until that many deliveries have an outcome.
    async fn outcomes(&mut self, count: usize) -> Vec<Judged> {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(self.record().await.judged);
        }
        all
    }

    /// Waits until the dispatcher knows of that many successes.
    async fn delivered(&self, count: u64) {
        let line = format!("attempts_delivered_total {count}\n");
        while !self.context.metrics.text().contains(&line) {
            tokio::task::yield_now().await;
        }
    }

    /// The next claim, answered with these deliveries.
    async fn claim(&mut self, rows: Vec<ClaimedRow>) -> i64 {
        loop {
            if let Errand::Claim(wanted) = self.errands.recv().await.unwrap() {
                let lease = wanted.lease;
                let result = Ok(Claimed { rows, next_due_ms: None });
                self.errands_done.send(Errands::Claimed { lease, asked: Instant::now(), result }).unwrap();
                return lease;
            }
        }
    }

    fn pending(&self, n: u64) -> ClaimedRow {
        let event = event(n);
        let matched = self.registry.matched(event.clone(), None);
        let (hook, id) = &matched.hooks[0];
        ClaimedRow {
            delivery_id: id.clone(),
            webhook_id: hook.id().into(),
            number: 3,
            tries: 2,
            replayed: false,
            facts: event.facts().clone(),
            one_off: None,
        }
    }
}

fn words(judged: &[Judged]) -> Vec<Word> {
    judged.iter().map(|one| one.word).collect()
}

#[tokio::test]
async fn the_cursor_passes_what_is_recorded_in_the_same_batch() {
    let mut stage = Stage::new(&[plain()]).await;
    stage.lead(1);
    stage.read(1..=2).await;
    let (one, two) = (stage.arrival().await, stage.arrival().await);
    two.answer.send(200).unwrap();
    let batch = stage.record().await;
    assert_eq!(words(&batch.judged), [Word::Delivered]);
    let cursor = batch.cursor.unwrap();
    assert_eq!((cursor.n, cursor.position, cursor.ahead), (1, position(0), 2));
    one.answer.send(500).unwrap();
    let batch = stage.record().await;
    assert_eq!(words(&batch.judged), [Word::Retry]);
    assert_eq!((batch.judged[0].tries, batch.judged[0].delivery.number), (1, 1));
    let cursor = batch.cursor.unwrap();
    assert_eq!((cursor.n, cursor.position), (2, position(2)));
    assert_eq!(batch.judged[0].attempt.as_ref().unwrap().body.as_deref(), Some(&b"thanks"[..]));
}

#[tokio::test]
async fn events_for_nobody_move_the_cursor_too() {
    let mut stage = Stage::new(&[]).await;
    stage.lead(1);
    stage.read(1..=5).await;
    let batch = stage.record().await;
    assert_eq!((batch.judged.len(), batch.cursor.unwrap().position), (0, position(5)));
}

#[tokio::test]
async fn stopping_hands_over_at_once_and_records_what_comes_in_time() {
    let mut stage = Stage::new(&[json!({"max_in_flight": 1})]).await;
    stage.lead(1);
    stage.read(1..=2).await;
    let one = stage.arrival().await;
    stage.stop.send(true).unwrap();
    stage.orders.wait_for(|orders| orders.stop).await.unwrap();
    let batch = stage.record().await;
    assert_eq!(words(&batch.judged), [Word::Hold]);
    let lease = batch.judged[0].lease;
    assert_eq!(
        batch.cursor.unwrap().position,
        position(1),
        "the event that was not sent is the next leader's"
    );
    stage.orders.wait_for(|orders| orders.over == 1).await.unwrap();
    one.answer.send(200).unwrap();
    let judged = stage.outcomes(1).await;
    assert_eq!((judged[0].word, judged[0].lease, judged[0].ticket), (Word::Delivered, lease, None));
    stage.engine.await.unwrap();
    assert!(matches!(stage.errands.recv().await, Some(Errand::Claim(_) | Errand::Bye)));
    assert!(stage.arrived.try_recv().is_err());
}

#[tokio::test]
async fn an_answer_that_comes_before_its_hold_has_left_is_recorded_alone() {
    let mut stage = Stage::new(&[plain()]).await;
    stage.lead(1);
    stage.read(1..=2).await;
    let (one, two) = (stage.arrival().await, stage.arrival().await);
    one.answer.send(200).unwrap();
    // The recorder is busy with the first, so that the hold of the second has to wait.
    let first = stage.batches.recv().await.unwrap();
    stage.stop.send(true).unwrap();
    stage.orders.wait_for(|orders| orders.stop).await.unwrap();
    let delivery = two.delivery.clone();
    two.answer.send(200).unwrap();
    stage.delivered(2).await;
    stage
        .recorded
        .send(Recorded { batch: first, result: Ok(Written { n: Some(2), locked: Vec::new() }) })
        .unwrap();
    let batch = stage.record().await;
    assert_eq!(words(&batch.judged), [Word::Delivered]);
    assert_eq!((&*batch.judged[0].delivery.id, batch.judged[0].lease), (&*delivery, 0));
    assert_eq!(batch.cursor.unwrap().position, position(2));
}

#[tokio::test]
async fn a_webhook_that_says_gone_is_disabled_after_its_outcome_is_recorded() {
    let mut stage = Stage::new(&[plain()]).await;
    stage.lead(1);
    stage.read(1..=1).await;
    stage.arrival().await.answer.send(410).unwrap();
    let batch = stage.batches.recv().await.unwrap();
    assert_eq!(words(&batch.judged), [Word::Failed]);
    let told: Vec<_> = batch.notices.iter().map(|notice| format!("{notice:?}")).collect();
    for expected in ["Disable", "webhook.disabled", "delivery.failed"] {
        assert!(told.iter().any(|notice| notice.contains(expected)), "{expected} in {told:?}");
    }
}
