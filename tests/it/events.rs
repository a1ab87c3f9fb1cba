//! Emitting: ids, the catalogue, idempotency, what a transaction decides.

use webhook_tests::database::Database;

#[tokio::test]
async fn emit_appends_one_row_in_the_callers_transaction() {
    let db = Database::new().await;
    db.run("BEGIN").await;
    let id = db.emit("user.created", r#"{"name": "Ada"}"#).await;
    assert!(id.starts_with("evt_") && id.len() == 30, "{id}");
    let count = format!("SELECT count(*) FROM webhook.events WHERE id = '{id}'");
    assert_eq!(db.value(&count).await, "1");
    assert_eq!(db.connect().await.value(&count).await, "0", "not visible to others before the commit");
    db.run("ROLLBACK").await;
    assert_eq!(db.value(&count).await, "0");
}

#[tokio::test]
async fn an_idempotency_key_is_taken_once_per_account() {
    let db = Database::new().await;
    let emit = async |account: &str| {
        let sql = format!(
            "SELECT webhook_emit('user.created', '{{}}', idempotency_key => 'k', account => nullif('{account}', ''))"
        );
        db.value(&sql).await
    };
    let (first, again, other) = (emit("").await, emit("").await, emit("a").await);
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_eq!(db.value("SELECT count(*) FROM webhook.events").await, "2");
}

#[tokio::test]
async fn a_key_whose_transaction_rolled_back_is_free_again() {
    let db = Database::new().await;
    let emit = "SELECT webhook_emit('user.created', '{}', idempotency_key => 'k')";
    db.run(&format!("BEGIN; {emit}; ROLLBACK")).await;
    db.run(emit).await;
    assert_eq!(db.value("SELECT count(*) FROM webhook.events").await, "1");
}

#[tokio::test]
async fn the_catalogue_starts_with_the_types_of_the_seeds() {
    let db = Database::new().await;
    let types = db.rows("SELECT type FROM webhook_event_types()").await.concat();
    let seeds = "user.created user.updated user.deleted project.created project.updated project.deleted \
                 team.member.added team.member.removed team.member.role_changed \
                 data.created data.updated data.deleted report.generated system.alert";
    for kind in seeds.split(' ') {
        assert!(types.iter().any(|known| known == kind), "{kind} in {types:?}");
    }
    db.run("SELECT webhook_event_type_create('order.paid', 'An order was paid')").await;
    let order =
        db.rows("SELECT type, description FROM webhook_event_types() WHERE type = 'order.paid'").await;
    assert_eq!(order, [["order.paid", "An order was paid"].map(String::from)]);
}

#[tokio::test]
async fn the_account_comes_from_the_setting() {
    let db = Database::new().await;
    db.run("SET webhook.account = 'acme'").await;
    let id = db.emit("user.created", "{}").await;
    assert_eq!(db.value(&format!("SELECT account FROM webhook.events WHERE id = '{id}'")).await, "acme");
    let (webhook, _) = db.webhook("https://example.com", "").await;
    let account = format!("SELECT account FROM webhook_get('{webhook}')");
    assert_eq!(db.value(&account).await, "acme", "so that it hears of them, also when a superuser made it");
}

#[tokio::test]
async fn emit_in_a_read_only_transaction_is_refused_by_name() {
    let db = Database::new().await;
    db.run("BEGIN READ ONLY").await;
    let error = db.refusal("SELECT webhook_emit('user.created', '{}')").await;
    assert_eq!(error.code, "25006");
    assert!(error.message.contains("webhook_emit"), "{error:?}");
}

#[tokio::test]
async fn a_role_without_rights_cannot_emit_and_a_granted_one_can() {
    let db = Database::new().await;
    let role = format!("emitter_{}", db.name());
    db.run(&format!("CREATE ROLE {role}; SET ROLE {role}")).await;
    assert_eq!(db.refusal("SELECT webhook_emit('user.created', '{}')").await.code, "42501");
    db.run(&format!("RESET ROLE; SELECT webhook_grant('{role}', 'emit'); SET ROLE {role}")).await;
    db.emit("user.created", "{}").await;
    assert_eq!(db.refusal("SELECT * FROM webhook.events").await.code, "42501");
    assert_eq!(db.refusal("SELECT webhook_create('https://example.com')").await.code, "42501");
}
