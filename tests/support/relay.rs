//! A real `webhook-relay` process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::leaks;
use crate::process::{Process, Signal, peak_memory};
use crate::stage::{self, Stage};
use crate::until::{PATIENCE, until};

/// A running relay, killed when dropped.
#[derive(Debug)]
pub struct Relay {
    process: Mutex<Process>,
    address: SocketAddr,
    logs: Logs,
}

impl Relay {
    /// `webhook-relay run` on a database, sending to loopback as well, and ready: it leads or stands by.
    pub async fn start(url: &str) -> Self {
        Self::start_with(url, &[]).await
    }

    /// [`Relay::start`] with further arguments.
    pub async fn start_with(url: &str, arguments: &[&str]) -> Self {
        let relay = Self::launch(url, arguments).await;
        relay.ready().await;
        relay
    }

    /// [`Relay::start_with`] that does not wait until it is ready.
    pub async fn launch(url: &str, arguments: &[&str]) -> Self {
        Self::doomed(url, arguments, &[]).await
    }

    /// A relay as an operator starts it, with nothing allowed that `arguments` do not allow, and `environment`
    /// in addition to this process's own; ready.
    pub async fn strict(url: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let relay = Self::spawn(url, arguments, environment).await;
        relay.ready().await;
        relay
    }

    /// A relay with a fault of its own in its environment; not waited for, as it may not live to be ready.
    pub async fn doomed(url: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let arguments = [&["--allow-target", "127.0.0.0/8"], arguments].concat();
        Self::spawn(url, &arguments, environment).await
    }

    /// [`Relay::start`] after a command of the shell that takes something from it, such as `ulimit`.
    pub async fn start_limited(url: &str, limit: &str) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{limit}; exec \"$@\"")).arg("sh").arg(&Stage::get().await.relay);
        let relay = Self::run(command, &["--database-url", url], &["--allow-target", "127.0.0.0/8"]).await;
        relay.ready().await;
        relay
    }

    /// [`Relay::start`] with the database's URL in a file.
    ///
    /// # Panics
    /// If the path is no text.
    pub async fn start_from_file(file: &Path) -> Self {
        let command = Command::new(&Stage::get().await.relay);
        let file = file.to_str().expect("a path of ours");
        let arguments = ["--allow-target", "127.0.0.0/8"];
        let relay = Self::run(command, &["--database-url-file", file], &arguments).await;
        relay.ready().await;
        relay
    }

    async fn spawn(url: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(&Stage::get().await.relay);
        command.envs(environment.iter().copied());
        Self::run(command, &["--database-url", url], arguments).await
    }

    /// A relay that `command` starts, which lacks nothing but its arguments.
    pub(crate) async fn run(mut command: Command, database: &[&str], arguments: &[&str]) -> Self {
        command.arg("run").args(database).args(["--listen", "127.0.0.1:0"]).args(arguments);
        if stage::is_a_test() {
            // Whatever it could ever log, so that it is searched for secrets.
            command.env("WEBHOOK_RELAY_LOG", "trace");
        }
        let (mut process, logs) = Logs::of(&mut command);
        let address = until("the relay to say where it serves", async || {
            let said = logs.text();
            let address =
                said.lines().find_map(|line| line.contains("serving /healthz").then(|| served(line)));
            match process.ended() {
                Some(_) => Ok(address.unwrap_or(([127, 0, 0, 1], 0).into())),
                None => address.ok_or(said),
            }
        })
        .await;
        Self { process: Mutex::new(process), address, logs }
    }

    /// What `webhook-relay check` prints of a database.
    pub async fn check(url: &str) -> String {
        Self::program(&["check", "--database-url", url]).await.1
    }

    /// Runs the program to its end: its exit status and what it prints.
    ///
    /// # Panics
    /// If it cannot be started.
    pub async fn program(arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = tokio::process::Command::new(&Stage::get().await.relay);
        let output = command.args(arguments).output().await.expect("start the relay");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Where `/healthz`, `/readyz` and `/metrics` are.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits for `/readyz`.
    ///
    /// # Panics
    /// If the relay ends, or never gets ready.
    pub async fn ready(&self) {
        until("the relay to be ready", async || {
            let ended = self.process.lock().expect("process").ended();
            assert!(ended.is_none(), "the relay ended:\n{}", self.logs.text());
            match reqwest::get(self.url("/readyz")).await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(format!("{}\n{}", answer.status(), self.logs.text())),
                Err(error) => Err(format!("{error}\n{}", self.logs.text())),
            }
        })
        .await;
    }

    /// A page of the relay's own server.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn page(&self, path: &str) -> String {
        let answer = reqwest::get(self.url(path)).await.expect("the relay answers");
        let text = answer.text().await.expect("a text");
        leaks::assert_none(path, text.as_bytes());
        text
    }

    /// What it logs.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.lock().expect("process").pid()
    }

    /// Its peak resident memory in KiB.
    pub fn peak_memory(&self) -> u64 {
        peak_memory(self.pid())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.lock().expect("process").signal(signal);
    }

    /// How it ended, if it has.
    pub fn status(&self) -> Option<ExitStatus> {
        self.process.lock().expect("process").ended()
    }

    /// Waits until it has ended by itself, and its last words are in the log.
    ///
    /// # Panics
    /// If it does not.
    pub async fn ended(&self) -> ExitStatus {
        let status = until("the relay to end", async || {
            self.process.lock().expect("process").ended().ok_or_else(|| self.logs.text())
        })
        .await;
        self.logs.end().await;
        status
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&self) -> ExitStatus {
        self.signal(Signal::KILL);
        self.ended().await
    }

    /// SIGTERM, and waits until it is gone.
    pub async fn terminate(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }
}

