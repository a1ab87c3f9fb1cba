//! A private Postgres cluster.

use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::OnceCell;

use crate::clock;
use crate::disk::Disk;
use crate::fragile::Fragile;
use crate::process::{Process, Signal, children, signal_to};
use crate::run;
use crate::session::Session;
use crate::stage::Stage;
use crate::until::until;

mod copies;

/// A cluster with a folder and a port of its own, stopped when dropped.
#[derive(Debug)]
pub struct Cluster {
    stage: &'static Stage,
    folder: PathBuf,
    port: u16,
    settings: Vec<String>,
    server: Mutex<Option<Process>>,
    template: OnceCell<()>,
    days_ahead: AtomicU32,
    fragile: Option<Fragile>,
    disk: Option<Disk>,
}

impl Drop for Cluster {
    /// Hundreds of them in a run would fill the disk.
    fn drop(&mut self) {
        drop(self.server.lock().map(|mut server| server.take()));
        self.disk = None;
        if std::env::var_os("WEBHOOK_TESTS_KEEP").is_none() {
            let _ = fs::remove_dir_all(self.data());
        }
    }
}

/// How to stop a server.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// Sessions are ended, everything is written: `pg_ctl stop -m fast`.
    Fast,
    /// As a crash, but by a signal: `pg_ctl stop -m immediate`.
    Immediate,
    /// `kill -9` of the server and all its processes.
    Kill,
}

