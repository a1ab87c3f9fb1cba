//! The receiver as a process of its own, so that its CPU time can be told from the sender's.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use webhook_tests::process::{Process, Signal};
use webhook_tests::receiver::{Receiver, Reply};
use webhook_tests::relay::Relay;
use webhook_tests::until::within;

/// The child's side: says its URL, then a count for every line that it reads.
pub fn serve() {
    let receiver = Receiver::counting();
    receiver.answer("/hang", [Reply::hang()]);
    receiver.answer("/late", [Reply::status(200).after(Duration::from_secs(2))]);
    receiver.answer("/slow", [Reply::status(200).slowly(vec![b'x'; 1000], Duration::from_millis(50))]);
    receiver.answer("/endless", [Reply::status(200).endless()]);
    receiver.answer("/far", [Reply::status(200).after(Duration::from_millis(100))]);
    println!("{}", receiver.url("/"));
    for _ in std::io::stdin().lines() {
        println!("{}", receiver.count());
    }
}

/// A running sink.
pub struct Sink {
    /// Where to send to.
    pub url: String,
    process: Process,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Sink {
    /// Paths, without the slash, at which it misbehaves.
    pub const BAD: [&str; 4] = ["hang", "late", "slow", "endless"];

    /// Starts it.
    pub fn start() -> Self {
        // Not by its path, where a new build may lie by now.
        let mut command = Command::new("/proc/self/exe");
        let mut process =
            Process::start(command.arg("sink").stdin(Stdio::piped()).stdout(Stdio::piped()), Signal::KILL);
        let ask = process.child().stdin.take().expect("a pipe");
        let answers = BufReader::new(process.child().stdout.take().expect("a pipe"));
        let mut sink = Self { url: String::new(), process, ask, answers };
        sink.url = sink.line();
        sink
    }

    /// How many requests it has received.
    pub fn count(&mut self) -> usize {
        self.ask.write_all(b"\n").expect("ask the sink");
        self.line().parse().expect("a number")
    }

    /// Waits until it has received `count` requests, which `relay` sends.
    pub async fn wait_for(&mut self, count: usize, relay: &Relay) {
        self.wait(count, || relay.logs().text()).await;
    }

    /// Waits until it has received `count` requests; if they do not come, `words` say more.
    pub async fn wait(&mut self, count: usize, words: impl Fn() -> String) {
        within(Duration::from_secs(120), "all requests to arrive", async || {
            let arrived = self.count();
            if arrived >= count { Ok(()) } else { Err(format!("{arrived}\n{}", words())) }
        })
        .await;
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the sink answers");
        line.trim().into()
    }
}
