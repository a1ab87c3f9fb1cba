//! `make test-chaos`: rounds of random work under random faults, each from a seed, and an exact account at the end.
//!
//! `CHAOS_SEEDS=1..500` runs more of them, `CHAOS_SEEDS=17,23` some again, `CHAOS_JOBS` so many at once. The seed decides what is
//! done to whom; when things happen is up to the machine, so a failure may take some runs of its seed to come back.

mod evidence;
mod faults;
mod fleet;
mod generator;
mod plan;
mod round;
mod servers;
mod verdict;
mod ways;

use std::os::unix::process::CommandExt;
use std::panic::catch_unwind;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime;
use webhook_tests::clock;
use webhook_tests::firewall::Firewall;
use webhook_tests::stage::Stage;

use evidence::Evidence;
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

/// What all rounds came to.
#[derive(Default)]
struct Total {
    failed: Vec<u64>,
    repeated: usize,
    evidence: Evidence,
}

fn run() -> ExitCode {
    let seeds = seeds();
    let rounds = seeds.len();
    let jobs = std::env::var("CHAOS_JOBS").map_or(3, |text| text.parse().expect("CHAOS_JOBS is a number"));
    if clock::threaded().is_none() {
        println!("NOT CHECKED: clock steps of the relay, as Debian's package libfaketime is not there");
    }
    block_on(Stage::get());
    let (seeds, total) = (Mutex::new(seeds.into_iter()), Mutex::new(Total::default()));
    let next = || seeds.lock().expect("seeds").next();
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                let firewall = Firewall::enter();
                if firewall.is_none() {
                    println!("NOT CHECKED: packets that are dropped, as this user may not make a network, or there is no nft");
                }
                while let Some(seed) = next() {
                    let account = play(seed, firewall.as_ref());
                    let mut total = total.lock().expect("total");
                    match account {
                        Some(account) => {
                            total.repeated += account.repeated;
                            total.evidence.add(&account.evidence);
                        }
                        None => total.failed.push(seed),
                    }
                }
            });
        }
    });
    sum_up(total.into_inner().expect("total"), rounds)
}

fn sum_up(mut total: Total, rounds: usize) -> ExitCode {
    println!("What the logs show of the faults:");
    total.evidence.lines().for_each(|line| println!("{line}"));
    let held = rounds - total.failed.len();
    println!("{held} of {rounds} rounds held; {} requests were repeated", total.repeated);
    if !total.failed.is_empty() {
        total.failed.sort_unstable();
        println!("failed seeds: {:?}", total.failed);
        return ExitCode::FAILURE;
    }
    let mut missing = total.evidence.missing();
    missing.retain(|sign| match *sign {
        evidence::FULL_DISK => std::env::var_os("CHAOS_INSIDE").is_some(),
        evidence::WRONG_CLOCK => clock::threaded().is_some(),
        evidence::DROPPED => Firewall::enter().is_some(),
        _ => true,
    });
    // A few rounds need not have everything.
    if rounds >= 20 && !missing.is_empty() {
        println!("These faults never landed: {missing:?}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Plays one round and says how it went.
fn play(seed: u64, firewall: Option<&Firewall>) -> Option<Account> {
    let begun = Instant::now();
    let step_failed = |_| Err("a step failed: its panic is above".into());
    let result = catch_unwind(|| block_on(round::run(seed, firewall))).unwrap_or_else(step_failed);
    let took = Duration::from_secs(begun.elapsed().as_secs());
    match result {
        Ok(account) => {
            println!("seed {seed:3}  ok in {took:?}: {account}");
            Some(account)
        }
        Err(report) => {
            println!(
                "seed {seed:3}  FAILED in {took:?}: {report}\n    again: CHAOS_SEEDS={seed} make test-chaos"
            );
            None
        }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    runtime::Builder::new_current_thread().enable_all().build().expect("start a runtime").block_on(work)
}

/// Those of `CHAOS_SEEDS`: `7`, `1..20` with both ends, or several of that, as `3,7..9`.
fn seeds() -> Vec<u64> {
    let text = std::env::var("CHAOS_SEEDS").unwrap_or_else(|_| "1..20".into());
    let number = |one: &str| {
        one.parse::<u64>().unwrap_or_else(|_| panic!("CHAOS_SEEDS is as 7, 1..20 or 3,7..9, not {text}"))
    };
    let range = |part: &str| {
        let (first, last) = part.split_once("..").unwrap_or((part, part));
        number(first)..=number(last)
    };
    text.split(',').flat_map(range).collect()
}
