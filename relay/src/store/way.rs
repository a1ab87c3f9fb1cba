//! Whether a session's server process is ours from one call to the next.
//!
//! A connection pooler in transaction mode lends us one for each transaction. What belongs to a session is lost there: prepared
//! statements, settings, locks, LISTEN. Then every call is a transaction of its own with its settings, the leader leads by a
//! lease and polls. That is right everywhere, only slower, so it is what we do until we know better.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Row;

use super::argument::Argument;
use super::connect::{Line, PROBE};
use super::{SHORT, Session, StoreError, within};
use crate::dsn::Dsn;

/// A notification to ourselves must come back within this.
const ECHO: Duration = Duration::from_secs(2);
// What was recorded must not be undone by a crash, however fast the database's other commits may be. And a leader whose machine is
// gone without a word must not lead for as long as the system's keepalive lasts: the server gives it up after it has given up itself. In a
// deadlock with a user's transaction it is us who give way: before deadlock_timeout (1 s) ends theirs.
const SETTINGS: &str = "SELECT pg_catalog.set_config('synchronous_commit', 'on', false) WHERE pg_catalog.current_setting('synchronous_commit') = 'off'; SET tcp_keepalives_idle = 6; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; SET tcp_user_timeout = '12s'; SET statement_timeout = 0; SET lock_timeout = '750ms'; SET idle_in_transaction_session_timeout = 0; SET jit = off";
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_catalog.set_config('synchronous_commit', 'on', true) WHERE pg_catalog.current_setting('synchronous_commit') = 'off'; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '750ms'; SET LOCAL jit = off";

/// How sessions reach their server process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is ours.
    Own,
    /// A pooler lends us one for each transaction.
    Lent,
}

/// What is known of the way, for those who connect next.
#[derive(Debug, Default)]
pub struct KnownWay(AtomicBool);

impl KnownWay {
    /// What was found out last.
    #[must_use]
    pub fn get(&self) -> Way {
        if self.0.load(Ordering::Relaxed) { Way::Own } else { Way::Lent }
    }

    /// This was found out.
    pub fn set(&self, way: Way) {
        self.0.store(way == Way::Own, Ordering::Relaxed);
    }
}

/// What becomes of notifications to a session.
enum Hearing {
    Good,
    /// They do not arrive.
    None,
    /// The server refused to listen.
    Refused,
}

/// True when it was the connection that failed, or somebody ended it, and LISTEN did not fail itself.
fn is_lost(error: &tokio_postgres::Error) -> bool {
    error.code().is_none_or(|code| code.code().starts_with("57"))
}

impl Session {
    /// Connects and finds the way out; a session that is our own then listens to the wake-up channel.
    pub async fn explore(dsn: &Dsn) -> Result<Self, StoreError> {
        let mut session = Self::over(Line::open(dsn).await?);
        match session.hears(dsn).await? {
            Hearing::Good => {
                session.make_own().await?;
                within(SHORT, async { Ok(session.line.client.batch_execute("LISTEN webhook").await?) })
                    .await?;
            }
            Hearing::None => {}
            // Such an error ends a session of Postgres.
            Hearing::Refused => session = Self::over(Line::open(dsn).await?),
        }
        Ok(session)
    }

    /// Settings of our own, in place of what role and database may have set.
    pub(super) async fn make_own(&mut self) -> Result<(), StoreError> {
        within(SHORT, async { Ok(self.line.client.batch_execute(SETTINGS).await?) }).await?;
        self.way = Way::Own;
        Ok(())
    }

    /// Whether a notification reaches this session while it does nothing, which only one of its own can. Somebody else
    /// has to send it: what a session notifies itself of comes with its own answer, through any pooler.
    async fn hears(&self, dsn: &Dsn) -> Result<Hearing, StoreError> {
        let listen = format!("LISTEN {PROBE}");
        match timeout(SHORT, self.line.client.batch_execute(&listen)).await {
            Err(_) => return Err(StoreError::Timeout),
            Ok(Err(error)) if is_lost(&error) => return Err(error.into()),
            Ok(Err(error)) => {
                let error = StoreError::from(error);
                tracing::warn!(%error, "notifications cannot be listened to");
                return Ok(Hearing::Refused);
            }
            Ok(Ok(())) => {}
        }
        let other = Self::over(Line::open(dsn).await?);
        let token = self.line.token.to_string();
        other.rows(SHORT, "SELECT pg_catalog.pg_notify($1, $2)", &[&PROBE, &token]).await?;
        let heard = timeout(ECHO, self.line.echo.notified()).await.is_ok();
        // Lent, it is the process that listened, if we are lucky, and else one that does not mind.
        within(SHORT, async { Ok(self.line.client.batch_execute(&format!("UNLISTEN {PROBE}")).await?) })
            .await?;
        Ok(if heard { Hearing::Good } else { Hearing::None })
    }

    /// Calls a verb in a transaction that brings its settings along, in one go.
    pub(super) async fn lent_rows(
        &self,
        sql: &'static str,
        arguments: &[&dyn Argument],
    ) -> Result<Vec<Row>, StoreError> {
        let client = &self.line.client;
        let typed: Vec<_> = arguments.iter().map(|one| (*one as _, one.kind())).collect();
        let (begun, rows, committed) = tokio::join!(
            biased;
            client.batch_execute(BEGIN),
            client.query_typed(sql, &typed),
            client.batch_execute("COMMIT"),
        );
        begun?;
        let rows = rows?;
        committed?;
        Ok(rows)
    }
}
