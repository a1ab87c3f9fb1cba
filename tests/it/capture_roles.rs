//! Who may watch, who may write, and what their search path cannot do.

use webhook_tests::database::Database;

use crate::capture_seen::{seen, users};

/// Creates a role named after the database.
async fn role(db: &Database<'_>, prefix: &str) -> String {
    let role = format!("{prefix}_{}", db.name());
    db.run(&format!("CREATE ROLE {role}")).await;
    role
}

#[tokio::test]
async fn row_security_hides_rows_from_roles_and_not_from_capture() {
    let db = users().await;
    let role = role(&db, "tenant").await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id,role}', previous => true)").await;
    db.run(&format!(
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY;
         CREATE POLICY writing ON users FOR INSERT WITH CHECK (true);
         CREATE POLICY reading ON users FOR SELECT USING (role = 'mine');
         CREATE POLICY changing ON users FOR UPDATE USING (role = 'mine') WITH CHECK (true);
         GRANT ALL ON users TO {role}; SET ROLE {role}"
    ))
    .await;
    db.run("INSERT INTO users (id, role) VALUES (1, 'mine'), (2, 'theirs')").await;
    db.run("UPDATE users SET id = id + 10").await;
    assert_eq!(db.value("SELECT count(*) FROM users").await, "1");
    db.run("RESET ROLE").await;
    let expected = [
        r#"user.created {"id":1,"role":"mine"}"#,
        r#"user.created {"id":2,"role":"theirs"}"#,
        r#"user.updated {"id":11,"role":"mine"}"#,
    ];
    assert_eq!(seen(&db).await, expected);
}

#[tokio::test]
async fn a_writer_needs_no_right_on_anything_of_ours() {
    let db = users().await;
    let role = role(&db, "writer").await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id}', account_column => 'name')").await;
    db.run(&format!(
        "GRANT INSERT (id, name), UPDATE (name), DELETE, SELECT ON users TO {role}; SET ROLE {role}"
    ))
    .await;
    db.run("INSERT INTO users (id, name) VALUES (1, 'a'); UPDATE users SET name = 'b'; DELETE FROM users")
        .await;
    for forbidden in [
        "SELECT * FROM webhook.events",
        "INSERT INTO webhook.losses (error) VALUES ('x')",
        "SELECT webhook._capture_plan('users'::regclass, 'user', NULL)",
        "SELECT webhook_emit('user.created', '{}')",
        "SELECT webhook_watch('users', 'user')",
        "SELECT webhook_sources()",
    ] {
        assert_eq!(db.refusal(forbidden).await.code, "42501", "{forbidden}");
    }
    db.run("RESET ROLE").await;
    assert_eq!(seen(&db).await.len(), 3);
}

