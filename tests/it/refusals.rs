//! Every refusal has its SQLSTATE, a message that names the value, and a hint that says what to do.

use webhook_tests::database::Database;

struct Case {
    sql: &'static str,
    code: &'static str,
    names: &'static str,
}

const fn case(sql: &'static str, code: &'static str, names: &'static str) -> Case {
    Case { sql, code, names }
}

const CASES: &[Case] = &[
    case("SELECT webhook_create('ftp://example.com')", "22023", "ftp"),
    case("SELECT webhook_create('not a url')", "22023", "not a url"),
    case("SELECT webhook_create('https://user:pw@example.com')", "22023", "user"),
    case("SELECT webhook_create(E'https://example.com/\\r\\nX: y')", "22023", "URL"),
    case("SELECT webhook_create('https://example.com', events => '{User.Created}')", "22023", "User.Created"),
    case("SELECT webhook_create('https://example.com', events => '{user*}')", "22023", "user*"),
    case("SELECT webhook_create('https://example.com', secret => 'short')", "22023", "8"),
    case(
        "SELECT webhook_create('https://example.com', filter_config => '{\"a\": {\"$no\": 1}}')",
        "22023",
        "$no",
    ),
    case("SELECT webhook_create('https://example.com', options => '{\"colour\": 1}')", "22023", "colour"),
    case("SELECT webhook_create('https://example.com', options => '{\"timeout_ms\": 99}')", "22023", "99"),
    case(
        "SELECT webhook_create('https://example.com', options => '{\"timeout_ms\": 60001}')",
        "22023",
        "60001",
    ),
    case("SELECT webhook_create('https://example.com', options => '{\"format\": \"xml\"}')", "22023", "xml"),
    case(
        "SELECT webhook_create('https://example.com', options => '{\"signature\": \"md5\"}')",
        "22023",
        "md5",
    ),
    case(
        "SELECT webhook_create('https://example.com', options => '{\"headers\": {\"Host\": \"x\"}}')",
        "22023",
        "ost",
    ),
    case(
        r#"SELECT webhook_create('https://example.com', options => '{"headers": {"X-A": "a\r\nB: c"}}')"#,
        "22023",
        "X-A",
    ),
    case("SELECT webhook_get('wh_missing')", "42704", "wh_missing"),
    case("SELECT webhook_update('wh_missing', '{}')", "42704", "wh_missing"),
    case("SELECT webhook_delete('wh_missing')", "42704", "wh_missing"),
    case("SELECT webhook_rotate_secret('wh_missing')", "42704", "wh_missing"),
    case("SELECT webhook_test('wh_missing')", "42704", "wh_missing"),
    case("SELECT webhook_list(\"limit\" => 0)", "22023", "0"),
    case("SELECT webhook_list(\"limit\" => 101)", "22023", "101"),
    case("SELECT webhook_list(page => 0)", "22023", "0"),
    case("SELECT webhook_list(status => 'sleepy')", "22023", "sleepy"),
    case("SELECT webhook_emit('User', '{}')", "22023", "User"),
    case("SELECT webhook_emit('', '{}')", "22023", "type"),
    case("SELECT webhook_emit('a.b.c.d.e.f.g.h.i', '{}')", "22023", "a.b.c.d.e.f.g.h.i"),
    case("SELECT webhook_emit('x.big', to_jsonb(repeat('x', 2000000)))", "54000", "1048576"),
    case("SELECT webhook_watch('no_such_table', 'user')", "42P01", "no_such_table"),
    case("SELECT webhook_watch('t', 'User')", "22023", "User"),
    case("SELECT webhook_watch('t', 'user', operations => '{upsert}')", "22023", "upsert"),
    case("SELECT webhook_watch('t', 'user', columns => '{nope}')", "22023", "nope"),
    case("SELECT webhook_watch('t', 'user', exclude => '{nope}')", "22023", "nope"),
    case("SELECT webhook_watch('v', 'user')", "42809", "v"),
    case("SELECT webhook_unwatch('t')", "42704", "t"),
    case("SELECT webhook_replay('del_01kaj8zq3vf8r9v7w000000000')", "42704", "del_01kaj8"),
    case("SELECT webhook_cancel('del_01kaj8zq3vf8r9v7w000000000')", "42704", "del_01kaj8"),
    case("SELECT * FROM webhook_attempts('del_01kaj8zq3vf8r9v7w000000000')", "42704", "del_01kaj8"),
    case("SELECT * FROM webhook_deliveries(status => 'lost')", "22023", "lost"),
    case("SELECT webhook_sign('x', 'secret text', 'md5')", "22023", "md5"),
];

#[tokio::test]
async fn each_has_its_sqlstate_message_and_hint() {
    let db = Database::new().await;
    db.run("CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t").await;
    let mut wrong = Vec::new();
    for case in CASES {
        match db.try_rows(case.sql).await {
            Ok(_) => wrong.push(format!("{}\n  succeeded", case.sql)),
            Err(error) => {
                let error = error.as_db_error().expect("an error of the database");
                let code = error.code().code();
                // An unknown table is Postgres's own error, before we are called.
                let hint = error.hint().is_some_and(|hint| !hint.is_empty()) || code == "42P01";
                if code != case.code || !error.message().contains(case.names) || !hint {
                    let (message, hint) = (error.message(), error.hint());
                    wrong.push(format!("{}\n  {code} {message:?} hint {hint:?}", case.sql));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} refusals are wrong:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

#[tokio::test]
async fn an_unknown_option_names_the_known_ones() {
    let db = Database::new().await;
    let error =
        db.refusal("SELECT webhook_create('https://example.com', options => '{\"timeout\": 1}')").await;
    assert!(error.message.contains("timeout"), "{error:?}");
    assert!(error.hint.contains("timeout_ms") && error.hint.contains("retry_schedule"), "{error:?}");
}

#[tokio::test]
async fn no_error_repeats_a_secret() {
    let db = Database::new().await;
    let (id, _) = db.webhook("https://example.com", "").await;
    // A control character; not base64; a key of a wrong length; a public key that does not belong to the seed.
    let pair = format!("whsk_nottobeseen{}==", "A".repeat(75));
    for secret in ["canary\u{1}nottobeseen", "whsk_nottobeseen!", "whsk_nottobeseenAAAA", &pair] {
        for call in [
            format!("webhook_create('https://example.com', secret => '{secret}')"),
            format!("webhook_rotate_secret('{id}', '{secret}')"),
        ] {
            let error = db.refusal(&format!("SELECT {call}")).await;
            assert_eq!(error.code, "22023");
            assert!(!format!("{error:?}").contains("nottobeseen"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_statement_leaves_nothing() {
    let db = Database::new().await;
    db.refusal("SELECT webhook_create('https://example.com', options => '{\"colour\": 1}')").await;
    assert_eq!(db.value("SELECT count(*) FROM webhook_list()").await, "0");
    db.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    db.refusal("SELECT webhook_watch('t', 'user', columns => '{nope}')").await;
    assert_eq!(db.value("SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass").await, "0");
    assert_eq!(db.value("SELECT count(*) FROM webhook_sources()").await, "0");
}
