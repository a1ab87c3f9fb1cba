//! Sources: what they say of themselves, pausing, several on one table, and what outlives them.

use webhook_tests::session::Session;

use crate::capture_seen::{kinds, seen, users, watched};

#[tokio::test]
async fn a_paused_source_is_silent_in_every_session_until_it_is_resumed() {
    let db = users().await;
    let source = db.value("SELECT webhook_watch('users', 'user', columns => '{id}')").await;
    let other = db.connect().await;
    other.run("INSERT INTO users VALUES (1)").await;
    db.run(&format!("SELECT webhook_pause('{source}')")).await;
    other.run("INSERT INTO users VALUES (2)").await;
    assert_eq!(db.value("SELECT status FROM webhook_sources()").await, "paused");
    db.run(&format!("SELECT webhook_resume('{source}')")).await;
    other.run("INSERT INTO users VALUES (3)").await;
    assert_eq!(seen(&db).await, [r#"user.created {"id":1}"#, r#"user.created {"id":3}"#]);
}

#[tokio::test]
async fn a_pause_that_is_rolled_back_is_none() {
    let db = users().await;
    let source = db.value("SELECT webhook_watch('users', 'user', columns => '{id}')").await;
    db.run(&format!("BEGIN; SELECT webhook_pause('{source}'); INSERT INTO users VALUES (1); ROLLBACK")).await;
    db.run("INSERT INTO users VALUES (2)").await;
    assert_eq!(seen(&db).await, [r#"user.created {"id":2}"#]);
}

#[tokio::test]
async fn pausing_an_unknown_source_is_refused_by_name() {
    let db = users().await;
    for verb in ["pause", "resume"] {
        let refused = db.refusal(&format!("SELECT webhook_{verb}('src_nope')")).await;
        assert!(refused.code == "42704" && refused.message.contains("src_nope"), "{refused:?}");
    }
}

#[tokio::test]
async fn capture_can_be_off_for_a_session_and_on_again() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id}')").await;
    db.run("SET webhook.enabled = off; INSERT INTO users VALUES (1)").await;
    db.run("SET webhook.enabled = on; INSERT INTO users VALUES (2)").await;
    db.run("BEGIN; SET LOCAL webhook.enabled = off; INSERT INTO users VALUES (3); COMMIT; INSERT INTO users VALUES (4)")
        .await;
    assert_eq!(seen(&db).await, [r#"user.created {"id":2}"#, r#"user.created {"id":4}"#]);
}

#[tokio::test]
async fn one_table_can_be_two_resources() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id}')").await;
    db.run("SELECT webhook_watch('users', 'audit.account', '{delete}', columns => '{id,name}')").await;
    db.run("INSERT INTO users VALUES (1, 'Ada'); DELETE FROM users").await;
    let mut events = seen(&db).await;
    events.sort();
    let expected = [
        r#"audit.account.deleted {"id":1,"name":"Ada"}"#,
        r#"user.created {"id":1}"#,
        r#"user.deleted {"id":1}"#,
    ];
    assert_eq!(events, expected);
    db.run("TRUNCATE webhook.events; SELECT webhook_unwatch('users', 'user')").await;
    db.run("INSERT INTO users VALUES (1, 'Ada'); DELETE FROM users").await;
    assert_eq!(kinds(&db).await, ["audit.account.deleted"], "and ending one leaves the other");
}

#[tokio::test]
async fn two_resources_with_long_names_do_not_share_triggers() {
    let db = users().await;
    let (one, two) = ("a".repeat(60), format!("{}b", "a".repeat(59)));
    db.run(&format!(
        "SELECT webhook_watch('users', '{one}', '{{insert}}'), webhook_watch('users', '{two}', '{{insert}}')"
    ))
    .await;
    db.run("INSERT INTO users VALUES (1)").await;
    let mut events = kinds(&db).await;
    events.sort();
    assert_eq!(events, [format!("{one}.created"), format!("{two}.created")]);
    db.run(&format!("SELECT webhook_unwatch('users', '{one}'); INSERT INTO users VALUES (2)")).await;
    assert_eq!(kinds(&db).await.len(), 3);
}

#[tokio::test]
async fn watching_again_replaces_the_options_and_keeps_the_id() {
    let db = users().await;
    let first = db.value("SELECT webhook_watch('users', 'user')").await;
    let again = db.value("SELECT webhook_watch('users', 'user', '{insert}', columns => '{id}')").await;
    assert_eq!(first, again);
    db.run("INSERT INTO users VALUES (1, 'Ada'); DELETE FROM users").await;
    assert_eq!(seen(&db).await, [r#"user.created {"id":1}"#]);
}

#[tokio::test]
async fn a_source_says_in_words_what_it_does() {
    let db = users().await;
    let source = db
        .value(
            r#"SELECT webhook_watch('users', 'user', '{update,insert}', exclude => '{password}', update_of => '{role}',
                   "when" => 'NEW.id > 0', names => '{"update": {"role": "role_changed"}}', key => '{name}',
                   account_column => 'name', previous => true, on_error => 'warn')"#,
        )
        .await;
    let words = db.value("SELECT description FROM webhook_sources()").await;
    let expected = "Every insert, update of public.users emits user.created, user.role_changed, user.updated, updates only of \
                    role, when NEW.id > 0; sends all columns without password, and of updates the previous values; ordered by \
                    name; account from name; an event that cannot be made is lost with a warning.";
    assert_eq!(words, expected);
    db.run(&format!("SELECT webhook_pause('{source}')")).await;
    assert!(db.value("SELECT description FROM webhook_sources()").await.ends_with("Paused."));
}

#[tokio::test]
async fn a_dropped_tables_source_says_so_until_maintenance_forgets_it() {
    let db = users().await;
    let source = db.value("SELECT webhook_watch('users', 'user', exclude => '{password}')").await;
    db.run("DROP TABLE users").await;
    let row = db.rows("SELECT name, description, event_types::text FROM webhook_sources()").await.concat();
    assert_eq!(
        row,
        ["public.users", "Table public.users was dropped.", "{user.created,user.deleted,user.updated}"]
    );
    db.run(&format!("SELECT webhook_pause('{source}'), webhook_resume('{source}')")).await;
    db.run("SELECT webhook._relay_maintain()").await;
    assert_eq!(db.value("SELECT count(*) FROM webhook_sources()").await, "0");
}

#[tokio::test]
async fn a_trigger_of_an_unknown_source_refuses_rather_than_sends_what_it_excluded() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', exclude => '{password}')").await;
    db.run("DELETE FROM webhook.sources").await;
    let refused = db.refusal("INSERT INTO users VALUES (1, 'Ada', 'dev', 'x')").await;
    assert_eq!(refused.code, "55000");
    assert!(refused.hint.contains("webhook_watch"), "{refused:?}");
}

#[tokio::test]
async fn a_trigger_made_by_hand_must_name_a_resource_that_can_be_a_type() {
    let db = users().await;
    db.run("CREATE TRIGGER a AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION webhook_capture('My User')")
        .await;
    let refused = db.refusal("INSERT INTO users VALUES (1)").await;
    assert!(refused.code == "22023" && refused.message.contains("My User"), "{refused:?}");
    for (trigger, message) in [
        ("AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION webhook_capture()", "resource"),
        ("BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION webhook_capture('user')", "AFTER"),
        ("AFTER INSERT ON users FOR EACH STATEMENT EXECUTE FUNCTION webhook_capture('user')", "EACH ROW"),
    ] {
        db.run(&format!("CREATE OR REPLACE TRIGGER a {trigger}")).await;
        let refused = db.refusal("INSERT INTO users VALUES (1)").await;
        assert!(refused.message.contains(message) && !refused.hint.is_empty(), "{trigger}: {refused:?}");
    }
}

/// What is said of the one source: its status, and which triggers are amiss.
async fn amiss(db: &Session) -> (String, Option<String>) {
    let source = db.rows("SELECT status, description FROM webhook_sources()").await.remove(0);
    let words =
        source[1].split_once(" BROKEN, disabled or dropped: ").and_then(|(_, rest)| rest.split_once(';'));
    (source[0].clone(), words.map(|(triggers, _)| triggers.to_owned()))
}

#[tokio::test]
async fn triggers_that_somebody_disabled_or_dropped_are_named() {
    let db = watched().await;
    for (change, captures, missing) in [
        ("DISABLE TRIGGER webhook_insert_user", false, "public.users webhook_insert_user"),
        ("ENABLE REPLICA TRIGGER webhook_insert_user", false, "public.users webhook_insert_user"),
        ("ENABLE ALWAYS TRIGGER webhook_insert_user", true, ""),
        (
            "DISABLE TRIGGER ALL",
            false,
            "public.users webhook_delete_user, public.users webhook_insert_user, public.users webhook_update_user",
        ),
        ("ENABLE TRIGGER ALL", true, ""),
    ] {
        db.run(&format!(
            "ALTER TABLE users {change}; TRUNCATE users, webhook.events; INSERT INTO users VALUES (1)"
        ))
        .await;
        assert_eq!(kinds(&db).await.len(), usize::from(captures), "{change}: the fault landed");
        let status = if captures { "active" } else { "silenced" };
        let missing = (!captures).then(|| missing.to_owned());
        assert_eq!(amiss(&db).await, (status.to_owned(), missing), "{change}");
    }
    db.run("DROP TRIGGER webhook_delete_user ON users").await;
    assert_eq!(amiss(&db).await.1.as_deref(), Some("public.users webhook_delete_user"));
    db.run("SELECT webhook_watch('users', 'user', columns => '{id}')").await;
    assert_eq!(amiss(&db).await, ("active".into(), None));
    db.run("DROP TABLE users").await;
    assert_eq!(amiss(&db).await, ("active".into(), None), "it says that the table is gone");
}

#[tokio::test]
async fn a_partition_whose_trigger_is_disabled_is_named() {
    let db = users().await;
    db.run(
        "CREATE TABLE parts (id int) PARTITION BY RANGE (id);
         CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (10);
         CREATE TABLE high PARTITION OF parts FOR VALUES FROM (10) TO (20);
         SELECT webhook_watch('parts', 'part', key => '{id}')",
    )
    .await;
    assert_eq!(amiss(&db).await, ("active".into(), None));
    db.run("ALTER TABLE high DISABLE TRIGGER webhook_insert_part; INSERT INTO parts VALUES (1), (11)").await;
    assert_eq!(seen(&db).await, [r#"part.created {"id":1}"#], "the fault landed");
    assert_eq!(amiss(&db).await, ("silenced".into(), Some("public.high webhook_insert_part".into())));
}
