//! The same work by others: a plain job table, and webhooksmith of crates.io. Beside them a job table that does less: it neither
//! signs nor logs.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::process::{Process, Signal};
use webhook_tests::relay::Relay;
use webhook_tests::stage::target;

use crate::goals::Goal::AtLeast;
use crate::jobs::{self, Work};
use crate::report::{Report, median};
use crate::sink::Sink;
use crate::throughput::burst;

const ROUNDS: usize = 5;
/// How far away the receiver is, its path, events in all, and those of webhooksmith, whose rate needs less to be seen.
const PLACES: [(&str, &str, usize, usize); 2] = [("near", "", 200_000, 10_000), ("far", "far", 5_000, 1_000)];

/// Runs the scenario.
pub async fn run(cluster: &Cluster) {
    let mut report = Report::new(
        "peers",
        "events of 500 bytes to one receiver, 200,000 on this machine and 5,000 that answers after 100 ms (webhooksmith: 10,000 and \
         1,000): pg_webhook with its defaults; a job table with 4 sessions that claim 16 jobs at a time, 64 requests under way, signed \
         and logged, and neither; webhooksmith 0.2.1 with batches of 64, 64 connections, polling every 10 ms",
    );
    let webhooksmith = build();
    for (place, path, many, few) in PLACES {
        let mut rates = [const { Vec::new() }; 4];
        for _ in 0..ROUNDS {
            rates[0].push(pg_webhook(cluster, path, many).await);
            rates[1].push(job_table(cluster, Work::SignAndLog, path, many).await);
            rates[2].push(job_table(cluster, Work::Send, path, many).await);
            rates[3].push(smith(cluster, &webhooksmith, path, few).await);
        }
        let [ours, table, bare_table, smith] = rates.map(median);
        for (name, rate) in [
            ("pg_webhook", ours),
            ("job_table", table),
            ("bare_job_table", bare_table),
            ("webhooksmith", smith),
        ] {
            report.add(&format!("{place}_{name}_per_second"), rate, "arrivals a second");
        }
        report.want(&format!("{place}_times_job_table"), ours / table, "times as many", AtLeast(3.0));
        report.add(&format!("{place}_times_bare_job_table"), ours / bare_table, "times as many");
        report.want(&format!("{place}_times_webhooksmith"), ours / smith, "times as many", AtLeast(3.0));
    }
    report.write();
}

async fn pg_webhook(cluster: &Cluster, path: &str, count: usize) -> f64 {
    let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
    let relay = Relay::start(&db.url()).await;
    db.webhook(&format!("{}{path}", sink.url), "").await;
    burst(&db, &mut sink, &relay, "bench.tick", (count, 1)).await
}

async fn job_table(cluster: &Cluster, work: Work, path: &str, count: usize) -> f64 {
    let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
    let _workers = jobs::work_on(&db, work).await;
    db.run(&format!("BEGIN; {}", jobs::queue(&format!("{}{path}", sink.url), count))).await;
    let start = Instant::now();
    db.run("COMMIT").await;
    arrived(&mut sink, count, start).await
}

async fn smith(cluster: &Cluster, program: &Path, path: &str, count: usize) -> f64 {
    let (mut sink, db) = (Sink::start(), Database::on(cluster).await);
    let mut command = Command::new(program);
    command.args([&cluster.socket_url(db.name()), &format!("{}{path}", sink.url), &count.to_string()]);
    let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()), Signal::KILL);
    let mut ready = String::new();
    let output = process.child().stdout.take().expect("a pipe");
    BufReader::new(output).read_line(&mut ready).expect("webhooksmith says when it is ready");
    assert_eq!(ready.trim(), "ready");
    let start = Instant::now();
    process.child().stdin.as_mut().expect("a pipe").write_all(b"\n").expect("tell it to go");
    arrived(&mut sink, count, start).await
}

async fn arrived(sink: &mut Sink, count: usize, start: Instant) -> f64 {
    sink.wait(count, String::new).await;
    count as f64 / start.elapsed().as_secs_f64()
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
