//! The same work by others: a plain job table, and webhooksmith of crates.io.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::process::{Process, Signal};
use webhook_tests::relay::Relay;
use webhook_tests::stage::target;

use crate::jobs;
use crate::report::{Report, median};
use crate::sink::Sink;
use crate::throughput::burst;

const ROUNDS: usize = 5;
const EVENTS: usize = 20_000;

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let mut report = Report::new(
        "peers",
        "20,000 events of 500 bytes to one receiver: pg_webhook with its defaults; a job table with 4 sessions that claim 16 jobs \
         at a time, 64 requests under way; webhooksmith 0.2.1 with batches of 64, 64 connections, polling every 10 ms",
    );
    let webhooksmith = build();
    let mut rates = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
        let relay = Relay::start(&db.url()).await;
        db.webhook(&sink.url, "").await;
        rates[0].push(burst(&db, &mut sink, &relay, "bench.tick", (EVENTS, 1)).await);
        rates[1].push(job_table(cluster).await);
        rates[2].push(smith(cluster, &webhooksmith).await);
    }
    let [ours, table, smith] = rates.map(median);
    report.add("pg_webhook_per_second", ours, "arrivals a second");
    report.add("job_table_per_second", table, "arrivals a second");
    report.add("webhooksmith_per_second", smith, "arrivals a second");
    report.add("times_job_table", ours / table, "times as many");
    report.add("times_webhooksmith", ours / smith, "times as many");
    report.write();
}

async fn job_table(cluster: &Cluster) -> f64 {
    let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
    let _workers = jobs::work_on(&db).await;
    db.run(&format!("BEGIN; {}", jobs::queue(&sink.url, EVENTS))).await;
    let start = Instant::now();
    db.run("COMMIT").await;
    arrived(&mut sink, start).await
}

async fn smith(cluster: &Cluster, program: &Path) -> f64 {
    let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
    let mut command = Command::new(program);
    command.args([&cluster.socket_url(db.name()), &sink.url, &EVENTS.to_string()]);
    let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()), Signal::KILL);
    let mut ready = String::new();
    let output = process.child().stdout.take().expect("a pipe");
    BufReader::new(output).read_line(&mut ready).expect("webhooksmith says when it is ready");
    assert_eq!(ready.trim(), "ready");
    let start = Instant::now();
    process.child().stdin.as_mut().expect("a pipe").write_all(b"\n").expect("tell it to go");
    arrived(&mut sink, start).await
}

async fn arrived(sink: &mut Sink, start: Instant) -> f64 {
    sink.wait(EVENTS, String::new).await;
    EVENTS as f64 / start.elapsed().as_secs_f64()
}

/// Builds the peers' own workspace, which takes minutes the first time.
fn build() -> std::path::PathBuf {
    let folder = target().join("peers");
    println!("   building webhooksmith …");
    let built = Command::new("cargo")
        .args(["build", "--release", "--quiet", "--locked", "--target-dir"])
        .arg(&folder)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/peers"))
        .status()
        .expect("run cargo");
    assert!(built.success(), "webhooksmith does not build");
    folder.join("release/webhooksmith")
}
