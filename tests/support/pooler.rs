//! A connection pooler before a cluster.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::cluster::{Cluster, free_port, owner};
use crate::process::{Process, Signal};
use crate::run;
use crate::session::Session;
use crate::until::until;

/// A running pgbouncer, stopped when dropped.
#[derive(Debug)]
pub struct Pooler {
    address: SocketAddr,
    folder: PathBuf,
    process: Mutex<Option<Process>>,
}

impl Pooler {
    /// pgbouncer before `cluster`, in pool mode `transaction` or `session`, with this many connections to a database.
    ///
    /// # Panics
    /// If it is not installed (`make deps` does that) or does not start.
    pub async fn start(cluster: &Cluster, mode: &str, size: u32) -> Self {
        let folder = run::subfolder("pooler");
        let (port, server) = (free_port(), cluster.address());
        let (users, config) = (folder.join("users"), folder.join("pgbouncer.ini"));
        fs::write(&users, "\"postgres\" \"\"\n").expect("write the pooler's users");
        let settings = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = {size}\n",
            server.ip(),
            server.port(),
            users.display()
        );
        fs::write(&config, settings).expect("write the pooler's settings");
        let pooler = Self { address: ([127, 0, 0, 1], port).into(), folder, process: Mutex::default() };
        pooler.resume().await;
        pooler
    }

    /// Ends it, and with it every connection through it.
    pub fn stop(&self) {
        drop(self.process.lock().expect("process").take());
    }

    /// Starts it again after [`Pooler::stop`], and returns once it accepts connections.
    pub async fn resume(&self) {
        let log = self.folder.join("log");
        let mut command = Command::new("/usr/sbin/pgbouncer");
        let output = File::create(&log).expect("make the pooler's log");
        command.arg(self.folder.join("pgbouncer.ini")).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        // Like Postgres, it refuses to run as root.
        if let Some((uid, gid)) = owner() {
            chown(&self.folder, Some(uid), Some(gid)).expect("give the folder to postgres");
            command.uid(uid).gid(gid);
        }
        *self.process.lock().expect("process") = Some(Process::start(&mut command, Signal::TERM));
        until("the pooler to start", async || {
            let tried = Session::try_open(&self.url("postgres")).await;
            tried.map_err(|error| format!("{error}\n{}", fs::read_to_string(&log).unwrap_or_default()))
        })
        .await;
    }

    /// A connection string for `database` through it.
    pub fn url(&self, database: &str) -> String {
        format!("host={} port={} user=postgres dbname={database}", self.address.ip(), self.address.port())
    }
}
