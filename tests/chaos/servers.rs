//! The Postgres of a round: a primary, and in some rounds a standby that takes its place.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::sleep;
use webhook_tests::cluster::{Cluster, Stop};
use webhook_tests::fault::Proxy;
use webhook_tests::session::Session;
use webhook_tests::until::until;

use crate::plan::{Kind, Plan, Standby, Takeover};

const SETTINGS: [&str; 9] = [
    "fsync=off",
    "track_commit_timestamp=on",
    "deadlock_timeout=100ms",
    // Commits that do not wait are not written by the way.
    "wal_writer_delay=10s",
    "wal_retrieve_retry_interval=100ms",
    "wal_buffers=16MB",
    "max_wal_size=64MB",
    "min_wal_size=32MB",
    "shared_buffers=32MB",
];

/// The database of a round.
pub const DATABASE: &str = "chaos";

/// The servers.
#[derive(Debug)]
pub struct Servers {
    primary: Cluster,
    standby: Option<Replica>,
    former: Option<Cluster>,
}

/// A standby and the link by which it follows.
#[derive(Debug)]
struct Replica {
    cluster: Cluster,
    link: Proxy,
}

impl Servers {
    /// A primary alone, with the extension in its database.
    pub async fn start(plan: &Plan) -> Self {
        let mut settings = SETTINGS.to_vec();
        settings.extend(plan.forgetful.then_some("synchronous_commit=off"));
        let primary = match plan.kind {
            Kind::Everything => Cluster::start_on_disk(400, &settings).await,
            _ => Cluster::start(&settings).await,
        };
        primary.connect("postgres").await.run(&format!("CREATE DATABASE {DATABASE}")).await;
        primary.connect(DATABASE).await.run("CREATE EXTENSION pg_webhook").await;
        Self { primary, standby: None, former: None }
    }

    /// A session in the database, as soon as the server takes one: it may be restarting after the last fault.
    pub async fn session(&self) -> Session {
        until("a session", async || Session::try_open(&self.primary.url(DATABASE)).await).await
    }

    /// What they logged.
    pub fn logs(&self) -> String {
        let former = self.former.as_ref().map(Cluster::log_text);
        former.unwrap_or_default() + &self.primary.log_text()
    }

    /// The one that takes writes.
    pub fn primary(&self) -> &Cluster {
        &self.primary
    }

    /// Adds a standby.
    pub async fn add(&mut self, kind: Standby) {
        let link = Proxy::before(self.primary.address()).await;
        let cluster = self.primary.standby(link.address()).await;
        if kind == Standby::Synchronous {
            self.primary.wait_for_standbys().await;
        }
        self.standby = Some(Replica { cluster, link });
    }

    /// Where they listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let standby = self.standby.iter().map(|replica| &replica.cluster);
        [&self.primary].into_iter().chain(standby).map(Cluster::address).collect()
    }

    /// A connection string that finds whoever takes writes.
    pub fn url(&self) -> String {
        url(&self.addresses())
    }

    /// What the standby receives from now on stays on its way.
    pub fn hold_up_standby(&self) {
        if let Some(replica) = &self.standby {
            replica.link.stall();
        }
    }

    /// The standby takes the primary's place, which dies before that or so much later.
    pub async fn fail_over(&mut self, how: Takeover) {
        let Some(Replica { cluster, link }) = self.standby.take() else { return };
        let (later, time) = match how {
            Takeover::Killed => (false, Duration::ZERO),
            Takeover::CutOff(time) | Takeover::Beside(time) => (true, time),
        };
        if !later {
            self.primary.stop(Stop::Kill).await;
        }
        cluster.connect(DATABASE).await.run("SELECT pg_promote()").await;
        let former = std::mem::replace(&mut self.primary, cluster);
        if later {
            sleep(time).await;
            former.stop(Stop::Kill).await;
        }
        drop(link);
        self.former = Some(former);
    }

    /// Writes into the database what the former primary knows and this one does not, so that it never happened; all others have
    /// gone. With a synchronous standby nobody asks, as nobody may have heard of it.
    pub async fn account(&self) {
        let Some(former) = &self.former else { return };
        former.resume().await;
        let asked = former.connect(DATABASE).await;
        let known = asked.value("SELECT chaos.known()").await;
        let known = known.replace('\'', "''");
        self.primary.connect(DATABASE).await.run(&format!("SELECT chaos.undo('{known}')")).await;
        former.stop(Stop::Fast).await;
    }
}

/// A connection string that finds whoever takes writes among these.
pub fn url(addresses: &[SocketAddr]) -> String {
    let hosts = vec!["127.0.0.1"; addresses.len()].join(",");
    let ports: Vec<_> = addresses.iter().map(|address| address.port().to_string()).collect();
    let any =
        if addresses.len() > 1 { " target_session_attrs=read-write load_balance_hosts=random" } else { "" };
    format!("host={hosts} port={} user=postgres dbname={DATABASE}{any}", ports.join(","))
}
