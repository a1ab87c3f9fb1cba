//! What each capability of `webhook_grant` may do, function by function, table by table, column by column.

use std::collections::BTreeMap;

use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

use functions::FUNCTIONS;

mod functions;

const CAPABILITIES: [&str; 4] = ["emit", "read", "manage", "relay"];

/// A role for each capability, and one with none: `<capability>_<database>`.
async fn roles(db: &Database<'_>) {
    for capability in CAPABILITIES {
        let role = role(db, capability);
        db.run(&format!("CREATE ROLE {role}; SELECT webhook_grant('{role}', '{capability}')")).await;
    }
    db.run(&format!("CREATE ROLE {}", role(db, "nothing"))).await;
}

fn role(db: &Database<'_>, capability: &str) -> String {
    format!("{capability}_{}", db.name())
}

/// `VALUES` of every role: its capability and its name.
fn all_roles(db: &Database<'_>) -> String {
    let row = |(n, capability)| format!("({n}, '{capability}', '{}')", role(db, capability));
    let rows: Vec<_> = CAPABILITIES.into_iter().chain(["nothing"]).enumerate().map(row).collect();
    format!("(VALUES {}) r(n, capability, role)", rows.join(", "))
}

#[tokio::test]
async fn every_function_is_for_the_capabilities_that_need_it() {
    let db = Database::new().await;
    roles(&db).await;
    let sql = format!(
        "SELECT f.signature, coalesce(string_agg(r.capability, ' ' ORDER BY r.n)
                                      FILTER (WHERE has_function_privilege(r.role, f.oid, 'EXECUTE')), '')
         FROM (SELECT p.oid, p.oid::regprocedure::text FROM pg_proc p
               WHERE p.pronamespace = 'webhook'::regnamespace OR p.proname LIKE 'webhook\\_%') f(oid, signature),
              {} GROUP BY f.signature",
        all_roles(&db)
    );
    let actual: BTreeMap<_, _> =
        db.rows(&sql).await.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let expected: BTreeMap<_, _> = FUNCTIONS
        .iter()
        .flat_map(|(who, functions)| {
            functions.iter().map(|function| ((*function).to_owned(), (*who).to_owned()))
        })
        .collect();
    let wrong: Vec<_> = actual.iter().filter(|(name, who)| expected.get(*name) != Some(who)).collect();
    assert!(wrong.is_empty(), "not so in the table of this test: {wrong:#?}");
    let gone: Vec<_> = expected.keys().filter(|name| !actual.contains_key(*name)).collect();
    assert!(gone.is_empty(), "in the table of this test alone: {gone:#?}");
}

/// What may be read, and by whom; of all else nobody has anything.
const READABLE: [(&str, &str); 10] = [
    ("webhook._deliveries", "read"),
    ("webhook.attempts", "read"),
    ("webhook.cursors", "read"),
    ("webhook.deliveries", "read"),
    ("webhook.event_types", "read"),
    ("webhook.events", "read"),
    ("webhook.pending", "read"),
    ("webhook.relays", "read"),
    ("webhook.sources", "read"),
    ("webhook.subscriptions", "read"),
];

/// Of `webhook.webhooks` what holds no credential (`options` may).
const COLUMNS: [&str; 13] = [
    "account",
    "active_since",
    "created_at",
    "description",
    "disabled_reason",
    "events",
    "failing_since",
    "filter_config",
    "id",
    "name",
    "status",
    "updated_at",
    "url",
];

