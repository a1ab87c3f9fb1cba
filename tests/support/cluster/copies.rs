//! Clusters that come from another one: standbys, backups, other majors.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::{Cluster, Stop, succeed};
use crate::stage::Stage;

impl Cluster {
    /// A streaming standby of this one, running, without which nothing is committed here from now on.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn synchronous_standby(&self) -> Self {
        let standby = self.standby(self.address()).await;
        self.wait_for_standbys().await;
        standby
    }

    /// A streaming standby of this one with the same settings, running; it finds this one at `address`.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn standby(&self, address: SocketAddr) -> Self {
        let way = format!("primary_conninfo=host={} port={} user=postgres", address.ip(), address.port());
        let settings: Vec<_> = self.settings.iter().map(String::as_str).chain([&*way]).collect();
        let standby = self.copy(&settings, &["--write-recovery-conf"]);
        standby.resume().await;
        self.connect("postgres").await.until("SELECT state FROM pg_stat_replication", "streaming").await;
        standby
    }

    /// From now on nothing is committed here without a standby.
    ///
    /// # Panics
    /// If there is none.
    pub async fn wait_for_standbys(&self) {
        let session = self.connect("postgres").await;
        session.run("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        session.run("SELECT pg_reload_conf()").await;
        session.until("SELECT sync_state FROM pg_stat_replication", "sync").await;
    }

    /// A copy of this one by `pg_basebackup`, not started.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn base_backup(&self, arguments: &[&str]) -> Self {
        self.copy(&[], arguments)
    }

    fn copy(&self, settings: &[&str], arguments: &[&str]) -> Self {
        let copy = Self::empty_of(self.stage, settings, None);
        let mut backup = self.program("pg_basebackup");
        backup.args(["--checkpoint=fast", "--no-sync", "-D"]).arg(copy.data()).args(arguments);
        succeed(&mut backup);
        copy
    }

    /// Starts a base backup and lets it replay the WAL in `archive` up to a restore point, from where it goes on by itself.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn recover(&self, archive: &Path, restore_point: &str) {
        let settings = format!(
            "restore_command = 'cp {}/%f %p'\nrecovery_target_name = '{restore_point}'\nrecovery_target_action = 'promote'\n",
            archive.display()
        );
        let mut file = File::options()
            .append(true)
            .open(self.data().join("postgresql.auto.conf"))
            .expect("open the settings");
        file.write_all(settings.as_bytes()).expect("write the settings");
        File::create(self.data().join("recovery.signal")).expect("ask for a recovery");
        self.resume().await;
        self.connect("postgres").await.until("SELECT pg_is_in_recovery()", "f").await;
    }

    /// What becomes of this one, which is stopped, by `pg_upgrade` to another major; running.
    ///
    /// # Panics
    /// If it does not become anything.
    pub async fn upgraded_to(&self, major: u32) -> Self {
        // The Postgres that was fetched may be of an older minor release, and not know what this one notes of columns.
        const FORGET: &str = "SET allow_system_table_mods = on;
            UPDATE pg_attribute SET attoptions = NULL WHERE attoptions::text LIKE '{pg_attver=%}'";
        let databases = "SELECT datname FROM pg_database WHERE datallowconn";
        for database in self.connect("postgres").await.rows(databases).await.concat() {
            self.connect(&database).await.run(FORGET).await;
        }
        self.stop(Stop::Fast).await;
        let new = Self::empty_of(Stage::of(major).await, &[], None);
        // Pages without checksums, as those of the old one are.
        new.initdb(if major < 18 { &[] } else { &["--no-data-checksums"] });
        let mut upgrade = new.program("pg_upgrade");
        upgrade.current_dir(&new.folder).arg("-b").arg(&self.stage.bin).arg("-B").arg(&new.stage.bin);
        upgrade.arg("-d").arg(self.data()).arg("-D").arg(new.data()).arg("-s").arg(&new.folder);
        succeed(&mut upgrade);
        new.resume().await;
        new
    }
}