impl Cluster {
    /// The cluster that tests share: fast rather than safe, ended with the run.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_init(async || Self::start(&["fsync=off", "synchronous_commit=off"]).await).await
    }

    /// A new cluster, running; `settings` as in `postgresql.conf`.
    ///
    /// # Panics
    /// If it does not start; its log is at [`Cluster::log`].
    pub async fn start(settings: &[&str]) -> Self {
        Self::run(Self::empty(settings, None).await).await
    }

    /// [`Cluster::start`], its data on a disk of its own of `mib` MiB, or not when that cannot be had.
    pub async fn start_on_disk(mib: u32, settings: &[&str]) -> Self {
        Self::run(Self::empty(settings, Some(mib)).await).await
    }

    /// [`Cluster::start`] on a machine that fails on demand.
    pub async fn start_fragile() -> Self {
        let mut cluster = Self::empty(&[], None).await;
        cluster.fragile = Some(Fragile::told_in(&cluster.folder));
        Self::run(cluster).await
    }

    async fn run(cluster: Self) -> Self {
        cluster.initdb(&[]);
        cluster.resume().await;
        cluster
    }

    /// [`Cluster::start`] of that major.
    pub async fn start_of(major: u32, settings: &[&str]) -> Self {
        Self::run(Self::empty_of(Stage::of(major).await, settings, None)).await
    }

    async fn empty(settings: &[&str], mib: Option<u32>) -> Self {
        Self::empty_of(Stage::get().await, settings, mib)
    }

    fn empty_of(stage: &'static Stage, settings: &[&str], mib: Option<u32>) -> Self {
        let folder = run::subfolder("pg");
        let disk = mib.and_then(|mib| Disk::mount(&folder, mib));
        if let Some((uid, gid)) = owner() {
            chown(&folder, Some(uid), Some(gid)).expect("give the folder to postgres");
        }
        Self {
            stage,
            port: free_port(),
            settings: settings.iter().map(ToString::to_string).collect(),
            server: Mutex::default(),
            template: OnceCell::new(),
            days_ahead: AtomicU32::new(0),
            fragile: None,
            folder,
            disk,
        }
    }

    /// Starts it again after [`Cluster::stop`], and returns once it accepts connections.
    pub async fn resume(&self) {
        let log = File::options().append(true).create(true).open(self.log()).expect("open the server's log");
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        for setting in self.all_settings() {
            command.arg("-c").arg(setting);
        }
        command.envs(self.fragile.iter().flat_map(Fragile::environment));
        match self.days_ahead.load(Ordering::Relaxed) {
            0 => {}
            days => drop(command.envs(clock::ahead(days))),
        }
        // SIGQUIT is an immediate shutdown: the server ends its children too.
        let mut server = Process::start(&mut command, Signal::QUIT);
        until("Postgres to start", async || {
            assert!(server.ended().is_none(), "Postgres did not start:\n{}", self.log_text());
            // The eighth line says what `pg_ctl start` waits for.
            let status = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let lines: Vec<_> = status.lines().collect();
            let ready = lines.first() == Some(&&*server.pid().to_string())
                && lines.get(7).is_some_and(|line| line.trim() == "ready");
            if ready { Ok(()) } else { Err(status) }
        })
        .await;
        *self.server.lock().expect("server") = Some(server);
    }

    /// Ends the server and returns when it is gone.
    pub async fn stop(&self, how: Stop) {
        let Some(mut server) = self.server.lock().expect("server").take() else { return };
        let family = children(server.pid());
        match how {
            Stop::Fast => server.signal(Signal::INT),
            Stop::Immediate => server.signal(Signal::QUIT),
            Stop::Kill => {
                server.signal(Signal::KILL);
                for child in &family {
                    signal_to(*child, Signal::KILL);
                }
            }
        }
        until("Postgres to stop", async || server.ended().ok_or("still running")).await;
        // Orphans hold the shared memory, and a new server would refuse to start.
        until("its processes to end", async || {
            let alive = family.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists());
            if alive { Err("some are still there") } else { Ok(()) }
        })
        .await;
    }

    /// [`Cluster::stop`] and [`Cluster::resume`].
    pub async fn restart(&self, how: Stop) {
        self.stop(how).await;
        self.resume().await;
    }

    /// Restarts it with a clock that is so many days ahead; see [`clock::exists`].
    pub async fn restart_ahead(&self, days: u32) {
        self.days_ahead.store(days, Ordering::Relaxed);
        self.restart(Stop::Fast).await;
    }

    /// The disk that its data is on, if it has one of its own.
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// What fails on demand, if it was started so.
    pub fn fragile(&self) -> Option<&Fragile> {
        self.fragile.as_ref()
    }

    /// True when the server has ended by itself.
    pub fn is_down(&self) -> bool {
        self.server.lock().expect("server").as_mut().is_none_or(|server| server.ended().is_some())
    }

    /// A connection string for `database` over the Unix socket, as the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("host={} port={} user=postgres dbname={database}", self.folder.display(), self.port)
    }

    /// The same as a URL.
    pub fn socket_url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&port={}&user=postgres", self.folder.display(), self.port)
    }

    /// Where it listens on TCP, for a [`crate::fault::Proxy`] to stand before it.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The server's process id.
    ///
    /// # Panics
    /// If it is stopped.
    pub fn pid(&self) -> u32 {
        self.server.lock().expect("server").as_ref().expect("the server runs").pid()
    }

    /// Stops the process that writes what commits did not wait for, so that killing the server loses it; returns its id.
    pub fn freeze_wal_writer(&self) -> Option<u32> {
        let is_writer = |pid: &u32| {
            let title = fs::read_to_string(format!("/proc/{pid}/cmdline"));
            title.is_ok_and(|title| title.contains("walwriter"))
        };
        let writer = children(self.pid()).into_iter().find(is_writer)?;
        loop {
            signal_to(writer, Signal::STOP);
            // In its sleep it holds no lock. Stopped while it flushes, it would hold up whoever wants to know how far WAL is written.
            match stopped_in(writer)?.as_str() {
                EPOLL_WAIT => return Some(writer),
                _ => signal_to(writer, Signal::CONT),
            }
        }
    }

    /// Where its data, its socket and its log are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server's log file.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What the server logged so far.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Whether its Postgres came with this program, which must be of the server's major; says so if not.
    pub fn has(&self, program: &str) -> bool {
        let has = self.stage.bin.join(program).exists();
        if !has {
            println!("NOT CHECKED: there is no {program} of PostgreSQL {}", self.stage.major);
        }
        has
    }

    /// A Postgres program of the stage (`psql`, `pg_dump`, …), to be run as the cluster's owner.
    pub fn program(&self, name: &str) -> Command {
        let own = self.stage.bin.join(name);
        // A fetched Postgres may come without the clients; those of the machine do as well.
        let mut command = if own.exists() { Command::new(own) } else { Command::new(name) };
        command.current_dir("/").env("PGHOST", &self.folder).env("PGPORT", self.port.to_string());
        command.env("PGUSER", "postgres").env("LC_ALL", "C.UTF-8");
        // An error of the extension would carry one as its DETAIL.
        command.env_remove("RUST_BACKTRACE");
        if let Some((uid, gid)) = owner() {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// A session in `database` as the superuser.
    pub async fn connect(&self, database: &str) -> Session {
        Session::open(&self.url(database)).await
    }

    /// The database that has the extension and is copied for each test.
    pub(crate) async fn template(&self) -> &'static str {
        const TEMPLATE: &str = "webhook_template";
        let make = async || {
            self.connect("postgres").await.run(&format!("CREATE DATABASE {TEMPLATE}")).await;
            self.connect(TEMPLATE).await.run("CREATE EXTENSION pg_webhook").await;
            let quiet = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{TEMPLATE}'");
            // A database cannot be copied while somebody is in it, and a session's end takes a moment.
            self.connect("postgres").await.until(&quiet, "0").await;
        };
        self.template.get_or_init(make).await;
        TEMPLATE
    }

    fn initdb(&self, arguments: &[&str]) {
        let mut command = self.program("initdb");
        command.args(["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8"]);
        command.args(["--locale=C.UTF-8", "-D"]).arg(self.data()).args(arguments);
        succeed(&mut command);
        // A proxy comes from an address of its own.
        let mut file =
            File::options().append(true).open(self.data().join("pg_hba.conf")).expect("open pg_hba.conf");
        file.write_all(b"host all,replication all 127.0.0.0/8 trust\n").expect("write pg_hba.conf");
    }

    fn all_settings(&self) -> impl Iterator<Item = String> {
        let own = [
            format!("port={}", self.port),
            format!("unix_socket_directories={}", self.folder.display()),
            "listen_addresses=127.0.0.1".into(),
            "max_connections=200".into(),
            "max_prepared_transactions=20".into(),
            "log_line_prefix=%m [%p] %a ".into(),
        ];
        own.into_iter().chain(self.settings.iter().cloned())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&said));
}

