//! The options of `webhook_watch`, one by one.

use crate::capture_seen::{kinds, seen, users};

#[tokio::test]
async fn update_of_emits_only_if_one_of_the_columns_changes() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', update_of => '{name,role}', columns => '{id,name}')").await;
    db.run("INSERT INTO users VALUES (1, 'Ada', 'dev', 'x')").await;
    db.run("UPDATE users SET password = 'y'").await;
    db.run("UPDATE users SET name = name, password = 'z'").await;
    db.run("UPDATE users SET name = 'Ada L.'").await;
    let expected = [r#"user.created {"id":1,"name":"Ada"}"#, r#"user.updated {"id":1,"name":"Ada L."}"#];
    assert_eq!(seen(&db).await, expected, "not for naming a column in SET: for changing it");
}

#[tokio::test]
async fn update_of_sees_what_a_before_trigger_changes() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', '{update}', update_of => '{role}', columns => '{role}')")
        .await;
    db.run(
        "CREATE FUNCTION promote() RETURNS trigger LANGUAGE plpgsql
             AS 'BEGIN NEW.role := upper(NEW.role); RETURN NEW; END';
         CREATE TRIGGER promote BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION promote()",
    )
    .await;
    db.run("INSERT INTO users VALUES (1, 'Ada', 'dev', 'x')").await;
    db.run("UPDATE users SET name = 'Ada L.'").await;
    assert_eq!(seen(&db).await, [r#"user.updated {"role":"DEV"}"#]);
}

#[tokio::test]
async fn update_of_takes_columns_without_an_equality_operator() {
    let db = users().await;
    db.run("CREATE TABLE docs (id int PRIMARY KEY, body json, place point, page jsonpath, n int)").await;
    db.run("SELECT webhook_watch('docs', 'doc', '{update}', update_of => '{body,place,page}', columns => '{id,n}')")
        .await;
    db.run("INSERT INTO docs VALUES (1, '{\"a\":1}', '(1,2)', '$.a', 0)").await;
    db.run("UPDATE docs SET body = '{\"a\":1}', place = '(1,2)', page = '$.a', n = 1").await;
    db.run("UPDATE docs SET body = '{\"a\": 1}', n = 2").await;
    db.run("UPDATE docs SET place = NULL, n = 3").await;
    assert_eq!(seen(&db).await, [r#"doc.updated {"id":1,"n":2}"#, r#"doc.updated {"id":1,"n":3}"#]);
}

#[tokio::test]
async fn names_rename_the_operations() {
    let db = users().await;
    db.run(
        r#"SELECT webhook_watch('users', 'team.member',
                                names => '{"insert": "added", "update": "changed", "delete": "removed"}')"#,
    )
    .await;
    db.run("INSERT INTO users VALUES (1); UPDATE users SET name = 'Ada'; DELETE FROM users").await;
    assert_eq!(kinds(&db).await, ["team.member.added", "team.member.changed", "team.member.removed"]);
    let known =
        "SELECT count(*) FROM webhook_event_types() WHERE type ~ '^team.member.(added|changed|removed)$'";
    assert_eq!(db.value(known).await, "3", "and the catalogue knows them");
}

#[tokio::test]
async fn a_named_column_turns_its_change_into_an_event_of_that_name() {
    let db = users().await;
    db.run(
        r#"SELECT webhook_watch('users', 'team.member', '{update}', columns => '{id,name,role}',
                                names => '{"update": {"role": "role_changed", "name": "renamed", "id": "renamed"}}')"#,
    )
    .await;
    db.run("INSERT INTO users VALUES (1, 'Ada', 'dev', 'x')").await;
    db.run("UPDATE users SET role = 'lead'").await;
    assert_eq!(seen(&db).await, [r#"team.member.role_changed {"id":1,"name":"Ada","role":"lead"}"#]);
    db.run("TRUNCATE webhook.events; UPDATE users SET id = 2, name = 'Eve', role = 'dev'").await;
    assert_eq!(kinds(&db).await, ["team.member.renamed", "team.member.role_changed"], "each name once");
}

#[tokio::test]
async fn a_change_of_other_columns_besides_a_named_one_is_an_update_too() {
    let db = users().await;
    db.run(r#"SELECT webhook_watch('users', 'user', '{update}', names => '{"update": {"role": "role_changed"}}')"#)
        .await;
    db.run("INSERT INTO users VALUES (1, 'Ada', 'dev', 'x')").await;
    db.run("UPDATE users SET name = 'Ada L.', role = 'lead'").await;
    assert_eq!(kinds(&db).await, ["user.role_changed", "user.updated"]);
}

#[tokio::test]
async fn an_excluded_column_can_name_an_event_without_being_in_it() {
    let db = users().await;
    db.run(
        r#"SELECT webhook_watch('users', 'user', exclude => '{password}', previous => true,
                                names => '{"update": {"password": "password_changed"}}')"#,
    )
    .await;
    db.run("INSERT INTO users VALUES (1, 'Ada', 'dev', 'x')").await;
    db.run("UPDATE users SET password = 'y'").await;
    let events = db.rows("SELECT type, data, previous FROM webhook.events ORDER BY seq").await;
    assert_eq!(events[1], ["user.password_changed", r#"{"id":1,"name":"Ada","role":"dev"}"#, "{}"]);
}

#[tokio::test]
async fn the_key_is_the_primary_key_unless_another_is_given() {
    let db = users().await;
    db.run("CREATE TABLE lines (invoice int, line int, note text, PRIMARY KEY (line, invoice))").await;
    db.run("CREATE TABLE logs (note text)").await;
    db.run(
        "SELECT webhook_watch('users', 'user'), webhook_watch('lines', 'line'), webhook_watch('logs', 'log'),
                webhook_watch('users', 'other', key => '{role,name}')",
    )
    .await;
    db.run("INSERT INTO users VALUES (7, 'Ada', 'dev'), (8, NULL, 'dev')").await;
    db.run("INSERT INTO lines VALUES (10, 2, 'x'); INSERT INTO logs VALUES ('x')").await;
    let keys = db.rows("SELECT type, coalesce(key, 'none') FROM webhook.events ORDER BY type, seq").await;
    let expected = [
        ["line.created", "[2,10]"],
        ["log.created", "none"],
        ["other.created", r#"["dev","Ada"]"#],
        ["other.created", "none"],
        ["user.created", "7"],
        ["user.created", "8"],
    ];
    assert_eq!(keys, expected, "in the key's order; none when a part of it is null");
}

#[tokio::test]
async fn a_key_never_holds_an_excluded_column() {
    let db = users().await;
    let refused = db
        .refusal("SELECT webhook_watch('users', 'user', key => '{password}', exclude => '{password}')")
        .await;
    assert_eq!(refused.code, "22023");
    assert!(refused.message.contains("password"), "{refused:?}");
    db.run("SELECT webhook_watch('users', 'user', exclude => '{id}')").await;
    db.run("INSERT INTO users (id, name) VALUES (7, repeat('x', 2000000)), (8, 'Ada')").await;
    assert_eq!(db.value("SELECT count(key) FROM webhook.events").await, "0");
    assert_eq!(seen(&db).await[0], r#"user.created {"oversize":true,"key":{}}"#);
}

#[tokio::test]
async fn a_long_key_is_kept_as_its_digest() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', key => '{name}')").await;
    db.run("INSERT INTO users VALUES (1, repeat('x', 5000)), (2, repeat('x', 5000)), (3, repeat('y', 5000))")
        .await;
    let keys = db.rows("SELECT key FROM webhook.events ORDER BY seq").await.concat();
    assert!(keys[0].starts_with("sha256:") && keys[0].len() == 71, "{keys:?}");
    assert!(keys[0] == keys[1] && keys[1] != keys[2], "{keys:?}");
}

#[tokio::test]
async fn the_account_column_is_the_events_tenant() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', account_column => 'role', exclude => '{role}')").await;
    db.run("SET webhook.account = 'default'").await;
    db.run("INSERT INTO users VALUES (1, 'Ada', 'acme'), (2, 'Bob', ''), (3, 'Eve', NULL)").await;
    db.run("UPDATE users SET role = 'evil' WHERE id = 1; DELETE FROM users WHERE id = 1").await;
    let accounts = db.rows("SELECT account FROM webhook.events ORDER BY seq").await.concat();
    assert_eq!(accounts, ["acme", "default", "default", "evil", "evil"], "the new tenant hears of the move");
}

#[tokio::test]
async fn previous_has_the_old_values_of_what_changed_and_nothing_else() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', previous => true, exclude => '{password}')").await;
    db.run("INSERT INTO users VALUES (1, 'Ada', NULL, 'x')").await;
    db.run("UPDATE users SET role = 'dev', name = 'Ada L.', password = 'y'").await;
    db.run("DELETE FROM users").await;
    let previous = db.rows("SELECT type, previous FROM webhook.events ORDER BY seq").await;
    let expected =
        [["user.created", ""], ["user.updated", r#"{"name":"Ada","role":null}"#], ["user.deleted", ""]];
    assert_eq!(previous, expected);
}

#[tokio::test]
async fn unknown_columns_and_options_are_refused_by_name() {
    let db = users().await;
    for (arguments, names) in [
        ("columns => '{nope}'", "nope"),
        ("exclude => '{nope}'", "nope"),
        ("update_of => '{nope}'", "nope"),
        ("key => '{nope}'", "nope"),
        ("account_column => 'nope'", "nope"),
        (r#"names => '{"update": {"nope": "x"}}'"#, "nope"),
        (r#"names => '{"insert": "Bad Name"}'"#, "Bad Name"),
        (r#"names => '{"upsert": "x"}'"#, "upsert"),
        (r#"names => '{"insert": 1}'"#, "1"),
        ("operations => '{upsert}'", "upsert"),
        ("operations => '{}'", "operations"),
        ("on_error => 'ignore'", "ignore"),
    ] {
        let refused = db.refusal(&format!("SELECT webhook_watch('users', 'user', {arguments})")).await;
        assert_eq!(refused.code, "22023", "{arguments}: {refused:?}");
        assert!(refused.message.contains(names) && !refused.hint.is_empty(), "{arguments}: {refused:?}");
    }
    assert_eq!(db.value("SELECT count(*) FROM webhook.sources").await, "0");
}
