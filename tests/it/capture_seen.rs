//! What capture has put into the outbox so far.

use webhook_tests::database::Database;
use webhook_tests::session::Session;

/// A database with a table `users` that nobody watches yet.
pub async fn users() -> Database<'static> {
    let db = Database::new().await;
    db.run("CREATE TABLE users (id int PRIMARY KEY, name text, role text, password text)").await;
    db
}

/// The same, watched as `user`; of a row only the id is sent.
pub async fn watched() -> Database<'static> {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id}')").await;
    db
}

/// Type and data of all events, in the order in which the relay reads them.
pub async fn seen(session: &Session) -> Vec<String> {
    session.rows("SELECT type || ' ' || data::text FROM webhook.events ORDER BY seq").await.concat()
}

/// The types alone.
pub async fn kinds(session: &Session) -> Vec<String> {
    session.rows("SELECT type FROM webhook.events ORDER BY seq").await.concat()
}

/// The ids in the events' data.
pub async fn ids(session: &Session) -> Vec<String> {
    session.rows("SELECT data->>'id' FROM webhook.events ORDER BY seq").await.concat()
}