/// The user that Postgres must run as when we are root, which it refuses to be.
pub(crate) fn owner() -> Option<(u32, u32)> {
    if run::uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("there is a user postgres");
    let fields: Vec<_> = line.split(':').collect();
    Some((fields[2].parse().expect("a user id"), fields[3].parse().expect("a group id")))
}

/// A TCP port that nobody listens on, another one each time. The system does not give it away either: for connections and
/// for whoever lets it choose it takes ports from 32768 on (`ip_local_port_range`), and a server may need this one for long.
///
/// # Panics
/// If all are taken.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 32_768 - FIRST;
    static CALLS: AtomicU32 = AtomicU32::new(0);
    // Programs that run at once begin in different places.
    let begin = std::process::id().wrapping_mul(257);
    let next = || begin.wrapping_add(CALLS.fetch_add(1, Ordering::Relaxed)) % u32::from(COUNT);
    (0..COUNT)
        .map(|_| FIRST + u16::try_from(next()).expect("below COUNT"))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// The number of the system call, as `/proc/*/syscall` spells it.
const EPOLL_WAIT: &str = if cfg!(target_arch = "aarch64") { "22" } else { "232" };

/// In which system call the process is stopped, once it is; none when it is gone.
fn stopped_in(pid: u32) -> Option<String> {
    loop {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        match stat.rsplit_once(") ")?.1.chars().next()? {
            'T' => {
                let call = fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
                return call.split(' ').next().map(String::from);
            }
            'Z' | 'X' => return None,
            _ => std::thread::yield_now(),
        }
    }
}
