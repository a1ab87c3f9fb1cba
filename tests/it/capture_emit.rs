//! `webhook_emit`: what it takes, refuses and stores.

use webhook_tests::database::Database;

const COUNT: &str = "SELECT count(*) FROM webhook.events";

#[tokio::test]
async fn the_grammar_of_types() {
    let db = Database::new().await;
    let longest = format!("a.{}", "b".repeat(126));
    for good in ["a", "user", "user.created", "a.b.c.d.e.f.g.h", "v2.order_line.paid_3", "0.1", &longest] {
        db.emit(good, "{}").await;
    }
    let too_long = format!("a.{}", "b".repeat(127));
    for bad in [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "A",
        "user.Created",
        "user created",
        "user-created",
        "user.*",
        "*",
        "a.b.c.d.e.f.g.h.i",
        "usér",
        "a\nb",
        "a ",
        "user/created",
        "😀",
        &too_long,
    ] {
        let refused = db.refusal(&format!("SELECT webhook_emit('{bad}', '{{}}')")).await;
        assert_eq!(refused.code, "22023", "{bad:?}: {refused:?}");
        assert!(!refused.hint.is_empty(), "{bad:?}: {refused:?}");
    }
    for missing in ["NULL, '{}'", "'user.created', NULL"] {
        assert_eq!(db.refusal(&format!("SELECT webhook_emit({missing})")).await.code, "22023", "{missing}");
    }
    assert_eq!(db.value(COUNT).await, "7");
}

#[tokio::test]
async fn data_is_any_json() {
    let db = Database::new().await;
    for data in [r#"{"b": 1, "a": [1.10, null]}"#, "[]", "\"text\"", "12345678901234567890.5", "true", "null"]
    {
        let id = db.emit("some.thing", data).await;
        assert_eq!(
            db.value(&format!("SELECT data::jsonb = '{data}' FROM webhook.events WHERE id = '{id}'")).await,
            "t"
        );
    }
}

#[tokio::test]
async fn everything_that_is_given_is_stored() {
    let db = Database::new().await;
    db.run(
        "SELECT webhook_emit('user.created', '{}', key => 'k 1', account => 'acme', source => 'billing',
                             deliver_at => '2030-01-02 03:04:05+00')",
    )
    .await;
    db.run("SET timezone = 'UTC'; SELECT webhook_emit('user.created', '{}', deliver_at => '1999-01-01')")
        .await;
    let rows = db.rows("SELECT key, account, source, deliver_at FROM webhook.events ORDER BY seq").await;
    assert_eq!(
        rows,
        [["k 1", "acme", "billing", "2030-01-02 03:04:05+00"], ["", "", "", "1999-01-01 00:00:00+00"]]
    );
    for endless in ["infinity", "-infinity"] {
        let refused = db
            .refusal(&format!("SELECT webhook_emit('user.created', '{{}}', deliver_at => '{endless}')"))
            .await;
        assert!(refused.code == "22023" && refused.message.contains("deliver_at"), "{refused:?}");
    }
}