#[tokio::test]
async fn every_table_is_readable_for_read_alone_and_writable_for_nobody() {
    let db = Database::new().await;
    roles(&db).await;
    // With the partitions that the relay makes.
    db.run("SELECT webhook._relay_maintain()").await;
    let partitions = "SELECT count(*) FROM pg_inherits i WHERE i.inhparent = 'webhook.events'::regclass";
    assert_ne!(db.value(partitions).await, "1");
    let sql = format!(
        "SELECT c.oid::regclass, r.capability, p FROM pg_class c, {},
                unnest('{{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}}'::text[]) p
         WHERE c.relnamespace = 'webhook'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
           AND has_table_privilege(r.role, c.oid, p)
         UNION ALL
         SELECT c.oid::regclass, r.capability, p FROM pg_class c, {}, unnest('{{SELECT,USAGE,UPDATE}}'::text[]) p
         WHERE c.relnamespace = 'webhook'::regnamespace AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(r.role, c.oid, p) END
         ORDER BY 1, 2, 3",
        all_roles(&db),
        all_roles(&db)
    );
    let mut actual = db.rows(&sql).await;
    actual.sort();
    let expected: Vec<_> =
        READABLE.iter().map(|(table, who)| [*table, *who, "SELECT"].map(String::from).to_vec()).collect();
    assert_eq!(actual, expected);
    let sql = format!(
        "SELECT c.oid::regclass || '.' || a.attname, r.capability, p
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid, {},
              unnest('{{SELECT,INSERT,UPDATE,REFERENCES}}'::text[]) p
         WHERE c.relnamespace = 'webhook'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT a.attisdropped
           AND has_column_privilege(r.role, c.oid, a.attnum, p) AND NOT has_table_privilege(r.role, c.oid, p)",
        all_roles(&db)
    );
    let mut actual = db.rows(&sql).await;
    actual.sort();
    let expected =
        COLUMNS.map(|column| vec![format!("webhook.webhooks.{column}"), "read".into(), "SELECT".into()]);
    assert_eq!(actual, expected);
    // The schema: names can be looked up by those who need it, and nobody adds to it.
    let sql = format!(
        "SELECT string_agg(r.capability, ' ' ORDER BY r.n) FILTER (WHERE has_schema_privilege(r.role, 'webhook', 'USAGE')),
                count(*) FILTER (WHERE has_schema_privilege(r.role, 'webhook', 'CREATE')) FROM {}",
        all_roles(&db)
    );
    assert_eq!(db.rows(&sql).await, [["read manage relay", "0"].map(String::from)]);
}

#[tokio::test]
async fn each_role_does_what_it_may_and_is_refused_the_rest() {
    let db = Database::new().await;
    roles(&db).await;
    let (webhook, _) = db.webhook("https://example.com/", "").await;
    let event = db.emit("user.created", "{}").await;
    let calls = [
        ("emit manage", "SELECT webhook_emit('user.created', '{}')".to_owned()),
        ("read manage", format!("SELECT webhook_get('{webhook}')")),
        ("read manage", "SELECT webhook_list()".to_owned()),
        ("read manage", "SELECT webhook_deliveries()".to_owned()),
        ("read manage", format!("SELECT webhook_explain('{event}')")),
        ("read manage", "SELECT webhook_stats()".to_owned()),
        ("read", "SELECT count(*) FROM webhook.events".to_owned()),
        ("read", "SELECT count(*) FROM webhook.deliveries".to_owned()),
        ("read", "SELECT id, url FROM webhook.webhooks".to_owned()),
        ("manage", "SELECT webhook_create('https://example.com/')".to_owned()),
        ("manage", format!("SELECT webhook_update('{webhook}', '{{\"name\": \"new\"}}')")),
        ("manage", format!("SELECT webhook_rotate_secret('{webhook}')")),
        ("manage", format!("SELECT webhook_test('{webhook}')")),
        ("manage", format!("SELECT webhook_render('{event}', '{webhook}')")),
        ("manage", "SELECT webhook_send('GET', 'https://example.com/')".to_owned()),
        ("manage", "SELECT webhook_source_create('a' || pg_current_xact_id())".to_owned()),
        ("relay", "SELECT webhook._relay_hello('i', 'v', 'h', 1)".to_owned()),
        ("relay", "SELECT secrets FROM webhook._relay_webhooks(NULL)".to_owned()),
        ("", "SELECT * FROM webhook.webhooks".to_owned()),
        ("", "SELECT options FROM webhook.webhooks".to_owned()),
        ("", "SELECT secret FROM webhook.secrets".to_owned()),
        ("", "SELECT count(*) FROM webhook.secrets".to_owned()),
        ("", "UPDATE webhook.webhooks SET url = url".to_owned()),
        ("", "DELETE FROM webhook.events".to_owned()),
        ("", "CREATE TABLE webhook.mine (id int)".to_owned()),
        ("", "SELECT webhook._append('user.created', '{}')".to_owned()),
        ("", "SELECT webhook_adopt()".to_owned()),
        ("", format!("SELECT webhook_grant('{}', 'relay')", role(&db, "nothing"))),
    ];
    for capability in CAPABILITIES.into_iter().chain(["nothing"]) {
        db.run(&format!("SET ROLE {}", role(&db, capability))).await;
        for (who, call) in &calls {
            if who.split(' ').any(|one| one == capability) {
                db.run(call).await;
            } else {
                assert_eq!(db.refusal(call).await.code, "42501", "{capability}: {call}");
            }
        }
        db.run("RESET ROLE").await;
    }
}

