//! A database of its own for each test.

use std::ops::Deref;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cluster::Cluster;
use crate::leaks;
use crate::session::Session;

/// A fresh database with the extension, and one session in it.
#[derive(Debug)]
pub struct Database<'a> {
    cluster: &'a Cluster,
    name: String,
    session: Session,
}

impl Database<'static> {
    /// A database in the shared cluster.
    pub async fn new() -> Self {
        Self::on(Cluster::shared().await).await
    }
}

impl<'a> Database<'a> {
    /// A database in `cluster`: a copy of its template, adopted, as every copied database must be.
    pub async fn on(cluster: &'a Cluster) -> Self {
        let database = Self::unadopted(cluster).await;
        database.run("SELECT webhook_adopt()").await;
        database
    }

    /// A copy of the template that has not been adopted.
    pub async fn unadopted(cluster: &'a Cluster) -> Self {
        Self::copied(cluster, cluster.template().await).await
    }

    /// A database without the extension.
    pub async fn bare(cluster: &'a Cluster) -> Self {
        Self::copied(cluster, "template0").await
    }

    async fn copied(cluster: &'a Cluster, template: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let admin = cluster.connect("postgres").await;
        admin.run(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        let session = cluster.connect(&name).await;
        Self { cluster, name, session }
    }

    /// Another session.
    pub async fn connect(&self) -> Session {
        self.cluster.connect(&self.name).await
    }

    /// The connection string that a relay gets.
    pub fn url(&self) -> String {
        self.cluster.url(&self.name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its cluster.
    pub fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// Creates a webhook for `url`; `rest` are further arguments of `webhook_create`, such as
    /// `events => '{user.*}'`. Returns its id and secret.
    pub async fn webhook(&self, url: &str, rest: &str) -> (String, String) {
        let comma = if rest.is_empty() { "" } else { ", " };
        let sql = format!("SELECT id, secret FROM webhook_create('{url}'{comma}{rest})");
        let mut row = self.rows(&sql).await.remove(0).into_iter();
        (row.next().expect("an id"), row.next().expect("a secret"))
    }

    /// Emits an event and returns its id.
    pub async fn emit(&self, kind: &str, data: &str) -> String {
        self.value(&format!("SELECT webhook_emit('{kind}', '{data}')")).await
    }
}

/// What is kept about deliveries, relays and webhooks beside the events.
const KEPT: &str = "SELECT to_jsonb(a) FROM webhook.attempts a UNION ALL SELECT to_jsonb(p) FROM webhook.pending p
    UNION ALL SELECT to_jsonb(r) FROM webhook.relays r UNION ALL SELECT to_jsonb(w) FROM webhook_list(\"limit\" => 100) w
    UNION ALL SELECT to_jsonb(e) FROM webhook.events e WHERE e.type ~ '^(webhook|delivery)[.]'";

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // A server that is down, or without the extension, says nothing.
        let kept = self.cluster.program("psql").args(["-qAtX", "-d", &self.name, "-c", KEPT]).output();
        // Room on the disk for a run of many tests; a server that is down takes its databases with it anyway.
        let mut dropdb = self.cluster.program("dropdb");
        // A standby may be gone already.
        dropdb.env("PGOPTIONS", "-c synchronous_commit=local");
        let _ = dropdb.args(["--force", "--if-exists", &self.name]).stderr(Stdio::null()).status();
        leaks::assert_none("the tables", &kept.map(|output| output.stdout).unwrap_or_default());
        leaks::assert_none_logged(&self.cluster.log());
    }
}

impl Deref for Database<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}
