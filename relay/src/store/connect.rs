//! Connecting: the servers one after the other, with as much TLS as is wanted, until one is what is wanted.

use std::error::Error as _;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Error, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{SHORT, StoreError, within};
use crate::dsn::{Dsn, Mode, Server, Wanted};

/// For one server, when there are others to try.
const ONE_OF_MANY: Duration = Duration::from_secs(2);

/// The channel on which a session is tried out; what comes on any other wakes the relay.
pub(super) const PROBE: &str = "webhook_probe";

/// An open connection and the task that drives it, which ends with it.
pub(super) struct Line {
    pub(super) client: Client,
    /// Somebody rang.
    pub(super) rings: Arc<Notify>,
    /// Our own token came back.
    pub(super) echo: Arc<Notify>,
    pub(super) token: u64,
    cancel: CancelToken,
    tls: MakeRustlsConnect,
    driver: JoinHandle<()>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Line {
    /// Asks the server to stop what it does for this connection. It would go on otherwise: a commit that waits for a standby does
    /// not notice that nobody waits for it, and keeps its session.
    pub(super) fn give_up(&self) {
        let (cancel, tls) = (self.cancel.clone(), self.tls.clone());
        tokio::spawn(async move { timeout(SHORT, cancel.cancel_query(tls)).await });
    }

    /// Connects to the first server that is what is wanted.
    pub(super) async fn open(dsn: &Dsn) -> Result<Self, StoreError> {
        let servers = dsn.servers();
        let usual = if servers.len() > 1 { ONE_OF_MANY } else { SHORT };
        let limit = dsn.connect_timeout().unwrap_or(usual);
        let mut refusals = Vec::new();
        for server in &servers {
            match within(limit, Self::open_one(dsn, server)).await {
                Ok(line) => return Ok(line),
                Err(error) if servers.len() == 1 => return Err(error),
                Err(StoreError::Lost(why)) => refusals.push(format!("{server}: {why}")),
                Err(error) => refusals.push(format!("{server}: {error}")),
            }
        }
        Err(StoreError::Lost(refusals.join("; ")))
    }

    async fn open_one(dsn: &Dsn, server: &Server) -> Result<Self, StoreError> {
        let line = match dsn.encryption.mode {
            _ if server.is_local() => Self::dial(dsn, server, SslMode::Disable).await?,
            Mode::Disable => Self::dial(dsn, server, SslMode::Disable).await?,
            Mode::Allow => match Self::dial(dsn, server, SslMode::Disable).await {
                Err(error) if is_unwelcome(&error) => Self::dial(dsn, server, SslMode::Require).await?,
                result => result?,
            },
            Mode::Prefer => match Self::dial(dsn, server, SslMode::Prefer).await {
                Err(error) if is_unwelcome(&error) || is_tls(&error) => {
                    Self::dial(dsn, server, SslMode::Disable).await?
                }
                result => result?,
            },
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => {
                Self::dial(dsn, server, SslMode::Require).await?
            }
        };
        line.is(dsn.wanted).await?;
        Ok(line)
    }

    async fn dial(dsn: &Dsn, server: &Server, mode: SslMode) -> Result<Self, Error> {
        let mut config = dsn.config(server);
        config.ssl_mode(mode);
        let tls = MakeRustlsConnect::new(dsn.encryption.settings.clone());
        let (client, mut connection) = config.connect(tls.clone()).await?;
        let token: u64 = rand::random();
        let (rings, echo) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (bell, echoed, awaited) = (rings.clone(), echo.clone(), token.to_string());
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                match message {
                    AsyncMessage::Notification(heard) if heard.channel() != PROBE => bell.notify_one(),
                    AsyncMessage::Notification(heard) if heard.payload() == awaited => echoed.notify_one(),
                    _ => {}
                }
            }
        });
        let cancel = client.cancel_token();
        Ok(Self { client, rings, echo, token, cancel, tls, driver })
    }

    /// Asks the server whether it is what is wanted.
    async fn is(&self, wanted: Wanted) -> Result<(), StoreError> {
        let (question, refusal) = match wanted {
            Wanted::Any => return Ok(()),
            Wanted::ReadWrite => ("SHOW transaction_read_only", "the server is read-only"),
            Wanted::Primary => (
                "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'on' ELSE 'off' END",
                "the server is a standby",
            ),
        };
        let answer = self.client.simple_query(question).await?;
        let is_off = |message: &SimpleQueryMessage| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("off"));
        match answer.iter().any(is_off) {
            true => Ok(()),
            false => Err(StoreError::Lost(refusal.to_owned())),
        }
    }
}

/// True when `pg_hba.conf` does not let us in this way: perhaps the other way, with TLS or without.
fn is_unwelcome(error: &Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

/// True when the two sides found no way to encrypt.
fn is_tls(error: &Error) -> bool {
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    io.and_then(std::io::Error::get_ref).and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}
