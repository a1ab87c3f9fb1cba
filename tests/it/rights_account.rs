//! Row security by account: a session that has set `webhook.account` reads and manages that account alone.

use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

use crate::capture_restore::restored;

struct Tenant {
    webhook: String,
    event: String,
    delivery: String,
}

/// Two tenants with a webhook, an event and a delivery each, and the same without an account and for all of them.
async fn tenants(db: &Database<'_>, receiver: &Receiver) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for account in ["acme", "other", ""] {
        let rest = format!("account => nullif('{account}', '')");
        let (webhook, _) = db.webhook(&receiver.url(&format!("/{account}")), &rest).await;
        let event = db
            .value(&format!(
                "SELECT webhook_emit('user.created', '{{}}', account => nullif('{account}', ''))"
            ))
            .await;
        db.run(&format!("SELECT webhook_subscribe('src_*', '{webhook}')")).await;
        db.until(&format!("SELECT status FROM webhook_deliveries('{webhook}')"), "delivered").await;
        let delivery = db.value(&format!("SELECT id FROM webhook_deliveries('{webhook}')")).await;
        tenants.push(Tenant { webhook, event, delivery });
    }
    tenants
}

#[tokio::test]
async fn a_session_of_an_account_sees_and_changes_that_account_alone() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let tenants = tenants(&db, &receiver).await;
    for capability in ["read", "manage"] {
        let role = format!("{capability}_{}", db.name());
        db.run(&format!("CREATE ROLE {role}; SELECT webhook_grant('{role}', '{capability}')")).await;
    }
    let sees = [
        "SELECT id FROM webhook_list()",
        "SELECT DISTINCT webhook_id FROM webhook_deliveries()",
        "SELECT DISTINCT listener_id FROM webhook_subscriptions()",
    ];
    let tables = [
        "SELECT id FROM webhook.webhooks",
        "SELECT DISTINCT webhook_id FROM webhook.attempts",
        "SELECT DISTINCT webhook_id FROM webhook.deliveries",
        "SELECT DISTINCT listener_id FROM webhook.subscriptions",
    ];
    let one = |t: &Tenant| {
        [
            format!("SELECT webhook_get('{}')", t.webhook),
            format!("SELECT webhook_attempts('{}')", t.delivery),
            format!("SELECT webhook_explain('{}')", t.event),
        ]
    };
    let change = |t: &Tenant| {
        [
            format!("SELECT webhook_update('{}', '{{\"name\": \"new\"}}')", t.webhook),
            format!("SELECT webhook_test('{}')", t.webhook),
            format!("SELECT webhook_rotate_secret('{}')", t.webhook),
            format!("SELECT webhook_replay('{}')", t.delivery),
            format!("SELECT webhook_replay('{}', now() - interval '1 hour')", t.webhook),
            format!("SELECT webhook_render('{}', '{}')", t.event, t.webhook),
            format!("SELECT webhook_cancel('{}')", t.delivery),
            format!("SELECT webhook_subscribe('src_*', '{}', 'user.created')", t.webhook),
            format!("SELECT webhook_delete('{}')", t.webhook),
        ]
    };
    let [acme, others @ ..] = &tenants[..] else { panic!("three") };
    for capability in ["read", "manage"] {
        db.run(&format!("SET ROLE {capability}_{}", db.name())).await;
        let tables = if capability == "read" { &tables[..] } else { &[] };
        for sql in sees.iter().chain(tables) {
            assert_eq!(db.rows(sql).await.len(), 3, "{capability}, without an account: {sql}");
        }
        db.run("SET webhook.account = 'acme'").await;
        for sql in sees.iter().chain(tables) {
            assert_eq!(db.rows(sql).await, [[&*acme.webhook]], "{capability}: {sql}");
        }
        let preview = "SELECT total FROM webhook_filter_preview('{}', 'user.created')";
        assert_eq!(db.value(preview).await, "1");
        if capability == "read" {
            let types = "SELECT DISTINCT account FROM webhook.events";
            assert_eq!(db.rows(types).await, [["acme"]]);
        }
        for tenant in others {
            let refused = if capability == "read" {
                one(tenant).to_vec()
            } else {
                [&one(tenant)[..], &change(tenant)].concat()
            };
            for sql in refused {
                assert_eq!(db.refusal(&sql).await.code, "42704", "{capability}: {sql}");
            }
        }
        for sql in one(acme) {
            assert_eq!(db.rows(&sql).await.len(), 1, "{sql}");
        }
        if capability == "manage" {
            let unsubscribe = format!("SELECT webhook_unsubscribe('src_*', '{}')", others[0].webhook);
            assert_eq!(db.value(&unsubscribe).await, "f");
            for sql in change(acme) {
                db.run(&sql).await;
            }
        }
        db.run("RESET webhook.account; RESET ROLE").await;
    }
}

