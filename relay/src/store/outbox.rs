//! Leadership, reading and sleeping: what the leader's session does.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;
use tokio_postgres::Row;

use super::{LONG, Micros, SHORT, Session, StoreError, Way, unexpected};
use crate::event::Facts;
use crate::ledger::Position;
use crate::matching::HookRow;

/// Longer than anybody waits, and within what the database can add to a time.
const LONGEST_WAIT: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Secrets that expire at a time that the extension does not tell are looked for this often.
const LOOK_FOR_EXPIRED: Duration = Duration::from_secs(60);

/// A won lead.
#[derive(Debug, Clone)]
pub struct Lead {
    /// Number of our cursor row.
    pub n: i64,
    /// Where to read on.
    pub position: Position,
    /// Events up to this seq may have recorded deliveries.
    pub ahead: i64,
}

/// One event of a page.
#[derive(Debug)]
pub struct PageRow {
    /// What it says.
    pub facts: Facts,
    /// Not to be sent before.
    pub due: Option<Instant>,
    /// Queued by somebody else for one webhook alone.
    pub target: Option<Box<str>>,
    /// Its place.
    pub seq: i64,
    /// Its transaction.
    pub xid: i64,
}

/// A page of the outbox.
#[derive(Debug)]
pub struct Page {
    /// In order.
    pub rows: Vec<PageRow>,
    /// The window's name while it is not finished.
    pub more: String,
    /// The next window's name.
    pub next: String,
    /// True: ask for webhooks before matching.
    pub config_changed: bool,
}

/// Webhooks that changed.
pub struct Webhooks {
    /// What to ask with next time.
    pub config: String,
    /// The changed ones.
    pub rows: Vec<HookRow>,
}

