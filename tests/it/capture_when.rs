//! `when`: a condition on NEW and OLD, compiled into the trigger.

use webhook_tests::database::Database;

use crate::capture_seen::{seen, users};

async fn orders() -> Database<'static> {
    let db = Database::new().await;
    db.run("CREATE TABLE orders (id int PRIMARY KEY, total int, status text)").await;
    db
}

#[tokio::test]
async fn rows_for_which_it_is_false_or_null_are_no_events() {
    let db = orders().await;
    db.run("SELECT webhook_watch('orders', 'order', \"when\" => 'NEW.total > 100', columns => '{id}')").await;
    db.run("INSERT INTO orders VALUES (1, 50), (2, 150), (3, NULL)").await;
    db.run("UPDATE orders SET id = id + 10").await;
    db.run("DELETE FROM orders").await;
    let expected = [r#"order.created {"id":2}"#, r#"order.updated {"id":12}"#, r#"order.deleted {"id":12}"#];
    assert_eq!(seen(&db).await, expected, "of a DELETE it speaks of the row that was");
}

#[tokio::test]
async fn it_may_compare_the_row_before_and_after() {
    let db = orders().await;
    db.run(
        "SELECT webhook_watch('orders', 'order', '{update}', columns => '{id,status}',
                              \"when\" => 'OLD.status IS DISTINCT FROM NEW.status AND NEW.status = ''paid''')",
    )
    .await;
    db.run("INSERT INTO orders VALUES (1, 5, 'new')").await;
    db.run(
        "UPDATE orders SET status = 'packed'; UPDATE orders SET status = 'paid'; UPDATE orders SET total = 6",
    )
    .await;
    assert_eq!(seen(&db).await, [r#"order.updated {"id":1,"status":"paid"}"#]);
}

#[tokio::test]
async fn comparing_both_needs_an_operation_that_has_both() {
    let db = orders().await;
    let refused =
        db.refusal("SELECT webhook_watch('orders', 'order', \"when\" => 'NEW.total > OLD.total')").await;
    assert_eq!(refused.code, "22023");
    assert!(refused.message.contains("NEW.total > OLD.total"), "{refused:?}");
    assert!(refused.hint.contains("update"), "{refused:?}");
}

#[tokio::test]
async fn a_false_one_never_calls_the_trigger() {
    let db = orders().await;
    db.run("SELECT webhook_watch('orders', 'order', \"when\" => 'NEW.total > 100')").await;
    db.run("INSERT INTO orders SELECT n, 1 FROM generate_series(1, 100) n").await;
    let explained =
        db.rows("EXPLAIN (ANALYZE, TIMING OFF) INSERT INTO orders VALUES (1000, 1)").await.concat();
    assert!(!explained.iter().any(|line| line.contains("webhook_insert_order")), "{explained:?}");
    let explained =
        db.rows("EXPLAIN (ANALYZE, TIMING OFF) INSERT INTO orders VALUES (1001, 101)").await.concat();
    assert!(explained.iter().any(|line| line.contains("webhook_insert_order")), "{explained:?}");
}

#[tokio::test]
async fn a_bad_one_is_refused_with_the_parsers_message() {
    let db = orders().await;
    for (condition, message) in [
        ("NEW.totl > 1", "column new.totl does not exist"),
        ("NEW.total >", "syntax error"),
        ("NEW.total", "must be type boolean"),
        ("NEW.total > ''x''", "invalid input syntax for type integer"),
        ("nope(NEW.total)", "function nope(integer) does not exist"),
        ("(SELECT true)", "cannot use subquery"),
        ("count(*) > 1", "aggregate functions are not allowed"),
        ("NEW.total::nope = 1", "type \"nope\" does not exist"),
        ("NEW.total > 1)", "syntax error"),
        ("other.total > 1", "missing FROM-clause entry"),
        ("nope.f(NEW.total)", "schema \"nope\" does not exist"),
    ] {
        let sql = format!("SELECT webhook_watch('orders', 'order', \"when\" => '{condition}')");
        let refused = db.refusal(&sql).await;
        assert_eq!(refused.code, "22023", "{condition}: {refused:?}");
        assert!(refused.message.contains(message), "{condition}: {refused:?}");
        assert!(refused.message.starts_with("when \""), "{condition}: {refused:?}");
    }
    assert_eq!(db.value("SELECT count(*) FROM webhook.sources").await, "0", "and nothing is left of it");
    assert_eq!(db.value("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass").await, "0");
}

#[tokio::test]
async fn it_is_read_in_the_callers_search_path() {
    let db = orders().await;
    db.run(
        "CREATE SCHEMA app;
         CREATE FUNCTION app.big(n int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT n > 100';
         CREATE TYPE app.mood AS ENUM ('calm', 'wild');
         ALTER TABLE orders ADD mood app.mood;
         SET search_path = app, public;
         SELECT webhook_watch('orders', 'order', columns => '{id}', \"when\" => 'big(NEW.total) AND NEW.mood = ''wild''::mood')",
    )
    .await;
    db.run("SET search_path = pg_catalog; INSERT INTO public.orders VALUES (1, 200, '', 'wild'), (2, 200, '', 'calm')")
        .await;
    db.run("RESET search_path").await;
    assert_eq!(seen(&db).await, [r#"order.created {"id":1}"#], "and later paths change nothing");
}

#[tokio::test]
async fn quotes_comments_and_names_like_new_pass_unharmed() {
    let db = Database::new().await;
    db.run(r#"CREATE TABLE t (id int PRIMARY KEY, "new" text, "Old" text, "a""b" text)"#).await;
    db.run(
        r#"SELECT webhook_watch('t', 'thing', columns => '{id}', "when" =>
           $$ NEW."new" = 'it''s old news' AND NEW."Old" <> $q$old$q$ /* old */ AND new."a""b" IS NULL -- old $$)"#,
    )
    .await;
    db.run("INSERT INTO t VALUES (1, 'it''s old news', 'x'), (2, 'new', 'x'); DELETE FROM t").await;
    assert_eq!(seen(&db).await, [r#"thing.created {"id":1}"#, r#"thing.deleted {"id":1}"#]);
}

#[tokio::test]
async fn it_goes_together_with_update_of() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', update_of => '{role}', \"when\" => 'NEW.id < 10', columns => '{id}')")
        .await;
    db.run("INSERT INTO users VALUES (1), (20); UPDATE users SET role = 'x'; UPDATE users SET name = 'y'")
        .await;
    let expected = [r#"user.created {"id":1}"#, r#"user.updated {"id":1}"#];
    assert_eq!(seen(&db).await, expected, "of role, though it is not sent");
}