#[tokio::test]
async fn labels_are_short_and_printable() {
    let db = Database::new().await;
    for label in ["key", "idempotency_key", "account", "source"] {
        let emit = |value: &str| format!("SELECT webhook_emit('user.created', '{{}}', {label} => {value})");
        db.run(&emit("repeat('x', 1024)")).await;
        db.run(&emit("'Zoë 😀'")).await;
        for bad in ["''", "repeat('x', 1025)", r"E'a\nb'", r"E'\x7f'"] {
            let refused = db.refusal(&emit(bad)).await;
            assert!(
                refused.code == "22023" && refused.message.starts_with(label),
                "{label} {bad}: {refused:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_payload_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let db = Database::new().await;
    let emit =
        |bytes: usize| format!("SELECT webhook_emit('some.thing', to_jsonb(repeat('x', {})))", bytes - 2);
    db.run(&emit(1_048_576)).await;
    let refused = db.refusal(&emit(1_048_577)).await;
    assert_eq!(refused.code, "54000");
    assert!(refused.message.contains("1048577") && refused.message.contains("1048576"), "{refused:?}");
    assert!(refused.hint.contains("webhook.max_payload_bytes"), "{refused:?}");
    db.run(&format!("SET webhook.max_payload_bytes = '2MB'; {}", emit(2_000_000))).await;
    assert_eq!(db.value(COUNT).await, "2");
}

#[tokio::test]
async fn only_a_superuser_changes_the_limit() {
    let db = Database::new().await;
    let role = format!("modest_{}", db.name());
    db.run("SELECT webhook_emit('user.created', '{}')").await;
    db.run(&format!("CREATE ROLE {role}; SET ROLE {role}")).await;
    assert_eq!(db.refusal("SET webhook.max_payload_bytes = '2MB'").await.code, "42501");
}

#[tokio::test]
async fn a_role_with_emit_alone_emits_everything_and_reads_nothing() {
    let db = Database::new().await;
    let role = format!("emitter_{}", db.name());
    db.run(&format!(
        "CREATE ROLE {role}; SELECT webhook_grant('{role}', 'emit'); SET ROLE {role}; SET search_path = ''"
    ))
    .await;
    let emit = "SELECT public.webhook_emit('user.created', '{}', idempotency_key => 'k', key => 'a', account => 'acme')";
    assert_eq!(db.value(emit).await, db.value(emit).await);
    for forbidden in [
        "SELECT * FROM webhook.events",
        "SELECT * FROM webhook.idempotency",
        "SELECT webhook._append('user.created', '{}')",
        "SELECT webhook._claim_idempotency('', 'k', 'evt_x')",
        "SELECT * FROM public.webhook_event_types()",
    ] {
        assert_eq!(db.refusal(forbidden).await.code, "42501", "{forbidden}");
    }
}

#[tokio::test]
async fn functions_and_triggers_may_emit() {
    let db = Database::new().await;
    db.run(
        "CREATE TABLE orders (id int PRIMARY KEY, paid boolean);
         CREATE FUNCTION announce() RETURNS trigger LANGUAGE plpgsql AS $$
         DECLARE event text;
         BEGIN
             event := webhook_emit('order.paid', jsonb_build_object('id', NEW.id), key => NEW.id::text);
             IF event IS NULL THEN RAISE 'no id'; END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER announce AFTER UPDATE ON orders FOR EACH ROW WHEN (NEW.paid) EXECUTE FUNCTION announce();
         CREATE FUNCTION pay(id int) RETURNS void LANGUAGE sql AS 'UPDATE orders SET paid = true WHERE orders.id = $1';
         INSERT INTO orders VALUES (1), (2); SELECT pay(2)",
    )
    .await;
    let event = db.rows("SELECT type, data, key FROM webhook.events").await.concat();
    assert_eq!(event, ["order.paid", r#"{"id": 2}"#, "2"]);
    db.run("SELECT webhook_emit('order.seen', to_jsonb(o)) FROM orders o").await;
    assert_eq!(db.value("SELECT count(*) FROM webhook.events WHERE type = 'order.seen'").await, "2");
}

#[tokio::test]
async fn emit_is_not_silenced_with_capture_and_needs_a_transaction_that_writes() {
    let db = Database::new().await;
    db.run("SET webhook.enabled = off; SELECT webhook_emit('user.created', '{}')").await;
    assert_eq!(db.value(COUNT).await, "1");
    db.run("BEGIN READ ONLY; SAVEPOINT s").await;
    for emit in ["", ", idempotency_key => 'k'"] {
        let refused = db.refusal(&format!("SELECT webhook_emit('user.created', '{{}}'{emit})")).await;
        assert!(refused.code == "25006" && refused.message.contains("webhook_emit"), "{refused:?}");
        db.run("ROLLBACK TO s").await;
    }
    db.run("COMMIT").await;
    assert_eq!(db.value(COUNT).await, "1");
}
