//! The webhook API: create, get, list, update, delete, rotate, test.

use webhook_tests::database::Database;

#[tokio::test]
async fn create_shows_the_secret_in_full_and_get_masks_it() {
    let db = Database::new().await;
    let (id, secret) =
        db.webhook("https://example.com/hook", "name => 'crm', description => 'to the CRM'").await;
    assert!(id.starts_with("wh_") && id.len() == 29, "{id}");
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "whsec_ and base64 of 32 bytes: {secret}");
    let row = db
        .rows(&format!(
            "SELECT id, url, name, description, events, status, disabled_reason, filter_config, account, options,
                    secret, created_at = updated_at, last_triggered
             FROM webhook_get('{id}')"
        ))
        .await;
    let expected = [
        &id,
        "https://example.com/hook",
        "crm",
        "to the CRM",
        "{*}",
        "active",
        "",
        "",
        "",
        "{}",
        "whsec_••••",
        "t",
        "",
    ];
    assert_eq!(row, [expected.map(String::from)]);
}

#[tokio::test]
async fn a_secret_of_ones_own_is_accepted() {
    let db = Database::new().await;
    let (_, secret) = db.webhook("https://example.com", "secret => 'correct horse battery staple'").await;
    assert_eq!(secret, "correct horse battery staple");
}

#[tokio::test]
async fn list_pages_filters_and_counts() {
    let db = Database::new().await;
    for n in 1..=5 {
        let rest =
            format!("name => 'n{n}', events => '{{user.*}}', account => nullif('{}', '')", ["", "a"][n % 2]);
        db.webhook(&format!("https://example.com/{n}"), &rest).await;
    }
    let (other, _) =
        db.webhook("https://example.com/other", "events => '{report.generated}', name => 'other'").await;
    db.run(&format!("SELECT webhook_update('{other}', '{{\"status\": \"inactive\"}}')")).await;

    let count = async |arguments: &str| {
        let rows = db.rows(&format!("SELECT total, secret FROM webhook_list({arguments})")).await;
        assert!(rows.iter().all(|row| row[1].contains("••••")), "masked: {rows:?}");
        (rows.len(), rows.first().map_or(0, |row| row[0].parse::<usize>().expect("a number")))
    };
    assert_eq!(count("").await, (6, 6));
    assert_eq!(count("\"limit\" => 4").await, (4, 6));
    assert_eq!(count("page => 2, \"limit\" => 4").await, (2, 6));
    assert_eq!(count("status => 'inactive'").await, (1, 1));
    assert_eq!(count("event => 'user.created'").await, (5, 5));
    assert_eq!(count("account => 'a'").await, (3, 3));
    let names = db.rows("SELECT name FROM webhook_list(page => 1, \"limit\" => 3)").await;
    let later = db.rows("SELECT name FROM webhook_list(page => 2, \"limit\" => 3)").await;
    assert!(names.iter().all(|name| !later.contains(name)), "pages do not overlap: {names:?} {later:?}");
}

#[tokio::test]
async fn update_changes_fields_and_options_and_null_resets() {
    let db = Database::new().await;
    let (id, _) = db.webhook("https://example.com", "name => 'old'").await;
    let changes = r#"{"url": "https://example.com/new", "events": ["user.created", "data.*"], "name": null,
                      "filter_config": {"role": "admin"}, "timeout_ms": 5000, "format": "standard"}"#;
    let row = db
        .rows(&format!(
            "SELECT url, events, name, filter_config, options, updated_at > created_at
             FROM webhook_update('{id}', '{changes}')"
        ))
        .await;
    let expected = [
        "https://example.com/new",
        "{user.created,data.*}",
        "",
        r#"{"role": "admin"}"#,
        r#"{"format": "standard", "timeout_ms": 5000}"#,
        "t",
    ];
    assert_eq!(row, [expected.map(String::from)]);

    let reset = r#"{"events": null, "filter_config": null, "timeout_ms": null}"#;
    let row = db
        .rows(&format!("SELECT events, filter_config, options FROM webhook_update('{id}', '{reset}')"))
        .await;
    assert_eq!(row, [["{*}", "", r#"{"format": "standard"}"#].map(String::from)]);
}

#[tokio::test]
async fn credentials_among_the_options_are_masked() {
    let db = Database::new().await;
    let options = r#"{"auth": {"username": "u", "password": "canary"}, "headers": {"X-Api-Key": "canary", "X-Plain": "p"},
        "params": {"token": "canary", "page": "1"}, "signature": "static", "header_name": "X-Proof", "header_value": "canary"}"#;
    let (id, _) = db.webhook("https://example.com", &format!("options => '{options}'")).await;
    let shown = r#"{"auth": {"password": "[redacted]", "username": "u"}, "params": {"page": "1", "token": "[redacted]"},
        "headers": {"X-Plain": "p", "X-Api-Key": "[redacted]"}, "signature": "static", "header_name": "X-Proof", "header_value": "[redacted]"}"#;
    for rows in
        [format!("webhook_get('{id}')"), "webhook_list()".into(), format!("webhook_update('{id}', '{{}}')")]
    {
        let seen = db.value(&format!("SELECT options::jsonb = '{shown}' FROM {rows}")).await;
        assert_eq!(seen, "t", "{}", db.value(&format!("SELECT options FROM {rows}")).await);
    }
    let kept = db.value(&format!("SELECT options::text FROM webhook.webhooks WHERE id = '{id}'")).await;
    assert_eq!(kept.matches("canary").count(), 4, "the relay needs them");
}

