//! JSON Schemas of event types, enforced at emit as `webhook.validate` says.

use webhook_tests::database::Database;

const SCHEMA: &str = r#"{"type": "object", "required": ["id"], "properties": {
    "id": {"type": "integer"}, "lines": {"type": "array", "items": {"properties": {"sku": {"type": "string", "pattern": "^[A-Z]+$"}}}}}}"#;

async fn database(mode: &str) -> Database<'static> {
    let db = Database::new().await;
    db.run(&format!(
        "SELECT webhook_event_type_create('order.paid', 'paid', '{SCHEMA}'); SET webhook.validate = '{mode}'"
    ))
    .await;
    db
}

fn emit(data: &str) -> String {
    format!("SELECT webhook_emit('order.paid', '{data}')")
}

#[tokio::test]
async fn error_refuses_and_names_the_failing_path() {
    let db = database("error").await;
    db.run(&emit(r#"{"id": 1, "lines": [{"sku": "ABC"}]}"#)).await;
    for (data, path) in [
        (r#"{"id": "private value"}"#, "/id"),
        (r#"{"id": 1, "lines": [{"sku": "ABC"}, {"sku": "abc"}]}"#, "/lines/1/sku"),
        ("{}", "/"),
        ("[]", "/"),
    ] {
        let error = db.refusal(&emit(data)).await;
        assert_eq!(error.code, "22023");
        assert!(
            error.message.starts_with(&format!("data of \"order.paid\" does not fit its schema at {path}: ")),
            "{error:?}"
        );
        assert!(!error.message.contains("private value"), "{error:?}");
        assert!(error.hint.contains("webhook.validate"), "{error:?}");
    }
    assert_eq!(db.value("SELECT count(*) FROM webhook.events").await, "1");
    db.emit("user.created", r#""no schema, no rule""#).await;
}

#[tokio::test]
async fn off_and_warn_let_pass() {
    for mode in ["off", "warn"] {
        let db = database(mode).await;
        db.run(&emit("{}")).await;
        assert_eq!(db.value("SELECT count(*) FROM webhook.events").await, "1", "{mode}");
    }
    assert_eq!(Database::new().await.value("SHOW webhook.validate").await, "off");
}

#[tokio::test]
async fn a_changed_schema_counts_at_once_in_every_session() {
    let db = database("error").await;
    let other = db.connect().await;
    other.run("SELECT webhook_event_types(); SET webhook.validate = 'error'").await;
    other.run(&emit(r#"{"id": 1}"#)).await;
    assert_eq!(other.refusal(&emit("{}")).await.code, "22023");
    db.run("SELECT webhook_event_type_create('order.paid', schema => '{\"required\": [\"total\"]}')").await;
    assert_eq!(other.refusal(&emit(r#"{"id": 1}"#)).await.code, "22023");
    other.run(&emit(r#"{"total": 1}"#)).await;
    db.run("BEGIN; SELECT webhook_event_type_create('order.paid'); SELECT webhook_emit('order.paid', '{}'); ROLLBACK").await;
    assert_eq!(db.refusal(&emit("{}")).await.code, "22023", "the change was undone");
    db.run("SELECT webhook_event_type_create('order.paid')").await;
    other.run(&emit("{}")).await;
}

#[tokio::test]
async fn schemas_that_cannot_be_used_are_refused_when_they_are_registered() {
    let db = Database::new().await;
    for schema in [
        r#"{"type": "nonsense"}"#,
        r#"{"properties": {"a": {"minimum": "x"}}}"#,
        r#"{"$ref": "https://example.com/schema.json"}"#,
        r#"{"$ref": "file:///etc/passwd"}"#,
        r#"{"pattern": "("}"#,
        r#"{"pattern": "(a)\\1"}"#,
        "[]",
        "7",
    ] {
        let error = db
            .refusal(&format!("SELECT webhook_event_type_create('order.paid', schema => '{schema}')"))
            .await;
        assert_eq!(error.code, "22023", "{schema}");
        assert!(error.message.starts_with("the schema is not valid at /"), "{error:?}");
        assert!(error.hint.contains("nothing is fetched"), "{error:?}");
    }
    db.run(r##"SELECT webhook_event_type_create('order.paid', schema => '{"$ref": "#/$defs/x", "$defs": {"x": true}}')"##).await;
}

#[tokio::test]
async fn only_an_administrator_sets_it() {
    let db = Database::new().await;
    let role = format!("emitter_{}", db.name());
    db.run(&format!("CREATE ROLE {role}; SELECT webhook_grant('{role}', 'emit'); SELECT webhook_emit('x', '1'); SET ROLE {role}")).await;
    assert_eq!(db.refusal("SET webhook.validate = 'off'").await.code, "42501");
}
