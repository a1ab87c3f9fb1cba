//! What somebody put in the way of CREATE EXTENSION beforehand is refused, not taken over.

use webhook_tests::cluster::Cluster;
use webhook_tests::database::Database;

#[tokio::test]
async fn objects_of_our_names_are_not_taken_over() {
    let db = Database::bare(Cluster::shared().await).await;
    let role = format!("attacker_{}", db.name());
    db.run(&format!(
        "CREATE ROLE {role}; GRANT CREATE ON SCHEMA public TO {role}; GRANT CREATE ON DATABASE {} TO {role}",
        db.name()
    ))
    .await;
    for (plant, remove, code) in [
        ("CREATE SCHEMA webhook", "DROP SCHEMA webhook", "42P06"),
        (
            "CREATE FUNCTION webhook_stats() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "DROP FUNCTION webhook_stats()",
            "42723",
        ),
        (
            "CREATE FUNCTION webhook_emit(text, jsonb, text, text, text, text, timestamptz) RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
            "DROP FUNCTION webhook_emit",
            "42723",
        ),
        (
            "CREATE FUNCTION webhook_capture() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "DROP FUNCTION webhook_capture()",
            "42723",
        ),
    ] {
        db.run(&format!("SET ROLE {role}; {plant}; RESET ROLE")).await;
        assert_eq!(db.refusal("CREATE EXTENSION pg_webhook").await.code, code, "{plant}");
        db.run(remove).await;
    }
    // Functions and operators that fit better than those of pg_catalog are not what ours call.
    let trap = "LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$";
    db.run(&format!(
        "SET ROLE {role}; CREATE FUNCTION format(text, regclass) RETURNS text {trap}; CREATE FUNCTION now() RETURNS timestamptz {trap};
         CREATE FUNCTION equal(text, name) RETURNS boolean {trap};
         CREATE OPERATOR = (LEFTARG = text, RIGHTARG = name, FUNCTION = equal);
         RESET ROLE; SET search_path = public, pg_catalog; CREATE EXTENSION pg_webhook SCHEMA public;
         CREATE TABLE users (id int PRIMARY KEY); SELECT webhook_watch('users', 'user');
         SELECT webhook_create('https://example.com/'); SELECT webhook_list(), webhook_sources(), webhook_stats();
         INSERT INTO users VALUES (1)"
    ))
    .await;
    assert_eq!(db.refusal("SELECT 'a'::text = 'b'::name").await.message, "trapped", "they were there");
    assert_eq!(db.value("SELECT count(*) FROM webhook.events").await, "1");
    let owner = "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'webhook'";
    assert_eq!(db.value(owner).await, "postgres");
    db.run(&format!("RESET search_path; DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
}
