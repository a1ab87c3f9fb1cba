//! Leasing pending deliveries.

use super::outbox::{boxed, bytes};
use super::{LONG, Micros, Session, StoreError};
use crate::event::Facts;
use crate::matching::OneOff;

/// What to lease.
#[derive(Debug)]
pub struct Wanted {
    /// Token that fences the write-back.
    pub lease: i64,
    /// How long it lasts.
    pub lease_ms: i32,
    /// Webhooks that want nothing now.
    pub skip: Vec<String>,
    /// At most so many of each webhook.
    pub per_webhook: i32,
    /// At most so many.
    pub total: i32,
    /// At most about so many bytes of data.
    pub max_bytes: i64,
}

/// A leased pending delivery.
#[derive(Debug)]
pub struct ClaimedRow {
    /// `del_…`
    pub delivery_id: Box<str>,
    /// `wh_…`
    pub webhook_id: Box<str>,
    /// Number of the attempt to make.
    pub number: i32,
    /// Attempts made in the present schedule.
    pub tries: i32,
    /// What to send; without data when retention dropped the event.
    pub facts: Facts,
    /// Asked for by `webhook_replay`.
    pub replayed: bool,
    /// Set for a request of `webhook_send`.
    pub one_off: Option<OneOff>,
}

/// Leased pending deliveries.
#[derive(Debug)]
pub struct Claimed {
    /// In the order in which they became due.
    pub rows: Vec<ClaimedRow>,
    /// Milliseconds until the next pending delivery is due.
    pub next_due_ms: Option<i64>,
}

impl Session {
    /// Leases due deliveries.
    pub async fn claim(&self, instance: &str, wanted: &Wanted) -> Result<Claimed, StoreError> {
        let mut rows = self.rows(LONG, "SELECT delivery_id, webhook_id, number, tries, event_id, type, created_at, data, previous, key, source, url, options, next_due_ms, reason FROM webhook._relay_claim($1, $2, $3, $4, $5, $6, $7)", &[&instance, &wanted.lease, &wanted.lease_ms, &wanted.skip, &wanted.per_webhook, &wanted.total, &wanted.max_bytes]).await?;
        let next_due_ms = match rows.pop() {
            Some(last) => last.try_get(13)?,
            None => None,
        };
        let rows = rows.iter().map(|row| {
            let url: Option<String> = row.try_get(11)?;
            let options: Option<serde_json::Value> = row.try_get(12)?;
            Ok(ClaimedRow {
                one_off: url.zip(options).map(|(url, options)| OneOff { url, options }),
                delivery_id: boxed(row, 0)?.unwrap_or_default(),
                webhook_id: boxed(row, 1)?.unwrap_or_default(),
                number: row.try_get(2)?,
                tries: row.try_get(3)?,
                replayed: row.try_get::<_, Option<&str>>(14)? == Some("replay"),
                facts: Facts {
                    id: boxed(row, 4)?.unwrap_or_default(),
                    kind: boxed(row, 5)?.unwrap_or_default(),
                    created_at: row.try_get::<_, Option<Micros>>(6)?.map_or(0, |at| at.0),
                    data: bytes(row, 7)?,
                    previous: bytes(row, 8)?,
                    key: boxed(row, 9)?,
                    account: None,
                    source: boxed(row, 10)?,
                },
            })
        });
        Ok(Claimed { rows: rows.collect::<Result<_, StoreError>>()?, next_due_ms })
    }
}