#[tokio::test]
async fn a_refused_update_changes_nothing() {
    let db = Database::new().await;
    let (id, _) = db.webhook("https://example.com", "").await;
    let before = db.rows(&format!("SELECT webhook_get('{id}')")).await;
    let error =
        db.refusal(&format!(r#"SELECT webhook_update('{id}', '{{"name": "new", "url": "ftp://x"}}')"#)).await;
    assert_eq!(error.code, "22023");
    assert_eq!(db.rows(&format!("SELECT webhook_get('{id}')")).await, before);
}

#[tokio::test]
async fn delete_returns_true_and_the_webhook_is_gone() {
    let db = Database::new().await;
    let (id, _) = db.webhook("https://example.com", "").await;
    assert_eq!(db.value(&format!("SELECT webhook_delete('{id}')")).await, "t");
    assert_eq!(db.refusal(&format!("SELECT webhook_get('{id}')")).await.code, "42704");
}

#[tokio::test]
async fn rotate_gives_a_new_secret_in_full() {
    let db = Database::new().await;
    let (id, old) = db.webhook("https://example.com", "").await;
    let new = db.value(&format!("SELECT secret FROM webhook_rotate_secret('{id}')")).await;
    assert!(new.starts_with("whsec_") && new != old, "{new}");
    let own = db.value(&format!("SELECT secret FROM webhook_rotate_secret('{id}', 'my own secret')")).await;
    assert_eq!(own, "my own secret");
}

#[tokio::test]
async fn a_type_that_was_never_registered_or_emitted_is_warned_about_with_near_ones() {
    let db = Database::new().await;
    db.run("CREATE TABLE notes (id int); CREATE TRIGGER announce AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION webhook_capture('note')")
        .await;
    db.run("INSERT INTO notes VALUES (1)").await;
    db.emit("order.paid", "{}").await;
    // What psql prints of the call's warnings.
    let said = |call: &str| {
        let output =
            db.cluster().program("psql").args(["-qXd", db.name(), "-c", &format!("SELECT {call}")]).output();
        String::from_utf8_lossy(&output.expect("start psql").stderr).into_owned()
    };
    let create = |events: &str| said(&format!("webhook_create('https://example.com', '{events}')"));
    for (events, near) in [
        ("{user.craeted}", "user.created"),
        ("{usr.*}", "user."),
        ("{order.payed}", "order.paid"),
        ("{xyz}", "webhook_event_types()"),
    ] {
        let said = create(events);
        let warned = said.contains("WARNING") && said.contains(events.trim_matches(['{', '}']));
        assert!(warned && said.contains(near), "{events}: {said}");
    }
    for events in ["{*}", "{}", "{user.*,data.updated}", "{order.paid,note.created}", "{note.*}"] {
        assert_eq!(create(events), "", "{events}");
    }
    let (id, _) = db.webhook("https://example.com", "").await;
    let update = said(&format!(r#"webhook_update('{id}', '{{"events": ["order.payed"]}}')"#));
    assert!(update.contains("WARNING") && update.contains("order.paid"), "{update}");
}

#[tokio::test]
async fn ids_sort_by_the_time_of_their_making() {
    let db = Database::new().await;
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(db.emit("user.created", "{}").await);
    }
    assert!(ids.is_sorted(), "{ids:?}");
}

#[tokio::test]
async fn what_is_put_aside_while_its_webhook_is_deleted_is_canceled_by_maintenance() {
    let db = Database::new().await;
    let (webhook, _) = db.webhook("https://example.com/", "").await;
    let event = db.emit("user.created", "{}").await;
    let relay = db.connect().await;
    let put_aside = format!(
        "BEGIN; SELECT webhook._relay_record('r', NULL, NULL, NULL, NULL, NULL, ARRAY[webhook._delivery_id('{event}', '{webhook}')], '{{{event}}}',
             '{{{webhook}}}', '{{NULL}}', '{{spill}}', '{{1}}', '{{0}}', '{{0}}', '{{0}}', '{{NULL}}', '{{NULL}}', '{{capacity}}', '{{NULL}}', '{{NULL}}', '{{0}}')"
    );
    relay.run(&put_aside).await;
    db.run(&format!("SELECT webhook_delete('{webhook}')")).await;
    relay.run("COMMIT").await;
    let status = "SELECT status FROM webhook.deliveries";
    assert_eq!(db.value(status).await, "pending", "neither saw the other");
    db.run("SELECT webhook._relay_maintain()").await;
    assert_eq!(db.value(status).await, "canceled");
}