#[tokio::test]
async fn a_manager_watches_a_table_of_its_own_and_no_other() {
    let db = users().await;
    let role = role(&db, "manager").await;
    db.run(&format!(
        "GRANT CREATE ON SCHEMA public TO {role}; SELECT webhook_grant('{role}', 'manage'); SET ROLE {role}"
    ))
    .await;
    db.run("CREATE TABLE own (id int PRIMARY KEY, at int); SELECT webhook_watch('own', 'own', update_of => '{at}', \"when\" => 'NEW.id > 0')")
        .await;
    db.run("INSERT INTO own VALUES (1, 1); UPDATE own SET at = 2").await;
    assert_eq!(db.refusal("SELECT webhook_watch('users', 'user')").await.code, "42501");
    db.run("SELECT webhook_pause(id), webhook_resume(id) FROM webhook_sources()").await;
    db.run("SELECT webhook_unwatch('own'); RESET ROLE").await;
    assert_eq!(seen(&db).await, [r#"own.created {"id":1,"at":1}"#, r#"own.updated {"id":1,"at":2}"#]);
    // The right to create triggers is not the right to read.
    db.run(&format!("GRANT TRIGGER ON users TO {role}; SET ROLE {role}")).await;
    assert_eq!(db.refusal("SELECT webhook_watch('users', 'user')").await.code, "42501");
}

#[tokio::test]
async fn tables_of_the_system_temporary_ones_and_ours_cannot_be_watched() {
    let db = users().await;
    db.run("CREATE TEMP TABLE fleeting (id int)").await;
    for (table, code) in [
        ("pg_class", "42809"),
        ("fleeting", "42809"),
        ("webhook.webhooks", "42501"),
        ("webhook.events", "42501"),
    ] {
        assert_eq!(db.refusal(&format!("SELECT webhook_watch('{table}', 'x')")).await.code, code, "{table}");
    }
}

/// Functions, operators, types and tables with the names of what our SQL uses, each doing harm.
const TRAP: &str = "
    CREATE SCHEMA trap;
    CREATE FUNCTION trap.bang() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
    CREATE FUNCTION trap.lower(text) RETURNS text LANGUAGE sql AS 'SELECT trap.bang()';
    CREATE FUNCTION trap.format(text, VARIADIC \"any\") RETURNS text LANGUAGE internal AS 'pg_backend_pid';
    CREATE FUNCTION trap.coalesce(text, text) RETURNS text LANGUAGE sql AS 'SELECT trap.bang()';
    CREATE FUNCTION trap.to_json(anyelement) RETURNS json LANGUAGE sql AS 'SELECT trap.bang()::json';
    CREATE FUNCTION trap.row_to_json(record) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RETURN trap.bang(); END $$;
    CREATE FUNCTION trap.array_agg(text) RETURNS text[] LANGUAGE sql AS 'SELECT ARRAY[trap.bang()]';
    CREATE FUNCTION trap.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS 'SELECT trap.bang()';
    CREATE FUNCTION trap.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT trap.bang()';
    CREATE FUNCTION trap.same(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT trap.bang()::boolean';
    CREATE FUNCTION trap.same(name, text) RETURNS boolean LANGUAGE sql AS 'SELECT trap.bang()::boolean';
    CREATE FUNCTION trap.same(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT trap.bang()::boolean';
    CREATE FUNCTION trap.same(record, record) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN trap.bang(); END $$;
    CREATE FUNCTION trap.joined(text, text) RETURNS text LANGUAGE sql AS 'SELECT trap.bang()';
    CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.same);
    CREATE OPERATOR trap.= (LEFTARG = name, RIGHTARG = text, FUNCTION = trap.same);
    CREATE OPERATOR trap.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = trap.same);
    CREATE OPERATOR trap.*<> (LEFTARG = record, RIGHTARG = record, FUNCTION = trap.same);
    CREATE OPERATOR trap.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.joined);
    CREATE TABLE trap.sources (id int); CREATE TABLE trap.events (id int);
    CREATE TABLE trap.pg_class (oid int); CREATE TABLE trap.pg_attribute (attname int);
    CREATE DOMAIN trap.text AS int; CREATE DOMAIN trap.jsonb AS int; CREATE DOMAIN trap.record AS int;
    CREATE TABLE trap.users (id int);";

#[tokio::test]
async fn a_search_path_full_of_traps_catches_nothing() {
    let db = users().await;
    db.run(TRAP).await;
    db.run("SET search_path = trap, pg_temp, public, pg_catalog").await;
    db.run(
        "SELECT webhook_watch('public.users', 'user', columns => '{id,name}', update_of => '{name}', key => '{name}',
                              account_column => 'name', previous => true, \"when\" => 'NEW.id > 0', on_error => 'warn')",
    )
    .await;
    db.run("INSERT INTO public.users VALUES (1, 'Ada'); UPDATE public.users SET name = 'Eve'").await;
    db.run(
        "SELECT webhook_pause(id) FROM webhook_sources(); SELECT webhook_resume(id) FROM webhook_sources()",
    )
    .await;
    db.run("SELECT public.webhook_emit('user.created', '{\"id\": 2}', idempotency_key => 'k')").await;
    let fresh = db.connect().await;
    fresh.run("SET search_path = trap, pg_catalog; DELETE FROM public.users").await;
    db.run("SET search_path = pg_catalog, public").await;
    let expected = [
        r#"user.created {"id":1,"name":"Ada"}"#,
        r#"user.updated {"id":1,"name":"Eve"}"#,
        r#"user.created {"id": 2}"#,
        r#"user.deleted {"id":1,"name":"Eve"}"#,
    ];
    assert_eq!(seen(&db).await, expected);
    assert_eq!(db.value("SELECT capture_lost FROM webhook_stats()").await, "0");
}

#[tokio::test]
async fn an_empty_search_path_is_enough_to_write() {
    let db = users().await;
    db.run("SELECT webhook_watch('users', 'user', columns => '{id}')").await;
    let other = db.connect().await;
    other.run("SET search_path = ''; INSERT INTO public.users VALUES (1)").await;
    assert_eq!(seen(&db).await, [r#"user.created {"id":1}"#]);
}

#[tokio::test]
async fn a_function_of_the_owner_captures_for_whoever_calls_it() {
    let db = users().await;
    let role = role(&db, "caller").await;
    db.run(&format!(
        "CREATE FUNCTION sign_up(id int) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public
             AS 'INSERT INTO users (id) VALUES (id)';
         GRANT EXECUTE ON FUNCTION sign_up TO {role};
         SELECT webhook_watch('users', 'user', columns => '{{id}}'); SET ROLE {role}; SELECT sign_up(1); RESET ROLE"
    ))
    .await;
    assert_eq!(seen(&db).await, [r#"user.created {"id":1}"#]);
}
