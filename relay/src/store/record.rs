//! Writing outcomes, pending rows and the cursor in one transaction.

use serde_json::Value;

use super::{LONG, Session, StoreError};
use crate::ledger::Position;

/// The cursor row to append.
#[derive(Debug, Clone)]
pub struct Cursor {
    /// Number of the row before it.
    pub n: i64,
    /// Everything before it is recorded.
    pub position: Position,
    /// The largest seq with anything recorded.
    pub ahead: i64,
}

/// What is recorded, one element for each delivery in every column.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "the columns are those of webhook._relay_record")]
pub struct Columns<'a> {
    pub delivery_ids: Vec<&'a str>,
    pub event_ids: Vec<&'a str>,
    pub webhook_ids: Vec<&'a str>,
    pub keys: Vec<Option<&'a str>>,
    pub outcomes: Vec<&'a str>,
    pub numbers: Vec<i32>,
    pub tries: Vec<i32>,
    pub leases: Vec<i64>,
    pub ages_ms: Vec<i32>,
    pub codes: Vec<Option<i32>>,
    pub times_ms: Vec<Option<i32>>,
    pub errors: Vec<Option<&'a str>>,
    pub response_headers: Vec<Option<&'a str>>,
    pub response_bodies: Vec<Option<&'a [u8]>>,
    pub delays_ms: Vec<i64>,
}

/// What came of recording.
#[derive(Debug, Default)]
pub struct Written {
    /// The cursor's new number, if it was moved.
    pub n: Option<i64>,
    /// Places in the columns of what is not recorded, as somebody has locked the rows that it would change.
    pub locked: Vec<usize>,
}

impl Session {
    /// Records, and with a cursor also moves it.
    pub async fn record(
        &self,
        instance: &str,
        cursor: Option<&Cursor>,
        what: &Columns<'_>,
    ) -> Result<Written, StoreError> {
        let n = cursor.map(|cursor| cursor.n);
        let window = cursor.map(|cursor| &*cursor.position.window);
        let (seq, xid) = (cursor.map(|cursor| cursor.position.seq), cursor.map(|cursor| cursor.position.xid));
        let ahead = cursor.map(|cursor| cursor.ahead);
        // The extension of the version before returns a number alone.
        let row = self.row(LONG, "SELECT to_jsonb(r) FROM webhook._relay_record($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) r", &[&instance, &n, &window, &seq, &xid, &ahead, &what.delivery_ids, &what.event_ids, &what.webhook_ids, &what.keys, &what.outcomes, &what.numbers, &what.tries, &what.leases, &what.ages_ms, &what.codes, &what.times_ms, &what.errors, &what.response_headers, &what.response_bodies, &what.delays_ms]).await?;
        let said: Value = row.try_get::<_, Option<Value>>(0)?.unwrap_or_default();
        let places = said["locked"].as_array().into_iter().flatten().filter_map(Value::as_u64);
        Ok(Written {
            n: said.as_i64().or_else(|| said["n"].as_i64()),
            locked: places.map(|place| place as usize - 1).collect(),
        })
    }
}