#[tokio::test]
async fn no_function_shows_a_secret_to_who_may_only_read_or_manage() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    roles(&db).await;
    let _relay = Relay::start(&db.url()).await;
    let canary = "canary-of-the-secret";
    let auth = "canary-of-the-password";
    let rest = format!(
        r#"secret => '{canary}', options => '{{"auth": {{"username": "u", "password": "{auth}"}}}}'"#
    );
    let (webhook, _) = db.webhook(&receiver.url("/"), &rest).await;
    let event = db.emit("user.created", "{}").await;
    db.until(&format!("SELECT status FROM webhook_deliveries('{webhook}')"), "delivered").await;
    let delivery = db.value(&format!("SELECT id FROM webhook_deliveries('{webhook}')")).await;
    for capability in ["read", "manage"] {
        db.run(&format!("SET ROLE {}", role(&db, capability))).await;
        let mut queries = vec![
            format!("webhook_get('{webhook}')"),
            "webhook_list()".to_owned(),
            "webhook_deliveries()".to_owned(),
            format!("webhook_attempts('{delivery}')"),
            format!("webhook_explain('{event}')"),
        ];
        if capability == "manage" {
            queries.push(format!("webhook_render('{event}', '{webhook}')"));
            queries.push(format!("webhook_update('{webhook}', '{{\"name\": \"new\"}}')"));
        } else {
            queries.extend(READABLE.map(|(table, _)| table.to_owned()));
        }
        for query in queries {
            let text = db.value(&format!("SELECT coalesce(jsonb_agg(q), '[]') FROM {query} q")).await;
            assert!(!text.contains(canary) && !text.contains(auth), "{capability}: {query}: {text}");
            assert!(query.starts_with("webhook.") || text != "[]", "{query}");
        }
        db.run("RESET ROLE").await;
    }
    let seen = db.value("SELECT secrets FROM webhook._relay_webhooks(NULL) WHERE id IS NOT NULL").await;
    assert!(seen.contains(canary), "there is something to find");
}

#[tokio::test]
async fn a_manager_widens_no_source_of_a_table_that_it_may_not_read() {
    let db = Database::new().await;
    roles(&db).await;
    let manager = role(&db, "manage");
    db.run("CREATE TABLE users (id int PRIMARY KEY, password text)").await;
    db.run("SELECT webhook_watch('users', 'user', exclude => '{password}')").await;
    let put = r#"SELECT webhook._source_put('users'::regclass, '{"kind": "table", "name": "users", "relation": "users",
        "resource": "user", "operations": ["insert"], "exclude": [], "names": {}, "previous": false, "on_error": "warn"}')"#;
    let remove = "SELECT webhook._source_remove('users'::regclass, 'user')";
    let watch = "SELECT webhook_watch('users', 'user')";
    for rights in ["", "SELECT", "TRIGGER"] {
        if !rights.is_empty() {
            db.run(&format!("REVOKE ALL ON users FROM {manager}; GRANT {rights} ON users TO {manager}"))
                .await;
        }
        db.run(&format!("SET ROLE {manager}")).await;
        for call in [put, watch] {
            assert_eq!(db.refusal(call).await.code, "42501", "{rights}: {call}");
        }
        for call in [remove, "SELECT webhook_unwatch('users')"] {
            if rights != "TRIGGER" {
                assert_eq!(db.refusal(call).await.code, "42501", "{rights}: {call}");
            }
        }
        db.run("RESET ROLE").await;
    }
    db.run("INSERT INTO users VALUES (1, 'secret')").await;
    assert_eq!(db.value("SELECT data FROM webhook.events").await, r#"{"id":1}"#);
    db.run(&format!("GRANT SELECT, TRIGGER ON users TO {manager}; SET ROLE {manager}; {put}; RESET ROLE"))
        .await;
    db.run("INSERT INTO users VALUES (2, 'known')").await;
    let last = "SELECT data->>'password' FROM webhook.events ORDER BY id DESC LIMIT 1";
    assert_eq!(db.value(last).await, "known", "with these rights it is the manager's to say");
}

