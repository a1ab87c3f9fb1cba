//! What the relay tells the database about webhooks, and maintenance.

use std::time::Duration;

use serde_json::Value;

use super::{LONG, Session, StoreError};

impl Session {
    /// Makes a webhook inactive and says why.
    pub async fn disable(&self, webhook: &str, reason: &str) -> Result<(), StoreError> {
        self.rows(LONG, "SELECT webhook._relay_disable($1, $2)", &[&webhook, &reason]).await?;
        Ok(())
    }

    /// Emits an operator event about a webhook.
    pub async fn signal(&self, webhook: &str, kind: &str, data: &Value) -> Result<(), StoreError> {
        self.rows(LONG, "SELECT webhook._relay_signal($1, $2, $3)", &[&webhook, &kind, &data]).await?;
        Ok(())
    }

    /// Notes that a webhook does nothing but fail, or that it works again.
    pub async fn failing(&self, webhook: &str, failing: bool) -> Result<(), StoreError> {
        self.rows(LONG, "SELECT webhook._relay_failing($1, $2)", &[&webhook, &failing]).await?;
        Ok(())
    }

    /// Partitions, retention, trimming; says what it did.
    pub async fn maintain(&self) -> Result<Option<String>, StoreError> {
        let row = self.row(Duration::from_secs(120), "SELECT webhook._relay_maintain()", &[]).await?;
        Ok(row.try_get(0)?)
    }
}
