//! The private Postgres of the demo, and the relay.

use std::process::Stdio;

use webhook_tests::cluster::Cluster;
use webhook_tests::relay::Relay;
use webhook_tests::session::Session;

const DATABASE: &str = "shop";

/// A cluster with the extension in one database.
pub struct Stand {
    /// The cluster.
    pub cluster: Cluster,
    /// A session in the database, for looking behind the scene.
    pub session: Session,
}

impl Stand {
    /// Builds what is to be built and starts the cluster.
    pub async fn start() -> Self {
        println!("Building the extension and the relay, then starting a private PostgreSQL …");
        let cluster = Cluster::start(&[]).await;
        cluster.connect("postgres").await.run(&format!("CREATE DATABASE {DATABASE}")).await;
        let session = cluster.connect(DATABASE).await;
        Self { cluster, session }
    }

    /// The connection string of the database.
    pub fn url(&self) -> String {
        self.cluster.url(DATABASE)
    }

    /// A relay that may send to this machine.
    pub async fn relay(&self) -> Relay {
        Relay::start(&self.url()).await
    }

    /// Shows statements and what psql prints for them.
    ///
    /// # Panics
    /// If one fails.
    pub fn psql(&self, sql: &str) {
        println!("    {DATABASE}=> {};", sql.replace('\n', "\n            "));
        let mut psql = self.cluster.program("psql");
        psql.args(["--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-P", "footer=off", "-d", DATABASE, "-c", sql]);
        let output = psql.stderr(Stdio::inherit()).output().expect("start psql");
        for line in String::from_utf8_lossy(&output.stdout).trim_end().lines() {
            println!("    {line}");
        }
        assert!(output.status.success(), "psql failed on: {sql}");
    }
}
