//! A database session that speaks in texts, as psql does.

use std::future::poll_fn;
use std::ops::Deref;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

use crate::leaks;
use crate::until::until;

/// One session. Every value is the text that Postgres prints, NULL is the empty string.
#[derive(Debug)]
pub struct Session(Client);

/// An error of the database, as an API's user sees it.
#[derive(Debug)]
pub struct Refusal {
    /// SQLSTATE.
    pub code: String,
    /// The message.
    pub message: String,
    /// The hint, empty if there is none.
    pub hint: String,
}

/// A session that only listens.
#[derive(Debug)]
pub struct Listener {
    _session: Session,
    notified: UnboundedReceiver<String>,
}

impl Listener {
    /// The channels of the notifications that came before the next one on `marker`, which `session` sends.
    ///
    /// # Panics
    /// If the server goes away.
    pub async fn heard_before(&mut self, session: &Session, marker: &str) -> Vec<String> {
        session.run(&format!("NOTIFY {marker}")).await;
        let mut heard = Vec::new();
        loop {
            match self.notified.recv().await.expect("a notification") {
                channel if channel == marker => return heard,
                channel => heard.push(channel),
            }
        }
    }
}

impl Session {
    /// Connects.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn open(url: &str) -> Self {
        Self::try_open(url).await.unwrap_or_else(|error| panic!("cannot connect to {url}: {error}"))
    }

    /// Connects, unless the server refuses.
    pub async fn try_open(url: &str) -> Result<Self, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        Ok(Self(client))
    }

    /// A session that listens on these channels.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn listen(url: &str, channels: &[&str]) -> Listener {
        let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.expect("connect");
        let (heard, notified) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(notification) = message {
                    let _ = heard.send(notification.channel().to_owned());
                }
            }
        });
        let session = Self(client);
        for channel in channels {
            session.run(&format!("LISTEN {channel}")).await;
        }
        Listener { _session: session, notified }
    }

    /// Runs statements.
    ///
    /// # Panics
    /// If one fails.
    pub async fn run(&self, sql: &str) {
        self.rows(sql).await;
    }

    /// The rows of a query.
    ///
    /// # Panics
    /// If it fails.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.try_rows(sql).await.unwrap_or_else(|error| panic!("{}\nin: {sql}", describe(&error)))
    }

    /// The rows of a query, or why there are none.
    pub async fn try_rows(&self, sql: &str) -> Result<Vec<Vec<String>>, tokio_postgres::Error> {
        leaks::learn(sql);
        let messages = self.0.simple_query(sql).await?;
        let text =
            |row: &tokio_postgres::SimpleQueryRow, column| row.get(column).unwrap_or_default().to_string();
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|column| text(&row, column)).collect()),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }

    /// The one value of a query.
    ///
    /// # Panics
    /// If it fails or returns another number of rows than one.
    pub async fn value(&self, sql: &str) -> String {
        let mut rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "one row expected of: {sql}");
        rows.remove(0).remove(0)
    }

    /// The error that a statement must raise.
    ///
    /// # Panics
    /// If it does not fail.
    pub async fn refusal(&self, sql: &str) -> Refusal {
        let error = self.try_rows(sql).await.expect_err(&format!("should fail: {sql}"));
        let error = error.as_db_error().unwrap_or_else(|| panic!("not an error of the database: {error}"));
        Refusal {
            code: error.code().code().into(),
            message: error.message().into(),
            hint: error.hint().unwrap_or_default().into(),
        }
    }

    /// Waits until the query's one value is `expected`; no row yet is no value yet.
    ///
    /// # Panics
    /// If it never is; says what it was last.
    pub async fn until(&self, sql: &str, expected: &str) {
        until(&format!("{expected} from {sql}"), async || {
            let rows = self.rows(sql).await.concat();
            if rows == [expected] { Ok(()) } else { Err(format!("{rows:?}")) }
        })
        .await;
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

fn describe(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || error.to_string(),
        |error| {
            let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
            format!("{}: {}{hint}", error.code().code(), error.message())
        },
    )
}
