//! Tables that change after they are watched.

use crate::capture_seen::{seen, users};

#[tokio::test]
async fn a_renamed_excluded_column_stays_excluded() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id,password,role}', exclude => '{password}')")
        .await;
    let other = db.connect().await;
    other.run("INSERT INTO users VALUES (1, 'Ada', 'dev', 'hunter2')").await;
    db.run("ALTER TABLE users RENAME password TO pw; ALTER TABLE users RENAME role TO duty").await;
    other.run("INSERT INTO users VALUES (2, 'Bob', 'ops', 'hunter2')").await;
    db.run("ALTER TABLE users RENAME pw TO pw2; ALTER TABLE users RENAME name TO password").await;
    other
        .run("INSERT INTO users VALUES (3, 'Eve', 'ops', 'hunter2'); UPDATE users SET pw2 = 'hunter3'")
        .await;
    let expected = [
        r#"user.created {"id":1,"role":"dev"}"#,
        r#"user.created {"id":2,"duty":"ops"}"#,
        r#"user.created {"id":3,"duty":"ops"}"#,
    ];
    assert_eq!(seen(&db).await, expected, "also when another column takes its old name");
    assert_eq!(
        db.rows("SELECT columns::text, exclude::text FROM webhook_sources()").await.concat(),
        ["{id,pw2,duty}", "{pw2}"]
    );
}

#[tokio::test]
async fn keys_accounts_names_and_conditions_follow_renames() {
    let db = users().await;
    db.run(
        r#"SELECT webhook_watch('users', 'user', '{update}', key => '{name}', account_column => 'role', columns => '{id}',
                                update_of => '{password}', names => '{"update": {"password": "secret_changed"}}',
                                "when" => 'NEW.id < 10')"#,
    )
    .await;
    db.run("INSERT INTO users VALUES (1, 'Ada', 'acme', 'x'), (20, 'Bob', 'acme', 'x')").await;
    for (old, new) in [("id", "no"), ("name", "login"), ("role", "tenant"), ("password", "pw")] {
        db.run(&format!("ALTER TABLE users RENAME {old} TO {new}")).await;
    }
    db.run("UPDATE users SET pw = 'y'; UPDATE users SET login = 'z'").await;
    let events = db.rows("SELECT type, data, key, account FROM webhook.events").await.concat();
    assert_eq!(events, ["user.secret_changed", r#"{"no":1}"#, "Ada", "acme"]);
}

#[tokio::test]
async fn maintenance_keeps_the_names_that_a_dump_will_have() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', exclude => '{password}', account_column => 'role')").await;
    db.run("ALTER TABLE users RENAME password TO pw; ALTER TABLE users DROP role").await;
    db.run("SELECT webhook._relay_maintain()").await;
    let stored = db.rows("SELECT exclude::text, account_column FROM webhook.sources").await.concat();
    assert_eq!(stored, ["{pw}", ""]);
    // As after a restore: numbers of another cluster.
    db.run("UPDATE webhook.sources SET numbers = '{\"pw\": 1}', numbers_of = 'elsewhere'").await;
    db.run("INSERT INTO users VALUES (1, 'Ada', 'hunter2')").await;
    assert_eq!(seen(&db).await, [r#"user.created {"id":1,"name":"Ada"}"#]);
}

#[tokio::test]
async fn a_restored_source_whose_excluded_column_is_unknown_refuses_rather_than_leaks() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', exclude => '{password}')").await;
    db.run("ALTER TABLE users RENAME password TO pw; UPDATE webhook.sources SET numbers_of = 'elsewhere'")
        .await;
    let refused = db.refusal("INSERT INTO users VALUES (1, 'Ada', 'dev', 'hunter2')").await;
    assert_eq!(refused.code, "55000");
    assert!(refused.message.contains("password") && refused.hint.contains("webhook_watch"), "{refused:?}");
    db.run("SELECT webhook._relay_maintain(), webhook_watch('users', 'user', exclude => '{pw}')").await;
    db.run("INSERT INTO users VALUES (1, 'Ada', 'dev', 'hunter2')").await;
    assert_eq!(seen(&db).await, [r#"user.created {"id":1,"name":"Ada","role":"dev"}"#]);
}

#[tokio::test]
async fn added_dropped_and_retyped_columns_are_sent_as_they_are_now() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', exclude => '{password}')").await;
    let other = db.connect().await;
    other.run("INSERT INTO users VALUES (1, 'Ada', 'dev', 'x')").await;
    db.run("ALTER TABLE users ADD age int DEFAULT 42, DROP role, ALTER id TYPE text").await;
    other.run("UPDATE users SET name = 'Eve'; INSERT INTO users VALUES ('two', 'Bob', 'x', 7)").await;
    let expected = [
        r#"user.created {"id":1,"name":"Ada","role":"dev"}"#,
        r#"user.updated {"id":"1","name":"Eve","age":42}"#,
        r#"user.created {"id":"two","name":"Bob","age":7}"#,
    ];
    assert_eq!(seen(&db).await, expected);
}

#[tokio::test]
async fn an_excluded_column_that_is_dropped_and_made_again_stays_excluded() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id,password}', exclude => '{password}')")
        .await;
    db.run("ALTER TABLE users DROP password; ALTER TABLE users ADD password varchar(99)").await;
    db.run("INSERT INTO users VALUES (1, 'Ada', 'dev', 'hunter2')").await;
    db.run("SELECT webhook._relay_maintain(); ALTER TABLE users RENAME password TO pw").await;
    db.run("INSERT INTO users VALUES (2, 'Bob', 'dev', 'hunter2')").await;
    db.run("SELECT webhook._relay_maintain(); ALTER TABLE users DROP pw; SELECT webhook._relay_maintain()")
        .await;
    assert_eq!(db.value("SELECT exclude FROM webhook_sources()").await, "{pw}");
    // As after a restore: that it was dropped is known, so nothing is refused.
    db.run("UPDATE webhook.sources SET numbers_of = 'elsewhere'; INSERT INTO users VALUES (3, 'Eve', 'dev')")
        .await;
    db.run("ALTER TABLE users ADD pw text; INSERT INTO users VALUES (4, 'Zed', 'dev', 'hunter2')").await;
    assert_eq!(seen(&db).await.concat().replace("user.created ", ""), r#"{"id":1}{"id":2}{"id":3}{"id":4}"#);
}

#[tokio::test]
async fn a_column_that_a_condition_needs_cannot_be_dropped_unnoticed() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', '{update}', update_of => '{role}')").await;
    assert_eq!(db.refusal("ALTER TABLE users DROP role").await.code, "2BP01");
}