impl Session {
    /// Tries to lead; none when another relay does. Where the session is lent the lead is, too, for a `lease`.
    pub async fn lead(&self, instance: &str, lease: Duration) -> Result<Option<Lead>, StoreError> {
        let rows = match self.way {
            Way::Own => {
                self.rows(
                    SHORT,
                    r#"SELECT n, "window", seq, xid, ahead FROM webhook._relay_lead($1)"#,
                    &[&instance],
                )
                .await?
            }
            Way::Lent => {
                self.rows(
                    SHORT,
                    r#"SELECT n, "window", seq, xid, ahead FROM webhook._relay_lease_lead($1, $2)"#,
                    &[&instance, &(lease.as_millis() as i32)],
                )
                .await?
            }
        };
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Lead {
            n: row.try_get(0)?,
            position: Position {
                window: row.try_get::<_, &str>(1)?.into(),
                seq: row.try_get(2)?,
                xid: row.try_get(3)?,
            },
            ahead: row.try_get(4)?,
        }))
    }

    /// Leads on for another `lease`; false when that could not be found out, or another relay leads.
    pub async fn renew_lease(&self, instance: &str, lease: Duration) -> Result<bool, StoreError> {
        let row = self
            .row(
                SHORT,
                "SELECT webhook._relay_renew_lease($1, $2)",
                &[&instance, &(lease.as_millis() as i32)],
            )
            .await?;
        Ok(row.try_get(0)?)
    }

    /// Gives the lead up.
    pub async fn resign(&self, instance: &str) -> Result<(), StoreError> {
        match self.way {
            Way::Own => self.rows(SHORT, "SELECT webhook._relay_resign()", &[]).await?,
            Way::Lent => self.rows(SHORT, "SELECT webhook._relay_end_lease($1)", &[&instance]).await?,
        };
        Ok(())
    }

    /// Reads events after a position.
    pub async fn read(
        &self,
        from: &Position,
        max_rows: i32,
        max_bytes: i64,
        config: &str,
    ) -> Result<Page, StoreError> {
        let mut rows = self.rows(SHORT, "SELECT id, type, created_at, data, previous, key, account, source, wait_ms, target, seq, xid, more, next, config_changed FROM webhook._relay_read($1, $2, $3, $4, $5, $6)", &[&&*from.window, &from.seq, &from.xid, &max_rows, &max_bytes, &config]).await?;
        let last = rows.pop().ok_or_else(|| unexpected("_relay_read returned nothing"))?;
        Ok(Page {
            rows: rows.iter().map(page_row).collect::<Result<_, _>>()?,
            more: last.try_get(12)?,
            next: last.try_get(13)?,
            config_changed: last.try_get(14)?,
        })
    }

    /// Webhooks that changed since `config`; all of them without it.
    pub async fn webhooks(&self, config: Option<&str>) -> Result<Webhooks, StoreError> {
        // The extension of the version before has neither secrets_at nor secrets_ms.
        let rows = self.rows(LONG, "SELECT config, id, url, events, status, filter_config, account, options, active_since, secrets, j->'secrets_at', subscriptions, failing_since, (j->>'secrets_ms')::bigint FROM webhook._relay_webhooks($1) w, to_jsonb(w) j", &[&config]).await?;
        let (first, rows) =
            rows.split_first().ok_or_else(|| unexpected("_relay_webhooks returned nothing"))?;
        Ok(Webhooks { config: first.try_get(0)?, rows: rows.iter().filter_map(usable).collect() })
    }

    /// Which of these deliveries have an attempt or wait.
    pub async fn recorded(&self, deliveries: &[&str]) -> Result<Vec<String>, StoreError> {
        let rows = self.rows(LONG, "SELECT webhook._relay_recorded($1)", &[&deliveries]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Switches the bell on; true when an emitter is committing now.
    pub async fn arm(&self) -> Result<bool, StoreError> {
        Ok(self.row(SHORT, "SELECT webhook._relay_arm()", &[]).await?.try_get(0)?)
    }

    /// True when an emitter is committing now.
    pub async fn committing(&self) -> Result<bool, StoreError> {
        Ok(self.row(SHORT, "SELECT webhook._relay_committing()", &[]).await?.try_get(0)?)
    }

    /// Switches the bell off.
    pub async fn disarm(&self) -> Result<(), StoreError> {
        self.rows(SHORT, "SELECT webhook._relay_disarm()", &[]).await?;
        Ok(())
    }
}

fn page_row(row: &Row) -> Result<PageRow, StoreError> {
    Ok(PageRow {
        facts: Facts {
            id: boxed(row, 0)?.unwrap_or_default(),
            kind: boxed(row, 1)?.unwrap_or_default(),
            created_at: row.try_get::<_, Micros>(2)?.0,
            data: bytes(row, 3)?,
            previous: bytes(row, 4)?,
            key: boxed(row, 5)?,
            account: boxed(row, 6)?,
            source: boxed(row, 7)?,
        },
        due: row
            .try_get::<_, Option<i64>>(8)?
            .map(|ms| Instant::now() + LONGEST_WAIT.min(Duration::from_millis(ms as u64))),
        target: boxed(row, 9)?,
        seq: row.try_get(10)?,
        xid: row.try_get(11)?,
    })
}

/// A row that somebody made unreadable by hand is one webhook's trouble.
fn usable(row: &Row) -> Option<HookRow> {
    let told = |error: &tokio_postgres::Error| {
        tracing::error!(webhook = row.try_get::<_, &str>(1).ok(), %error, "a webhook cannot be used");
    };
    hook_row(row).inspect_err(told).ok()
}

fn hook_row(row: &Row) -> Result<HookRow, tokio_postgres::Error> {
    let subscriptions: Option<Value> = row.try_get(11)?;
    let times: Option<Value> = row.try_get(10)?;
    let times = times.as_ref().and_then(Value::as_array).into_iter().flatten();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let secrets = row.try_get::<_, Option<Vec<String>>>(9)?.unwrap_or_default();
    let left =
        row.try_get::<_, Option<i64>>(13)?.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
    let left = left.or((secrets.len() > 1).then_some(LOOK_FOR_EXPIRED));
    let pairs = subscriptions.as_ref().and_then(Value::as_array).into_iter().flatten();
    Ok(HookRow {
        id: row.try_get(1)?,
        url: row.try_get(2)?,
        events: row.try_get::<_, Option<Vec<String>>>(3)?.unwrap_or_default(),
        active: row.try_get::<_, Option<&str>>(4)? == Some("active"),
        filter: row.try_get(5)?,
        account: row.try_get(6)?,
        options: row.try_get::<_, Option<Value>>(7)?.unwrap_or_default(),
        active_since: row.try_get::<_, Option<Micros>>(8)?.map_or(0, |at| at.0),
        secrets,
        secrets_at: times.filter_map(Value::as_i64).collect(),
        secrets_until: left.map(|left| Instant::now() + left),
        locked: None,
        subscriptions: pairs.map(|pair| (text(pair, "emitter"), text(pair, "event"))).collect(),
        failing_since: row.try_get::<_, Option<Micros>>(12)?.map(|at| at.0),
    })
}

pub(super) fn boxed(row: &Row, column: usize) -> Result<Option<Box<str>>, StoreError> {
    Ok(row.try_get::<_, Option<&str>>(column)?.map(Into::into))
}

pub(super) fn bytes(row: &Row, column: usize) -> Result<Option<Bytes>, StoreError> {
    Ok(row.try_get::<_, Option<&[u8]>>(column)?.map(Bytes::copy_from_slice))
}