/// The address in the line that names it, in either form of log.
fn served(line: &str) -> SocketAddr {
    let (_, address) = line.split_once("127.0.0.1").expect("it serves on loopback");
    let address = address.split(|c: char| !c.is_ascii_digit() && c != ':').next().expect("a port");
    format!("127.0.0.1{address}").parse().expect("an address")
}

impl Drop for Relay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the relay's log:\n{}", self.logs.text());
        }
        leaks::assert_none("the relay's log", self.logs.text().as_bytes());
    }
}

/// The lines that a program prints, on standard output and error alike.
#[derive(Clone, Debug)]
pub struct Logs(Arc<watch::Sender<Said>>);

#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    /// Outputs that may still bring some.
    open: usize,
}

impl Logs {
    /// Starts a program and collects what it prints.
    pub fn of(command: &mut Command) -> (Process, Self) {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::start(command, Signal::KILL);
        let logs = Self(Arc::default());
        let child = process.child();
        logs.collect(child.stdout.take().expect("a pipe"));
        logs.collect(child.stderr.take().expect("a pipe"));
        (process, logs)
    }

    fn collect(&self, pipe: impl Read + Send + 'static) {
        let said = Arc::clone(&self.0);
        said.send_modify(|said| said.open += 1);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                said.send_modify(|said| said.lines.push(line));
            }
            said.send_modify(|said| said.open -= 1);
        });
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.0.borrow().lines.join("\n")
    }

    /// Waits for a line that holds `words` and returns it.
    ///
    /// # Panics
    /// If none comes.
    pub async fn wait_for(&self, words: &str) -> String {
        self.find(words, |lines| lines.iter().find(|line| line.contains(words)).cloned()).await
    }

    /// Waits until `find` finds `what` among the lines so far.
    ///
    /// # Panics
    /// If it never does.
    pub async fn find<T>(&self, what: &str, find: impl Fn(&[String]) -> Option<T>) -> T {
        let mut said = self.0.subscribe();
        let found = said.wait_for(|said| find(&said.lines).is_some());
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(Ok(said)) => find(&said.lines).expect("just seen"),
            _ => panic!("waited for {what:?}; there is only:\n{}", self.text()),
        }
    }

    /// Waits until nothing more can come.
    async fn end(&self) {
        let mut said = self.0.subscribe();
        let end = tokio::time::timeout(PATIENCE, said.wait_for(|said| said.open == 0)).await;
        assert!(end.is_ok(), "somebody still writes to the log of a program that ended");
    }
}
