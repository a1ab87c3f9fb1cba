//! Sources come through `pg_dump`, into a database where oids and numbers of columns are others.

use std::process::Stdio;

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;
use webhook_tests::session::Session;

use crate::capture_seen::seen;

/// A session in a new database with what `pg_dump` keeps of `db`; `None` where there is no `pg_dump` for this server.
pub async fn restored(db: &Database<'_>) -> Option<Session> {
    let cluster = Cluster::shared().await;
    let name = format!("{}_restored", db.name());
    let server = db.value("SELECT current_setting('server_version_num')::int / 10000").await;
    let version = cluster.program("pg_dump").arg("--version").output().ok()?;
    if !String::from_utf8_lossy(&version.stdout).contains(&format!(" {server}.")) {
        return None;
    }
    cluster.connect("postgres").await.run(&format!("CREATE DATABASE {name}")).await;
    let mut dump =
        cluster.program("pg_dump").arg(db.name()).stdout(Stdio::piped()).spawn().expect("start pg_dump");
    let text = dump.stdout.take().expect("its output");
    let mut psql = cluster.program("psql");
    psql.args(["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-d", &name])
        .stdin(text)
        .stdout(Stdio::null());
    let output =
        psql.stderr(Stdio::piped()).spawn().expect("start psql").wait_with_output().expect("psql ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(dump.wait().expect("pg_dump ends").success());
    Some(cluster.connect(&name).await)
}

#[tokio::test]
async fn a_restored_table_captures_as_the_first_did() {
    let db = Database::new().await;
    // The dropped columns make the numbers of the others differ after a restore.
    db.run(
        r#"CREATE TABLE users (junk int, password text, more int, id int PRIMARY KEY, name text, tenant text);
           ALTER TABLE users DROP junk, DROP more;
           SELECT webhook_watch('users', 'user', exclude => '{password,tenant}', account_column => 'tenant',
                                update_of => '{name,password}', "when" => 'NEW.id > 0', previous => true,
                                names => '{"update": {"password": "password_changed"}}');
           INSERT INTO users VALUES ('hunter2', 1, 'Ada', 'acme')"#,
    )
    .await;
    let Some(copy) = restored(&db).await else { return };
    assert_eq!(
        seen(&copy).await,
        [r#"user.created {"id":1,"name":"Ada"}"#],
        "the outbox came too, and only once"
    );
    copy.run("UPDATE users SET password = 'hunter3'; INSERT INTO users VALUES ('hunter2', 2, 'Bob', 'acme')")
        .await;
    let events =
        copy.rows("SELECT type, data, key, account, previous FROM webhook.events ORDER BY created_at").await;
    assert_eq!(events[1], ["user.password_changed", r#"{"id":1,"name":"Ada"}"#, "1", "acme", "{}"]);
    assert_eq!(events[2], ["user.created", r#"{"id":2,"name":"Bob"}"#, "2", "acme", ""]);
    copy.run("SELECT webhook._relay_maintain(); ALTER TABLE users RENAME password TO pw").await;
    copy.run("INSERT INTO users VALUES ('hunter2', 3, 'Eve', 'acme')").await;
    assert_eq!(
        copy.value("SELECT data FROM webhook.events ORDER BY created_at DESC LIMIT 1").await,
        r#"{"id":3,"name":"Eve"}"#
    );
    copy.run("SELECT webhook_unwatch('users'); INSERT INTO users (id) VALUES (4)").await;
    assert_eq!(copy.value("SELECT count(*) FROM webhook.events").await, "4");
}

#[tokio::test]
async fn a_source_of_a_dropped_table_does_not_stop_a_restore() {
    let db = Database::new().await;
    db.run("CREATE TABLE a (id int); CREATE TABLE b (id int); SELECT webhook_watch('a', 'a'), webhook_watch('b', 'b')").await;
    db.run("DROP TABLE a").await;
    let Some(copy) = restored(&db).await else { return };
    copy.run("INSERT INTO b VALUES (1)").await;
    assert_eq!(seen(&copy).await, [r#"b.created {"id":1}"#]);
}
