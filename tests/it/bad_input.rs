//! What the API refuses: each case with its SQLSTATE, message and hint.

use webhook_tests::database::Database;

/// A call; its SQLSTATE; a part of the message; a part of the hint. `WH` and `SRC` stand for ids that exist.
type Case = (&'static str, &'static str, &'static str, &'static str);

const WH: &str = "wh_00000000000000000000000000";

#[rustfmt::skip]
const CASES: &[Case] = &[
    // URLs.
    ("webhook_create(NULL)", "22023", "url must not be null", "Give url a value"),
    ("webhook_create('')", "22023", "URL", "http"),
    ("webhook_create('example.com')", "22023", "example.com", "http"),
    ("webhook_create('ftp://example.com')", "22023", "ftp", "http"),
    ("webhook_create('file:///etc/passwd')", "22023", "file", "http"),
    ("webhook_create('javascript:alert(1)')", "22023", "javascript", "http"),
    ("webhook_create('https://')", "22023", "URL", ""),
    ("webhook_create('https://user:pw@example.com')", "22023", "user", "auth"),
    ("webhook_create('https://user@example.com')", "22023", "user", "auth"),
    ("webhook_create('https://example.com/#part')", "22023", "fragment", ""),
    (r"webhook_create(E'https://example.com/\r\nX: y')", "22023", "URL", ""),
    (r"webhook_create('https://example.com\@evil.com')", "22023", "URL", ""),
    ("webhook_create('https://example.com/a b')", "22023", "URL", ""),
    ("webhook_create('https://example.com:0/')", "22023", "port", ""),
    ("webhook_create('https://example.com:25/')", "22023", "25", ""),
    ("webhook_create('https://example.com:99999/')", "22023", "URL", ""),
    ("webhook_create('https://[::1')", "22023", "URL", ""),
    ("webhook_create('https://' || repeat('a', 300) || '.com')", "22023", "253", ""),
    // Patterns.
    ("webhook_create('https://example.com', events => NULL)", "22023", "events must not be null", "Give events a value"),
    ("webhook_create('https://example.com', events => '{NULL}')", "22023", "pattern must not be null", "Give"),
    ("webhook_create('https://example.com', events => '{\"\"}')", "22023", "event", ""),
    ("webhook_create('https://example.com', events => '{User.Created}')", "22023", "User.Created", "a-z"),
    ("webhook_create('https://example.com', events => '{user.*.created}')", "22023", "user.*.created", ""),
    ("webhook_create('https://example.com', events => '{user*}')", "22023", "user*", ""),
    ("webhook_create('https://example.com', events => ARRAY[repeat('a', 200)])", "22023", "128", ""),
    // Secrets and accounts.
    ("webhook_create('https://example.com', secret => 'short')", "22023", "5 characters", "8 to 256"),
    ("webhook_create('https://example.com', secret => repeat('x', 257))", "22023", "257 characters", "8 to 256"),
    (r"webhook_create('https://example.com', secret => E'line\nbreak')", "22023", "control character", "8 to 256"),
    ("webhook_create('https://example.com', secret => 'not standard', options => '{\"signature\": \"standard\"}')", "22023", "whsec_<base64>", "generated"),
    ("webhook_create('https://example.com', secret => 'whsk_!!!')", "22023", "is not base64", "openssl genpkey"),
    ("webhook_create('https://example.com', secret => 'whsk_canary')", "22023", "4 bytes, neither 32 nor 64", "seed and public key"),
    ("webhook_create('https://example.com', secret => 'whsk_' || repeat('AAAA', 21) || 'AA==')", "22023", "does not belong to the seed", "seed"),
    ("webhook_create('https://example.com', secret => 'whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=')", "22023", "public key", "whsk_<base64>"),
    ("webhook_create('https://example.com', account => '')", "22023", "account \"\" is not valid", "1 to 1024"),
    (r"webhook_create('https://example.com', account => E'a\nb')", "22023", r#"account "a\nb" is not valid"#, "1 to 1024"),
    ("webhook_create('https://example.com', account => repeat('a', 2000))", "22023", "account", "1 to 1024"),
    // Options.
    ("webhook_create('https://example.com', options => '[]')", "22023", "not a JSON object", "{\"timeout_ms\": 5000}"),
    ("webhook_create('https://example.com', options => '{\"timeout\": 1}')", "22023", "unknown option \"timeout\"", "timeout_ms"),
    ("webhook_create('https://example.com', options => '{\"timeout_ms\": 99}')", "22023", "timeout_ms: 99", "100 to 60000"),
    ("webhook_create('https://example.com', options => '{\"timeout_ms\": 60001}')", "22023", "timeout_ms: 60001", "100 to 60000"),
    ("webhook_create('https://example.com', options => '{\"timeout_ms\": \"1s\"}')", "22023", "timeout_ms", "integer"),
    ("webhook_create('https://example.com', options => '{\"method\": \"BREW\"}')", "22023", "BREW", "GET"),
    ("webhook_create('https://example.com', options => '{\"headers\": []}')", "22023", "headers", "object"),
    (r#"webhook_create('https://example.com', options => '{"headers": {"X": "a\r\nY: b"}}')"#, "22023", "headers.X", ""),
    (r#"webhook_create('https://example.com', options => '{"headers": {"X\r\nY": "b"}}')"#, "22023", "headers.X", "header name"),
    ("webhook_create('https://example.com', options => '{\"headers\": {\"Host\": \"b\"}}')", "22023", "headers.Host", "another name"),
    ("webhook_create('https://example.com', options => '{\"headers\": {\"X-Webhook-Id\": \"b\"}}')", "22023", "headers.X-Webhook-Id", "set by the relay"),
    ("webhook_create('https://example.com', options => '{\"headers\": {\"X\": {}}}')", "22023", "headers.X", "a text"),
    ("webhook_create('https://example.com', options => '{\"params\": {\"q\": []}}')", "22023", "params.q", "text"),
    ("webhook_create('https://example.com', options => '{\"auth\": {\"username\": \"u\"}}')", "22023", "auth", "password"),
    ("webhook_create('https://example.com', options => '{\"auth\": {\"username\": \"a:b\", \"password\": \"\"}}')", "22023", "auth", "colon"),
    ("webhook_create('https://example.com', options => '{\"format\": \"xml\"}')", "22023", "xml", "cloudevents"),
    ("webhook_create('https://example.com', options => '{\"signature\": \"md5\"}')", "22023", "md5", "sha256"),
    ("webhook_create('https://example.com', options => '{\"signature\": \"static\"}')", "22023", "header_name", "static"),
    ("webhook_create('https://example.com', options => '{\"retry_schedule\": \"1m\"}')", "22023", "retry_schedule", "array"),
    ("webhook_create('https://example.com', options => '{\"retry_schedule\": [\"soon\"]}')", "22023", "soon", "5 minutes"),
    ("webhook_create('https://example.com', options => '{\"retry_schedule\": [-1]}')", "22023", "-1", "intervals"),
    ("webhook_create('https://example.com', options => '{\"retry_schedule\": [\"31 days\"]}')", "22023", "31 days", "30 days"),
    ("webhook_create('https://example.com', options => '{\"max_in_flight\": 0}')", "22023", "max_in_flight: 0", "1 to 10000"),
    ("webhook_create('https://example.com', options => '{\"rate_limit\": 0}')", "22023", "rate_limit: 0", "above 0"),
    ("webhook_create('https://example.com', options => '{\"ordered\": \"yes\"}')", "22023", "ordered", "true or false"),
    ("webhook_create('https://example.com', options => '{\"on_failed\": \"stop\"}')", "22023", "stop", "continue"),
    ("webhook_create('https://example.com', options => '{\"store_response\": \"all\"}')", "22023", "all", "headers"),
    ("webhook_create('https://example.com', options => '{\"client_cert\": \"../key\"}')", "22023", "client_cert", "letters"),
    // Filters.
    ("webhook_create('https://example.com', filter_config => '[]')", "22023", "filter", ""),
    ("webhook_create('https://example.com', filter_config => '{\"a\": {\"$near\": 1}}')", "22023", "$near", "$eq"),
    ("webhook_create('https://example.com', filter_config => '{\"a.b\": {\"$gt\": \"x\"}}')", "22023", "a.b", ""),
    ("webhook_create('https://example.com', filter_config => '{\"a\": {\"$regex\": \"(\"}}')", "22023", "$regex", ""),
    ("webhook_create('https://example.com', filter_config => '{\"a\": {\"$in\": 1}}')", "22023", "$in", ""),
    ("webhook_create('https://example.com', filter_config => '{\"$or\": {}}')", "22023", "$or", ""),
    ("webhook_filter_test('{\"a\": {\"$regex\": 1}}', '{}')", "22023", "$regex", ""),
    ("webhook_filter_preview('{\"a\": {\"$near\": 1}}', '*')", "22023", "$near", "$eq"),
    ("webhook_filter_preview('{}', 'Bad Type')", "22023", "Bad Type", ""),
    ("webhook_filter_preview('{}', '*', '-1 day')", "22023", "-1 days", "look back"),
    ("webhook_filter_preview('{}', '*', NULL)", "22023", "NULL", "look back"),
    // Existing webhooks.
    ("webhook_get('WH0')", "42704", "WH0", "webhook_list()"),
    ("webhook_get(NULL)", "42704", "", "webhook_list()"),
    ("webhook_update('WH0', '{}')", "42704", "WH0", "webhook_list()"),
    ("webhook_update('WH', NULL)", "22023", "changes NULL", "timeout_ms"),
    ("webhook_update('WH', '[]')", "22023", "changes []", "timeout_ms"),
    ("webhook_update('WH', '{\"colour\": 1}')", "22023", "colour", "Fields: url, name"),
    ("webhook_update('WH', '{\"colour\": null}')", "22023", "colour", "Known options: method"),
    ("webhook_update('WH', '{\"secret\": \"another one\"}')", "22023", "secret is not changed", "webhook_rotate_secret("),
    ("webhook_update('WH', '{\"url\": 7}')", "22023", "url 7", "JSON string"),
    ("webhook_update('WH', '{\"url\": null}')", "22023", "url must not be null", ""),
    ("webhook_update('WH', '{\"status\": \"paused\"}')", "22023", "paused", "active or inactive"),
    ("webhook_update('WH', '{\"events\": \"*\"}')", "22023", "events", "JSON array"),
    ("webhook_update('WH', '{\"options\": []}')", "22023", "options []", "JSON object"),
    ("webhook_update('WH', '{\"account\": \"\"}')", "22023", "account", "1 to 1024"),
    ("webhook_update('WH', '{\"signature\": \"standard\"}')", "22023", "whsec_<base64>", "generated"),
    ("webhook_rotate_secret('WH', 'tiny')", "22023", "4 characters", "8 to 256"),
    ("webhook_rotate_secret('WH', 'whsk_canary')", "22023", "4 bytes", "openssl genpkey"),
    ("webhook_rotate_secret('WH', grace => '-1 hour')", "22023", "-01:00:00", "24 hours"),
    ("webhook_rotate_secret('WH', grace => '31 days')", "22023", "31 days", "24 hours"),
    ("webhook_rotate_secret('STD', 'not standard')", "22023", "whsec_<base64>", "generated"),
    ("webhook_delete('WH0')", "42704", "WH0", "webhook_list()"),
    ("webhook_test('WH0')", "42704", "WH0", "webhook_list()"),
    ("webhook_test('WH', 'No.Such Type')", "22023", "No.Such Type", ""),
    ("webhook_list(0)", "22023", "page 0", "from 1"),
    ("webhook_list(NULL)", "22023", "page NULL", "from 1"),
    ("webhook_list(1, 0)", "22023", "limit 0", "1 to 100"),
    ("webhook_list(1, 101)", "22023", "limit 101", "1 to 100"),
    ("webhook_list(status => 'on')", "22023", "\"on\"", "active or inactive"),
    ("webhook_list(event => '!')", "22023", "!", ""),
    // Events.
    ("webhook_emit(NULL, '{}')", "22023", "type must not be null", "Give type a value"),
    ("webhook_emit('user.created', NULL)", "22023", "data must not be null", "Give data a value"),
    ("webhook_emit('', '{}')", "22023", "event type", ""),
    ("webhook_emit('User', '{}')", "22023", "User", "a-z"),
    ("webhook_emit('a.b.c.d.e.f.g.h.i', '{}')", "22023", "a.b.c.d.e.f.g.h.i", "8"),
    ("webhook_emit('user.*', '{}')", "22023", "user.*", ""),
    ("webhook_emit('user.created', '{}', key => '')", "22023", "key", "1 to 1024"),
    ("webhook_emit('user.created', '{}', account => repeat('a', 1025))", "22023", "account", "1 to 1024"),
    (r"webhook_emit('user.created', '{}', source => E'a\tb')", "22023", "source", "control"),
    (r"webhook_emit('user.created', '{}', idempotency_key => E'\x01')", "22023", "idempotency_key", "control"),
    ("webhook_emit('user.created', to_jsonb(repeat('x', 1100000)))", "54000", "1100002 bytes", "webhook.max_payload_bytes"),
    ("webhook_event_type_create(NULL)", "22023", "event type must not be null", ""),
    ("webhook_event_type_create('Bad')", "22023", "Bad", ""),
    ("webhook_event_type_create('x', schema => '[]')", "22023", "schema", "JSON Schema"),
    // Sources and subscriptions.
    ("webhook_source_create(NULL)", "22023", "name must not be null", "Give name a value"),
    ("webhook_source_create('')", "22023", "name \"\"", "1 to 1024"),
    ("webhook_source_create(repeat('n', 1025))", "22023", "name", "1 to 1024"),
    ("webhook_subscribe('SRC0', 'WH')", "42704", "SRC0", "webhook_sources()"),
    ("webhook_subscribe('SRC', 'WH0')", "42704", "WH0", "webhook_list()"),
    ("webhook_subscribe('src_nope', 'WH')", "42704", "src_nope", "webhook_sources()"),
    ("webhook_subscribe('SRC', 'wh_nope')", "42704", "wh_nope", "webhook_list()"),
    ("webhook_subscribe('WH', 'WH')", "22023", "WH", "src_"),
    ("webhook_subscribe('src_[a-z]*', 'WH')", "22023", "src_[a-z]*", "src_*"),
    ("webhook_subscribe(NULL, 'WH')", "22023", "null", ""),
    ("webhook_subscribe('src_*', NULL)", "22023", "null", ""),
    ("webhook_subscribe('src_*', 'WH', 'Bad')", "22023", "Bad", ""),
    ("webhook_pause('SRC0')", "42704", "SRC0", "webhook_sources()"),
    // Deliveries.
    ("webhook_deliveries(\"limit\" => 0)", "22023", "limit 0", "1 and 1000"),
    ("webhook_deliveries(status => 'lost')", "22023", "lost", "pending, delivered"),
    ("webhook_deliveries(event_id => 'x')", "22023", "x", "evt_"),
    ("webhook_deliveries(before => 'x')", "22023", "x", "del_"),
    ("webhook_attempts('x')", "22023", "x", "del_"),
    ("webhook_attempts('del_00000000000000000000000000')", "42704", "del_0", "webhook_deliveries()"),
    ("webhook_replay('x')", "22023", "x", "del_"),
    ("webhook_replay('del_00000000000000000000000000')", "42704", "del_0", "webhook_deliveries()"),
    ("webhook_replay('WH0', now())", "42704", "WH0", "webhook_list()"),
    ("webhook_replay('WH', NULL)", "22023", "NULL", "since"),
    ("webhook_replay('WH', 'tomorrow')", "22023", "is not a time range", "since"),
    ("webhook_replay('WH', 'yesterday', status => 'pending')", "22023", "pending", "missed"),
    ("webhook_attempts('del_nope')", "42704", "del_nope", "webhook_deliveries()"),
    ("webhook_replay('del_nope')", "42704", "del_nope", "webhook_deliveries()"),
    ("webhook_cancel('del_nope')", "42704", "del_nope", "webhook_deliveries()"),
    ("webhook_cancel('x')", "22023", "x", "del_"),
    ("webhook_cancel('del_00000000000000000000000000')", "42704", "del_0", "webhook_deliveries()"),
    ("webhook_explain('x')", "22023", "x", "evt_"),
    ("webhook_explain('evt_nope')", "42704", "evt_nope", "retention"),
    ("webhook_explain('evt_00000000000000000000000000')", "42704", "evt_0", "retention"),
    ("webhook_render('evt_00000000000000000000000000', 'WH')", "42704", "evt_0", "retention"),
    // One-off requests.
    ("webhook_send(NULL, 'https://example.com')", "22023", "method must not be null", "POST"),
    ("webhook_send('BREW', 'https://example.com')", "22023", "BREW", "GET"),
    ("webhook_send('POST', NULL)", "22023", "url must not be null", "Give url a value"),
    ("webhook_send('POST', 'https://u:p@example.com')", "22023", "user", "auth"),
    ("webhook_send('POST', 'https://example.com', headers => '7')", "22023", "headers", "object"),
    (r#"webhook_send('POST', 'https://example.com', headers => '{"X": "a\nb"}')"#, "22023", "headers.X", ""),
    ("webhook_send('POST', 'https://example.com', params => '[1]')", "22023", "params", "object"),
    ("webhook_send('POST', 'https://example.com', auth => '{\"user\": 1}')", "22023", "auth", "username"),
    ("webhook_send('POST', 'https://example.com', options => '{\"ordered\": true}')", "22023", "ordered", "timeout_ms"),
    ("webhook_send('POST', 'https://example.com', options => '{\"headers\": {}}')", "22023", "headers", "arguments"),
    ("webhook_send('POST', 'https://example.com', options => '{\"signature\": \"sha256\"}')", "22023", "sha256", "webhook_create"),
    ("webhook_send('POST', 'https://example.com', to_jsonb(repeat('x', 1100000)))", "54000", "1100002 bytes", "webhook.max_payload_bytes"),
    // The rest.
    ("webhook_sign('p', 's3cr3t s3cr3t', 'md5')", "22023", "md5", "sha256"),
    ("webhook_sign('p', 'whsk_canary', 'standard')", "22023", "4 bytes", "openssl genpkey"),
    ("webhook_sign('p', 'whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=', 'standard')", "22023", "cannot sign", "private key"),
    ("webhook_verify('p', 's', 'whpk_canary', 'standard')", "22023", "whpk_", "32 bytes"),
    ("webhook_verify('p', 's', 's3cr3t s3cr3t', 'none')", "22023", "none", "sha256"),
    ("webhook_grant('postgres', 'everything')", "22023", "everything", "emit, read"),
    ("webhook_grant('postgres', NULL)", "22023", "capability", "emit, read"),
    // Capture.
    ("webhook_watch(NULL, 'x')", "22023", "table and resource must be given", "webhook_watch('users', 'user')"),
    ("webhook_watch('t', NULL)", "22023", "table and resource must be given", "webhook_watch('users', 'user')"),
    ("webhook_watch('t', '')", "22023", ".created", "1 to 8 parts"),
    ("webhook_watch('t', 'Bad Name')", "22023", "Bad Name", "a-z"),
    (r"webhook_watch('t', E'a\nb')", "22023", r"a\nb", "a-z"),
    ("webhook_watch('t', repeat('a', 200))", "22023", "longer than 128", "128"),
    ("webhook_watch('v', 'x')", "42809", "public.v cannot be watched", "Ordinary and partitioned tables"),
    ("webhook_watch('pg_class', 'x')", "42809", "pg_class cannot be watched", "system tables"),
    ("webhook_watch('webhook.events', 'x')", "42501", "events belongs to pg_webhook", "your own"),
    ("webhook_watch('t', 'x', operations => NULL)", "22023", "operations is empty", "insert, update, delete"),
    ("webhook_watch('t', 'x', operations => '{}')", "22023", "operations is empty", "insert, update, delete"),
    ("webhook_watch('t', 'x', operations => '{upsert}')", "22023", "\"upsert\" is unknown", "insert, update, delete and truncate"),
    ("webhook_watch('t', 'x', operations => '{truncate}', \"when\" => 'NEW.a > 1')", "22023", "NEW.a > 1", "without a condition"),
    ("webhook_watch('t', 'x', columns => '{nope}')", "22023", "no column \"nope\"", "id, name"),
    ("webhook_watch('t', 'x', columns => '{NULL}')", "22023", "columns", "id, name"),
    ("webhook_watch('t', 'x', exclude => '{nope}')", "22023", "exclude", "id, name"),
    ("webhook_watch('t', 'x', update_of => '{nope}')", "22023", "update_of", "id, name"),
    ("webhook_watch('t', 'x', key => '{nope}')", "22023", "key", "id, name"),
    ("webhook_watch('t', 'x', account_column => 'nope')", "22023", "account_column", "id, name"),
    ("webhook_watch('t', 'x', \"when\" => 'NEW.nope = 1')", "22023", "column new.nope does not exist", "NEW.total > 100"),
    ("webhook_watch('t', 'x', \"when\" => '1; DROP TABLE t')", "22023", "syntax error", "WHEN"),
    ("webhook_watch('t', 'x', \"when\" => '(SELECT true)')", "22023", "subquery", "WHEN"),
    ("webhook_watch('t', 'x', names => '[]')", "22023", "names [] is not an object", "{\"insert\": \"generated\"}"),
    ("webhook_watch('t', 'x', names => '{\"upsert\": \"x\"}')", "22023", "upsert", "insert, update, delete and truncate"),
    ("webhook_watch('t', 'x', names => '{\"insert\": 1}')", "22023", "1 for \"insert\"", "A name is a text"),
    ("webhook_watch('t', 'x', names => '{\"insert\": \"Bad Name\"}')", "22023", "Bad Name", "a-z"),
    ("webhook_watch('t', 'x', names => '{\"update\": {\"nope\": \"x\"}}')", "22023", "nope", "id, name"),
    ("webhook_watch('t', 'x', on_error => 'ignore')", "22023", "\"ignore\" is unknown", "abort or warn"),
    ("webhook_unwatch('t')", "42704", "public.t is not watched", "webhook_sources()"),
    ("webhook_unwatch('t', 'x')", "42704", "not watched as \"x\"", "webhook_sources()"),
    ("webhook_resume(NULL)", "42704", "source", "webhook_sources()"),
    ("webhook_resume('SRC0')", "42704", "SRC0", "webhook_sources()"),
    // Options that the others leave out.
    ("webhook_create('https://example.com', options => '{\"keep_backlog\": \"yes\"}')", "22023", "keep_backlog: \"yes\"", "true or false"),
    ("webhook_create('https://example.com', options => '{\"signature\": \"static\", \"header_name\": \"X-A\"}')", "22023", "header_value", "must be set for signature static"),
    (r#"webhook_create('https://example.com', options => '{"signature": "static", "header_name": "X-A", "header_value": "a\r\nb"}')"#, "22023", "header_value", "printable ASCII"),
];

#[tokio::test]
async fn each_is_refused_with_code_message_and_hint_and_changes_nothing() {
    let db = Database::new().await;
    let (webhook, _) = db.webhook("https://example.com", "secret => 'correct horse', events => '{}'").await;
    let (standard, _) = db.webhook("https://example.com", "options => '{\"signature\": \"standard\"}'").await;
    let source = db.value("SELECT webhook_source_create('one')").await;
    db.run("CREATE TABLE t (id int PRIMARY KEY, name text); CREATE VIEW v AS TABLE t").await;
    let fill = |text: &str| {
        text.replace("SRC0", "src_00000000000000000000000000")
            .replace("WH0", WH)
            .replace("'WH'", &format!("'{webhook}'"))
            .replace("STD", &standard)
            .replace("'SRC'", &format!("'{source}'"))
    };
    let state = "SELECT md5(string_agg(x::text, '')) FROM (TABLE webhook.webhooks) x";
    let before = db.value(state).await;
    let mut wrong = Vec::new();
    for (call, code, message, hint) in CASES {
        let sql = format!("SELECT {}", fill(call));
        match db.try_rows(&sql).await {
            Ok(rows) => wrong.push(format!("{call}: accepted, {rows:?}")),
            Err(error) => {
                let error = error.as_db_error().expect("an error of the database");
                let given = error.hint().unwrap_or_default();
                let message = if *message == "WH" { webhook.clone() } else { fill(message) };
                let fits = error.code().code() == *code
                    && error.message().contains(&message)
                    && given.contains(hint)
                    && !given.is_empty();
                if !fits || error.message().chars().count() > 400 {
                    wrong.push(format!("{call}: {} {} HINT {given}", error.code().code(), error.message()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} of {}", wrong.join("\n"), wrong.len(), CASES.len());
    assert_eq!(db.value(state).await, before);
    assert_eq!(db.value("SELECT count(*) FROM webhook.events").await, "0");
}

#[tokio::test]
async fn unusual_and_right_is_accepted() {
    let db = Database::new().await;
    for call in [
        "webhook_create('https://bücher.example/ü?q=ä')",
        "webhook_create('https://xn--bcher-kva.example/')",
        "webhook_create('https://[2001:db8::1]:8443/hook')",
        "webhook_create('HTTPS://EXAMPLE.COM')",
        "webhook_create('http://127.0.0.1:3000/')",
        "webhook_create('https://example.com', events => '{}')",
        "webhook_create('https://example.com', options => NULL)",
        "webhook_update((webhook_create('https://example.com', options => 'null')).id, '{\"timeout_ms\": 500}')",
        "webhook_create('https://example.com', options => '{\"timeout_ms\": null, \"retry_schedule\": []}')",
        "webhook_create('https://example.com', filter_config => '{}')",
        "webhook_create('https://example.com', account => '*')",
        "webhook_emit('a.b.c.d.e.f.g.h', '\"x\"', key => 'ü €')",
        "webhook_emit('x', 'null')",
        "webhook_send('get', 'https://example.com', options => '{\"timeout_ms\": 60000}')",
        "webhook_send('get', 'https://example.com', options => 'null')",
    ] {
        db.run(&format!("SELECT {call}")).await;
    }
}
