//! `make test-chaos`: rounds of random work under random faults, each from a seed, and an exact account at the end.
//!
//! `CHAOS_SEEDS=1..500` runs more of them, `CHAOS_SEEDS=17` one again, `CHAOS_JOBS` so many at once. The seed decides what is
//! done to whom; when things happen is up to the machine, so a failure may take some runs of its seed to come back.

mod faults;
mod fleet;
mod generator;
mod plan;
mod round;
mod verdict;

use std::os::unix::process::CommandExt;
use std::panic::catch_unwind;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime;
use webhook_tests::stage::Stage;

use verdict::Account;

fn main() -> ExitCode {
    if std::env::var_os("CHAOS_INSIDE").is_none() {
        enter();
    }
    run()
}

/// Starts this program anew where it may mount small disks that nobody else sees; goes on without if that is not allowed.
fn enter() {
    let program = std::env::current_exe().expect("know our own path");
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--propagation", "private", "--"]).arg(program).env("CHAOS_INSIDE", "1");
    let allowed = Command::new("unshare").args(["--mount", "--", "true"]).status();
    if allowed.is_ok_and(|status| status.success()) {
        let error = inside.exec();
        panic!("cannot start again in a mount namespace: {error}");
    }
    println!("NOT CHECKED: full disks, as this user may not mount");
}

fn run() -> ExitCode {
    let (first, last) = seeds();
    let jobs = std::env::var("CHAOS_JOBS").map_or(3, |text| text.parse().expect("CHAOS_JOBS is a number"));
    if plan::faketime().is_none() {
        println!("NOT CHECKED: clock steps of the relay, as Debian's package libfaketime is not there");
    }
    block_on(Stage::get());
    let seeds = Mutex::new(first..=last);
    let (failed, repeated) = (Mutex::new(Vec::new()), Mutex::new(0));
    let next = || seeds.lock().expect("seeds").next();
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(seed) = next() {
                    match play(seed) {
                        Ok(account) => *repeated.lock().expect("repeated") += account.repeated,
                        Err(()) => failed.lock().expect("failed").push(seed),
                    }
                }
            });
        }
    });
    let (mut failed, repeated) =
        (failed.into_inner().expect("failed"), repeated.into_inner().expect("repeated"));
    let rounds = last - first + 1;
    println!("{} of {rounds} rounds held; {repeated} requests were repeated", rounds - failed.len() as u64);
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    failed.sort_unstable();
    println!("failed seeds: {failed:?}");
    ExitCode::FAILURE
}

/// Plays one round and says how it went.
fn play(seed: u64) -> Result<Account, ()> {
    let begun = Instant::now();
    let step_failed = |_| Err("a step failed: its panic is above".into());
    let result = catch_unwind(|| block_on(round::run(seed))).unwrap_or_else(step_failed);
    let took = Duration::from_secs(begun.elapsed().as_secs());
    match result {
        Ok(account) => {
            println!("seed {seed:3}  ok in {took:?}: {account}");
            Ok(account)
        }
        Err(report) => {
            println!(
                "seed {seed:3}  FAILED in {took:?}: {report}\n    again: CHAOS_SEEDS={seed} make test-chaos"
            );
            Err(())
        }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    runtime::Builder::new_current_thread().enable_all().build().expect("start a runtime").block_on(work)
}

/// The range of `CHAOS_SEEDS`: `7` or `1..20`, both ends included.
fn seeds() -> (u64, u64) {
    let text = std::env::var("CHAOS_SEEDS").unwrap_or_else(|_| "1..20".into());
    let number =
        |text: &str| text.parse().unwrap_or_else(|_| panic!("CHAOS_SEEDS is a number or 1..20, not {text}"));
    let (first, last) = text.split_once("..").unwrap_or((&text, &text));
    (number(first), number(last))
}
