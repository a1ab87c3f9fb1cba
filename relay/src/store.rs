//! The one door to the database: sessions and one-line calls of the verbs in `sql/relay/`.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type, accepts};
use tokio_postgres::{Row, Statement};

use crate::dsn::Dsn;

mod argument;
mod claim;
mod connect;
mod hello;
mod notice;
mod outbox;
mod record;
mod secrets;
mod way;

use argument::Argument;
use connect::Line;

pub use claim::{Claimed, ClaimedRow, Wanted};
pub use hello::{Beat, Hello};
pub use outbox::{Lead, Page, PageRow, Webhooks};
pub use record::{Columns, Cursor, Written};
pub use way::{KnownWay, Way};

/// For calls on which others wait.
pub const SHORT: Duration = Duration::from_secs(5);
/// For calls that may have much to do.
pub const LONG: Duration = Duration::from_secs(30);

/// Why a call failed, by what the caller should do.
#[derive(Debug)]
pub enum StoreError {
    /// No connection, or it broke: connect again.
    Lost(String),
    /// No answer in time: the session cannot be trusted any more.
    Timeout,
    /// Another relay leads.
    Fenced,
    /// Locked, cancelled or full for the moment: try again.
    Busy(String),
    /// The extension is not (or no longer) there.
    Missing(String),
    /// This role lacks a right.
    NotAllowed(String),
    /// Anything else the server said.
    Refused {
        /// SQLSTATE.
        code: String,
        /// The server's message.
        message: String,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(why) => write!(f, "no connection to PostgreSQL: {why}"),
            Self::Timeout => f.write_str("PostgreSQL did not answer in time"),
            Self::Fenced => f.write_str("another relay leads"),
            Self::Busy(message) => write!(f, "PostgreSQL cannot do it now: {message}"),
            Self::Missing(message) => {
                write!(f, "the extension pg_webhook is not in this database: {message}")
            }
            Self::NotAllowed(message) => write!(f, "the relay's role may not do this: {message}"),
            Self::Refused { code, message } => write!(f, "PostgreSQL refused: {message} (SQLSTATE {code})"),
        }
    }
}

impl std::error::Error for StoreError {}

impl StoreError {
    /// True when the session cannot be used any more.
    #[must_use]
    pub fn ends_session(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Timeout)
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            // Connection errors name hosts and addresses, never the password.
            let source = std::error::Error::source(&error).map(ToString::to_string);
            return Self::Lost(
                source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}")),
            );
        };
        let message = said.message().to_owned();
        let code = said.code();
        if *code == SqlState::OBJECT_IN_USE {
            Self::Fenced
        } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
            Self::NotAllowed(message)
        } else if [SqlState::UNDEFINED_FUNCTION, SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME]
            .contains(code)
        {
            Self::Missing(message)
        } else if [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED].contains(code)
            || code.code().starts_with("40")
        {
            Self::Busy(message)
        } else {
            match code.code().get(..2) {
                // Connection, shutdown, resources, startup and authentication, stale plans, lost statements.
                Some("08" | "57" | "53" | "58" | "28" | "3D" | "0A" | "25" | "26") => Self::Lost(message),
                _ if *code == SqlState::DUPLICATE_PSTATEMENT => Self::Lost(message),
                _ => Self::Refused { code: code.code().to_owned(), message },
            }
        }
    }
}

/// One connection. Dropping it closes the socket at once, whatever is under way.
#[derive(Debug)]
pub struct Session {
    line: Line,
    way: Way,
    statements: Mutex<HashMap<&'static str, Statement>>,
}

impl Session {
    /// Connects as [`Session::explore`] has found out that one can.
    pub async fn connect(dsn: &Dsn, way: Way) -> Result<Self, StoreError> {
        let mut session = Self::over(Line::open(dsn).await?);
        if way == Way::Own {
            session.make_own().await?;
        }
        Ok(session)
    }

    fn over(line: Line) -> Self {
        Self { line, way: Way::Lent, statements: Mutex::default() }
    }

    /// Whether its server process is ours.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// Rings when a notification came; one that came while nobody waited is kept.
    #[must_use]
    pub fn rings(&self) -> &Notify {
        &self.line.rings
    }

    /// True when the connection is known to be gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.line.client.is_closed()
    }

    async fn rows(
        &self,
        limit: Duration,
        sql: &'static str,
        arguments: &[&dyn Argument],
    ) -> Result<Vec<Row>, StoreError> {
        let rows = match self.way {
            Way::Own => within(limit, self.own_rows(sql, arguments)).await,
            Way::Lent => within(limit, self.lent_rows(sql, arguments)).await,
        };
        if matches!(rows, Err(StoreError::Timeout)) {
            self.line.give_up();
        }
        rows
    }

    async fn own_rows(&self, sql: &'static str, arguments: &[&dyn Argument]) -> Result<Vec<Row>, StoreError> {
        let known = self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        let statement = match known {
            Some(statement) => statement,
            None => {
                let statement = self.line.client.prepare(sql).await?;
                let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
                statements.insert(sql, statement.clone());
                statement
            }
        };
        let values: Vec<&(dyn ToSql + Sync)> = arguments.iter().map(|one| *one as _).collect();
        Ok(self.line.client.query(&statement, &values).await?)
    }

    async fn row(
        &self,
        limit: Duration,
        sql: &'static str,
        arguments: &[&dyn Argument],
    ) -> Result<Row, StoreError> {
        let rows = self.rows(limit, sql, arguments).await?;
        rows.into_iter().next().ok_or_else(|| unexpected("a verb returned no row"))
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(limit, pin!(work)).await.unwrap_or(Err(StoreError::Timeout))
}

fn unexpected(message: &str) -> StoreError {
    StoreError::Refused { code: "XX000".to_owned(), message: message.to_owned() }
}

/// A timestamp as microseconds since 1970; infinities stay far away.
struct Micros(i64);

impl<'a> FromSql<'a> for Micros {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        const FROM_2000: i64 = 946_684_800_000_000;
        Ok(Self(i64::from_be_bytes(raw.try_into()?).saturating_add(FROM_2000)))
    }

    accepts!(TIMESTAMPTZ);
}
