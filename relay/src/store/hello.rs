//! Greeting, heartbeat and farewell.

use serde_json::Value;

use super::{LONG, SHORT, Session, StoreError};

/// What the database says to a relay that says hello.
#[derive(Debug)]
pub struct Hello {
    /// Of the SQL objects.
    pub extension_version: String,
    /// Of the loaded library.
    pub library_version: String,
    /// `server_version_num`.
    pub server_version: i32,
    /// False: a restored or cloned database; nothing may be sent.
    pub adopted: bool,
    /// The cluster and database.
    pub identity: String,
    /// True: a standby.
    pub in_recovery: bool,
    /// Limits that the database sets.
    pub settings: Value,
    /// The database's clock, microseconds since 1970.
    pub clock: i64,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    /// Relays that beat of late, this one included.
    pub alive: i32,
    /// As in [`Hello`].
    pub adopted: bool,
    /// As in [`Hello`].
    pub clock: i64,
}

impl Session {
    /// Says hello; the first call on a session.
    pub async fn hello(&self, instance: &str, host: &str) -> Result<Hello, StoreError> {
        let pid = std::process::id() as i32;
        let row = self.row(LONG, "SELECT extension_version, library_version, server_version, adopted, identity, in_recovery, settings, clock_us FROM webhook._relay_hello($1, $2, $3, $4)", &[&instance, &env!("CARGO_PKG_VERSION"), &host, &pid]).await?;
        Ok(Hello {
            extension_version: row.try_get(0)?,
            library_version: row.try_get(1)?,
            server_version: row.try_get(2)?,
            adopted: row.try_get(3)?,
            identity: row.try_get(4)?,
            in_recovery: row.try_get(5)?,
            settings: row.try_get(6)?,
            clock: row.try_get(7)?,
        })
    }

    /// Says that this relay lives.
    pub async fn beat(
        &self,
        instance: &str,
        leader: bool,
        in_flight: i32,
        queued: i32,
    ) -> Result<Beat, StoreError> {
        let row = self
            .row(
                SHORT,
                "SELECT alive, adopted, clock_us FROM webhook._relay_beat($1, $2, $3, $4)",
                &[&instance, &leader, &in_flight, &queued],
            )
            .await?;
        Ok(Beat { alive: row.try_get(0)?, adopted: row.try_get(1)?, clock: row.try_get(2)? })
    }

    /// Says goodbye.
    pub async fn bye(&self, instance: &str) -> Result<(), StoreError> {
        self.rows(SHORT, "SELECT webhook._relay_bye($1)", &[&instance]).await?;
        Ok(())
    }
}