#[tokio::test]
async fn what_a_session_of_an_account_makes_is_of_that_account() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let role = format!("manager_{}", db.name());
    db.run(&format!(
        "CREATE ROLE {role}; SELECT webhook_grant('{role}', 'manage'); SET ROLE {role}; SET webhook.account = 'acme'"
    ))
    .await;
    let (webhook, _) = db.webhook(&receiver.url("/hook"), "events => '{user.created}'").await;
    assert_eq!(db.value(&format!("SELECT account FROM webhook_get('{webhook}')")).await, "acme");
    for account in ["'other'", "'*'"] {
        let create = format!("SELECT webhook_create('https://example.com/', account => {account})");
        assert_eq!(db.refusal(&create).await.code, "42501");
        let account = account.replace('\'', "\"");
        let update = format!("SELECT webhook_update('{webhook}', '{{\"account\": {account}}}')");
        assert_eq!(db.refusal(&update).await.code, "42501");
    }
    let update = format!("SELECT webhook_update('{webhook}', '{{\"account\": null}}')");
    assert_eq!(db.refusal(&update).await.code, "42501");
    db.emit("user.created", "{}").await;
    receiver.wait_for_path("/hook", 1).await;
    let sent = db.value(&format!("SELECT webhook_send('POST', '{}')", receiver.url("/once"))).await;
    db.until(&format!("SELECT response_code FROM webhook_deliveries() WHERE id = '{sent}'"), "200").await;
    assert_eq!(db.value(&format!("SELECT response_code FROM webhook_attempts('{sent}')")).await, "200");
    db.run("SET webhook.account = 'other'").await;
    assert_eq!(db.refusal(&format!("SELECT webhook_attempts('{sent}')")).await.code, "42704");
}

#[tokio::test]
async fn the_rights_and_the_policies_come_through_a_dump() {
    let db = Database::new().await;
    let role = format!("reader_{}", db.name());
    db.run(&format!("CREATE ROLE {role}; SELECT webhook_grant('{role}', 'read')")).await;
    for account in ["acme", "other"] {
        db.run(&format!("SELECT webhook_create('https://example.com/', account => '{account}')")).await;
        db.run(&format!("SELECT webhook_emit('user.created', '{{}}', account => '{account}')")).await;
    }
    let Some(copy) = restored(&db).await else { return };
    copy.run("SELECT webhook_adopt()").await;
    for session in [&*db, &copy] {
        session.run(&format!("SET ROLE {role}")).await;
        for table in ["webhook.events", "webhook.webhooks"] {
            let accounts = format!("SELECT string_agg(account, ' ' ORDER BY account) FROM {table}");
            assert_eq!(session.value(&accounts).await, "acme other");
            session.run("SET webhook.account = 'acme'").await;
            assert_eq!(session.value(&accounts).await, "acme");
            session.run("RESET webhook.account").await;
        }
        assert_eq!(session.refusal("SELECT * FROM webhook.secrets").await.code, "42501");
        session.run("RESET ROLE").await;
    }
    copy.run(&format!("SELECT webhook_grant('{role}', 'read')")).await;
}

#[tokio::test]
async fn superusers_see_all_accounts_as_with_row_security() {
    let db = Database::new().await;
    for account in ["acme", "other"] {
        db.webhook("https://example.com/", &format!("account => '{account}'")).await;
    }
    db.run("SET webhook.account = 'acme'").await;
    assert_eq!(db.rows("SELECT id FROM webhook_list()").await.len(), 2);
    let role = format!("reader_{}", db.name());
    db.run(&format!("CREATE ROLE {role}; SELECT webhook_grant('{role}', 'read'); SET ROLE {role}")).await;
    assert_eq!(db.rows("SELECT id FROM webhook_list()").await.len(), 1);
}