#[tokio::test]
async fn columns_that_appear_in_the_same_transaction_are_sent() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id}')").await;
    db.run("SELECT webhook_watch('users', 'all', exclude => '{password}')").await;
    db.run(
        "BEGIN; INSERT INTO users VALUES (1); ALTER TABLE users ADD age int; UPDATE users SET age = 3, name = 'Ada';
         ROLLBACK; INSERT INTO users VALUES (2)",
    )
    .await;
    let expected = [r#"all.created {"id":2,"name":null,"role":null}"#, r#"user.created {"id":2}"#];
    let mut events = seen(&db).await;
    events.sort();
    assert_eq!(events, expected, "and forgotten with it");
}

#[tokio::test]
async fn renaming_or_moving_the_table_changes_nothing() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id}')").await;
    db.run("ALTER TABLE users RENAME TO members; CREATE SCHEMA app; ALTER TABLE members SET SCHEMA app")
        .await;
    db.run("INSERT INTO app.members VALUES (1)").await;
    assert_eq!(seen(&db).await, [r#"user.created {"id":1}"#]);
    assert_eq!(db.value("SELECT name FROM webhook_sources()").await, "app.members");
    db.run("SELECT webhook_unwatch('app.members'); INSERT INTO app.members VALUES (2)").await;
    assert_eq!(seen(&db).await.len(), 1);
}

#[tokio::test]
async fn a_table_dropped_and_made_again_is_another_table() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user')").await;
    db.run("DROP TABLE users; CREATE TABLE users (id int); INSERT INTO users VALUES (1)").await;
    assert_eq!(seen(&db).await.len(), 0);
    db.run("SELECT webhook_watch('users', 'user'); INSERT INTO users VALUES (2)").await;
    assert_eq!(seen(&db).await, [r#"user.created {"id":2}"#]);
}