#[tokio::test]
async fn default_privileges_open_nothing() {
    let db = Database::new().await;
    let reader = role(&db, "reader");
    db.run(&format!(
        "CREATE ROLE {reader}; DROP EXTENSION pg_webhook; DROP SCHEMA IF EXISTS webhook;
         CREATE FUNCTION webhook_of_the_user() RETURNS int LANGUAGE sql AS 'SELECT 1';
         ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {reader};
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO {reader};
         ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO {reader};
         ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO {reader};
         CREATE EXTENSION pg_webhook; SELECT webhook._relay_maintain()"
    ))
    .await;
    let open = format!(
        "SELECT c.oid::regclass::text FROM pg_class c
         WHERE c.relnamespace = 'webhook'::regnamespace AND c.relkind IN ('r', 'p', 'v')
           AND (has_table_privilege('{reader}', c.oid, 'SELECT') OR has_any_column_privilege('{reader}', c.oid, 'UPDATE'))
         UNION ALL
         SELECT c.oid::regclass::text FROM pg_class c
         WHERE c.relnamespace = 'webhook'::regnamespace AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege('{reader}', c.oid, 'USAGE') END
         UNION ALL
         SELECT p.oid::regprocedure::text FROM pg_proc p
         WHERE (p.pronamespace = 'webhook'::regnamespace OR p.proname LIKE 'webhook\\_%')
           AND has_function_privilege('{reader}', p.oid, 'EXECUTE')
         UNION ALL
         SELECT n.nspname FROM pg_namespace n WHERE n.nspname = 'webhook' AND has_schema_privilege('{reader}', n.oid, 'USAGE')"
    );
    // A function of the user's that only has our prefix is left alone.
    assert_eq!(db.rows(&open).await, [["webhook_of_the_user()"]]);
}

#[tokio::test]
async fn capabilities_are_given_without_a_superuser() {
    let db = Database::new().await;
    let (admin, app) = (role(&db, "admin"), role(&db, "app"));
    db.run(&format!(
        "CREATE ROLE {admin}; CREATE ROLE {app};
         GRANT EXECUTE ON FUNCTION webhook_grant, webhook_adopt TO {admin}; SET ROLE {admin}"
    ))
    .await;
    for capability in CAPABILITIES {
        db.run(&format!("SELECT webhook_grant('{app}', '{capability}')")).await;
    }
    db.run(&format!("SELECT webhook_adopt(); SET ROLE {app}")).await;
    db.run("SELECT webhook_create('https://example.com/'), webhook_emit('user.created', '{}')").await;
    for role in ["pg_database_owner; DROP TABLE x", "nobody_of_that_name"] {
        let refusal = db.refusal(&format!("SELECT webhook_grant('{role}', 'emit')")).await;
        assert!(["42704", "42601", "42602"].contains(&&*refusal.code), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_role_with_nothing_but_the_relay_capability_runs_the_relay() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let role = role(&db, "relay_alone");
    db.run(&format!("CREATE ROLE {role} LOGIN; SELECT webhook_grant('{role}', 'relay')")).await;
    db.run("CREATE TABLE users (id int PRIMARY KEY); SELECT webhook_watch('users', 'user')").await;
    let relay = Relay::start(&db.url().replace("user=postgres", &format!("user={role}"))).await;
    let (webhook, secret) = db.webhook(&receiver.url("/"), "events => '{user.created}'").await;
    db.run("INSERT INTO users VALUES (1)").await;
    let request = receiver.wait_for(1).await.remove(0);
    let signed = format!(
        "SELECT webhook_verify('{}', '{}', '{secret}')",
        String::from_utf8_lossy(&request.body),
        request.header("x-webhook-signature")
    );
    assert_eq!(db.value(&signed).await, "t");
    db.until(&format!("SELECT status FROM webhook_deliveries('{webhook}')"), "delivered").await;
    let sessions = "SELECT DISTINCT usename FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name LIKE 'webhook-relay%'";
    assert_eq!(db.rows(sessions).await, [[role]]);
    assert_eq!(relay.terminate().await.code(), Some(0));
    assert!(!relay.logs().text().contains("permission denied"), "{}", relay.logs().text());
}
