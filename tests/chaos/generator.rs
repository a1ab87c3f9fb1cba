//! Sessions that write, and one that manages webhooks, at random and without minding faults.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use webhook_tests::session::Session;

/// The generator; it goes on until it is told to stop.
#[derive(Debug)]
pub struct Generator {
    stop: Arc<AtomicBool>,
    committed: Arc<AtomicU32>,
    acknowledged: Arc<Mutex<Vec<u32>>>,
    sessions: Vec<JoinHandle<()>>,
}

/// Webhooks by how they are treated.
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// Where they point at, but for the path.
    pub target: String,
    /// Neither paused nor re-subscribed.
    pub steady: Vec<String>,
    /// Paused, resumed and re-subscribed.
    pub fickle: Vec<String>,
    /// May be replayed to.
    pub unordered: Vec<String>,
}

const WRITERS: u64 = 5;

impl Generator {
    /// Starts all sessions.
    pub fn start(seed: u64, url: &str, webhooks: Webhooks) -> Self {
        let (stop, committed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let random = |n| StdRng::seed_from_u64(seed.wrapping_mul(1000) + n);
        let acknowledged = Arc::default();
        let worker = |random| Worker {
            url: url.to_owned(),
            random,
            stop: stop.clone(),
            committed: committed.clone(),
            acknowledged: Arc::clone(&acknowledged),
            name: None,
        };
        let mut sessions: Vec<_> =
            (1..=WRITERS).map(|n| tokio::spawn(worker(random(n)).run(Worker::write))).collect();
        let manager = worker(random(0));
        let mut webhooks = webhooks;
        sessions.push(tokio::spawn(manager.run(move |worker| worker.manage(&mut webhooks))));
        Self { stop, committed, acknowledged, sessions }
    }

    /// Begins nothing more.
    pub fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until it has ended; returns how many transactions were acknowledged, and the names of those that were committed
    /// for good.
    pub async fn ended(self) -> (u32, Vec<u32>) {
        for session in self.sessions {
            session.await.expect("a session of the generator");
        }
        let names = std::mem::take(&mut *self.acknowledged.lock().expect("names"));
        (self.committed.load(Ordering::Relaxed), names)
    }
}

struct Worker {
    url: String,
    random: StdRng,
    stop: Arc<AtomicBool>,
    committed: Arc<AtomicU32>,
    acknowledged: Arc<Mutex<Vec<u32>>>,
    /// Of the transaction under way, if it commits and waits for the disk.
    name: Option<u32>,
}

impl Worker {
    /// Runs one script after the other, in a new session after each error.
    async fn run(mut self, mut script: impl FnMut(&mut Self) -> Vec<String>) {
        let mut session = None;
        while !self.stop.load(Ordering::Relaxed) {
            let Some(open) = &session else {
                session = Session::try_open(&self.url).await.ok();
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            let mut done = true;
            for statement in script(&mut self) {
                // One by one, so that faults come between them.
                if let Err(error) = open.try_rows(&statement).await {
                    done = false;
                    if let Some(refused) = error.as_db_error().filter(|error| {
                        !["40", "57", "53", "55", "XX", "58"]
                            .iter()
                            .any(|class| error.code().code().starts_with(class))
                    }) {
                        panic!("{refused} in: {statement}");
                    }
                    break;
                }
            }
            self.committed.fetch_add(u32::from(done), Ordering::Relaxed);
            if done {
                self.acknowledged.lock().expect("names").extend(self.name);
            }
            if !done || self.random.random_bool(0.02) {
                session = None;
            }
            sleep(Duration::from_millis(self.random.random_range(0..40))).await;
        }
    }

    /// A transaction that writes.
    fn write(&mut self) -> Vec<String> {
        let random = &mut self.random;
        let mut script = vec![String::from("BEGIN")];
        let waits = random.random_bool(0.8);
        if !waits {
            // The server may forget such a commit when it is killed. Then nobody may have heard of it.
            script.push("SET LOCAL synchronous_commit = off".into());
        }
        for _ in 0..random.random_range(1..6) {
            let savepoint = random.random_bool(0.3);
            if savepoint {
                script.push("SAVEPOINT s".into());
            }
            for _ in 0..random.random_range(1..4) {
                script.push(step(random));
            }
            if savepoint && random.random_bool(0.5) {
                script.push("ROLLBACK TO s".into());
            }
        }
        if random.random_bool(0.05) {
            script.push("SELECT pg_sleep(1)".into());
        }
        let name = random.random();
        script.push(format!("SELECT chaos.seen({name})"));
        let commits = random.random_bool(0.85);
        script.push(String::from(if commits { "COMMIT" } else { "ROLLBACK" }));
        self.name = (commits && waits).then_some(name);
        script
    }

    /// A transaction that creates, changes or deletes a webhook, replays or cancels something.
    fn manage(&mut self, webhooks: &mut Webhooks) -> Vec<String> {
        let random = &mut self.random;
        let steady = webhooks.steady.choose(random).expect("webhooks");
        let fickle = webhooks.fickle.choose(random).expect("webhooks");
        let unordered = webhooks.unordered.choose(random).expect("webhooks");
        let limit = 1 << random.random_range(0..6);
        let options = ["{}", r#"{"ordered": true}"#].choose(random).expect("options");
        let statement = match random.random_range(0..28) {
            0 | 24 => format!(
                "SELECT chaos.create_webhook('{}/new', '{{thing.*,note.*}}', '{options}')",
                webhooks.target
            ),
            25 => "SELECT chaos.delete_webhook('/new')".into(),
            26 | 27 => "SELECT chaos.cancel()".into(),
            1..=3 => format!("SELECT chaos.rotate('{steady}')"),
            4..=6 => format!("SELECT chaos.update_webhook('{steady}', '{{\"max_in_flight\": {limit}}}')"),
            7 => format!("SELECT chaos.update_webhook('{fickle}', '{{\"events\": [\"thing.*\"]}}')"),
            8 => format!(
                "SELECT chaos.update_webhook('{fickle}', '{{\"events\": [\"note.*\", \"thing.*\"]}}')"
            ),
            9 | 10 => format!("SELECT chaos.update_webhook('{fickle}', '{{\"status\": \"inactive\"}}')"),
            11..=13 => format!("SELECT chaos.update_webhook('{fickle}', '{{\"status\": \"active\"}}')"),
            14..=17 => format!(
                "SELECT chaos.replay(id) FROM (SELECT id FROM webhook_deliveries('{unordered}', 'delivered') ORDER BY random() LIMIT 3) d"
            ),
            18 => format!("SELECT chaos.replay_all('{unordered}', 'all')"),
            19 => format!("SELECT chaos.replay_all('{unordered}', 'missed')"),
            _ => "SELECT pg_sleep(0.2)".into(),
        };
        let end = if random.random_bool(0.85) { "COMMIT" } else { "ROLLBACK" };
        let pause = format!("SELECT pg_sleep({})", random.random_range(0.0..0.1));
        vec!["BEGIN".into(), statement, pause, end.into()]
    }
}

fn step(random: &mut StdRng) -> String {
    let pick: f64 = random.random_range(0.0..1.0);
    match random.random_range(0..10) {
        0..=2 => "SELECT chaos.insert_thing()".into(),
        3..=5 => format!("SELECT chaos.update_thing({pick})"),
        6 => format!("SELECT chaos.delete_thing({pick})"),
        7 => format!("SELECT chaos.emit('k{}', NULL, NULL)", random.random_range(0..8)),
        8 => format!("SELECT chaos.emit(NULL, 'i{}', NULL)", random.random_range(0..400)),
        _ => format!("SELECT chaos.emit(NULL, NULL, '{} ms')", random.random_range(200..4000)),
    }
}
