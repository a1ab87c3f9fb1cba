//! Values of every type are spelled as `row_to_json` spells them, whatever the session's settings.

use std::fmt::Write;

use webhook_tests::database::Database;
use webhook_tests::session::Session;

/// Each type with values of it, as SQL.
const TYPES: &[(&str, &[&str])] = &[
    ("boolean", &["true", "false"]),
    ("smallint", &["0", "-32768", "32767"]),
    ("integer", &["0", "-2147483648", "2147483647"]),
    ("bigint", &["0", "-9223372036854775808", "9223372036854775807"]),
    (
        "numeric",
        &[
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "0.00",
            "-1.10",
            "1e40",
            "1e-40",
            "123456789012345678901234567890.5",
        ],
    ),
    ("numeric(10, 2)", &["1", "-99999999.99"]),
    (
        "real",
        &["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0.1", "1e20", "1.17549435e-38", "3.4028235e38"],
    ),
    (
        "double precision",
        &["'NaN'", "'Infinity'", "'-0'", "0.1::float8 + 0.2", "1e100", "5e-324", "1.7976931348623157e308"],
    ),
    ("money", &["'1234.56'", "'-0.5'"]),
    (
        "text",
        &[
            "''",
            "'Zoë 😀'",
            r#"E'\b\f\n\r\t\\\x01\x1f\x7f\u2028"/'"#,
            "repeat('x', 3000)",
            "repeat('ab', 300000)",
        ],
    ),
    ("varchar(20)", &["'x '"]),
    ("char(5)", &["'ab'"]),
    ("\"char\"", &["'x'", "''"]),
    ("name", &["'n'"]),
    ("bytea", &["''", r"'\xdeadbeef00'"]),
    ("date", &["'2026-01-02'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'5874897-12-31'"]),
    ("time", &["'03:04:05'", "'24:00'", "'00:00:00.000001'"]),
    ("timetz", &["'03:04:05+02'", "'03:04:05.6-11:30'"]),
    (
        "timestamp",
        &["'2026-01-02 03:04:05'", "'infinity'", "'2026-01-02 03:04:05.678901'", "'4713-01-01 BC'"],
    ),
    (
        "timestamptz",
        &["'2026-01-02 03:04:05.678+00'", "'-infinity'", "'2026-07-02 03:04:05+13'", "'0001-01-01 BC'"],
    ),
    ("interval", &["'1 day 02:03:04.5'", "'-1 mon +3 days'", "'0'", "'178000000 years'"]),
    ("json", &[r#"'{"b": 1,  "a": [1.10, "\u0000"], "b": 2}'"#, "'null'", "' [ ] '"]),
    ("jsonb", &[r#"'{"b": 1, "a": [1.10, null]}'"#, "'null'", "'1e400'"]),
    ("uuid", &["'0190163d-8694-739b-aea5-966c26f8ad91'"]),
    ("inet", &["'10.0.0.1'", "'::1/64'"]),
    ("cidr", &["'10.0.0.0/8'"]),
    ("macaddr", &["'08:00:2b:01:02:03'"]),
    ("bit(3)", &["B'101'"]),
    ("varbit", &["B''", "B'1'"]),
    ("point", &["'(1.5,-2)'"]),
    ("box", &["'(1,2),(3,4)'"]),
    ("path", &["'[(1,2),(3,4)]'"]),
    ("circle", &["'<(1,2),3>'"]),
    ("xml", &["'<a b=\"c\">d</a>'"]),
    ("tsvector", &["'a:1 b:2'"]),
    ("tsquery", &["'a & b'"]),
    ("jsonpath", &["'$.a[*]'"]),
    ("pg_lsn", &["'16/B374D848'"]),
    ("oid", &["4294967295"]),
    ("regclass", &["'pg_class'", "'public.\"Odd Name\"'"]),
    ("regtype", &["'public.mood'", "'text[]'"]),
    ("int4range", &["'[1,5)'", "'empty'", "'(,)'"]),
    ("tstzrange", &["'[2026-01-02 03:04:05+00, infinity)'"]),
    ("int4multirange", &["'{[1,2),[5,6)}'"]),
    ("integer[]", &["'{}'", "'{1,NULL,3}'", "'{{1,2},{3,4}}'", "'[5:6]={1,2}'"]),
    ("text[]", &["'{\"a\\\"b\",NULL,\"\",\"null\"}'"]),
    ("timestamptz[]", &["'{2026-01-02 03:04:05+00,infinity}'"]),
    ("numeric[]", &["'{NaN,1.10}'"]),
    ("bytea[]", &[r#"'{"\\xff"}'"#]),
    ("money[]", &["'{1.5}'"]),
    ("public.mood", &["'happy'", "'it''s \"odd\"'"]),
    ("public.mood[]", &["'{happy,NULL}'"]),
    ("public.email", &["'a@b'"]),
    ("public.scores", &["'{1,2}'"]),
    (
        "public.nested",
        &[
            "ROW(1, '2026-01-02 03:04:05+00', ROW('x', '{1,2}', '1.5', 'public.nested'))",
            "ROW(NULL, NULL, NULL)",
        ],
    ),
    ("public.nested[]", &["ARRAY[ROW(1, NULL, NULL)::public.nested, NULL]"]),
    ("public.spans", &["'[2026-01-02,2026-02-03)'"]),
];

/// Everything but the query's own settings as they are while capture writes a row.
const PINNED: &str = "SET timezone = 'UTC'; SET datestyle = 'ISO, MDY'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex';
    SET extra_float_digits = 1; SET search_path = pg_catalog, pg_temp; SET quote_all_identifiers = off;";

/// Settings that change the text of values, or might.
const SETTINGS: &[(&str, &[&str])] = &[
    ("timezone", &["UTC", "Asia/Kolkata", "America/St_Johns", "Europe/Berlin", "-03:30"]),
    ("datestyle", &["ISO, MDY", "SQL, DMY", "German", "Postgres, YMD", "SQL, MDY"]),
    ("intervalstyle", &["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
    ("bytea_output", &["hex", "escape"]),
    ("extra_float_digits", &["-15", "0", "1", "3"]),
    ("lc_monetary", &["C", "C.UTF-8", "POSIX"]),
    ("lc_numeric", &["C", "C.UTF-8"]),
    ("lc_time", &["C", "C.UTF-8"]),
    ("search_path", &["public", "pg_catalog", "\"$user\", public, pg_temp", ""]),
    ("quote_all_identifiers", &["on", "off"]),
    ("xmlbinary", &["base64", "hex"]),
    ("xmloption", &["content", "document"]),
    ("standard_conforming_strings", &["on", "off"]),
    ("array_nulls", &["on", "off"]),
    ("transform_null_equals", &["on", "off"]),
    ("escape_string_warning", &["on", "off"]),
    ("role", &["none", "postgres"]),
    ("jit", &["on", "off"]),
    ("plan_cache_mode", &["auto", "force_generic_plan", "force_custom_plan"]),
];

/// Without those that come with a library when a session first needs it.
const ALL_SETTINGS: &str =
    "SELECT name, setting FROM pg_catalog.pg_settings WHERE name NOT LIKE '%.%' ORDER BY name";

/// Fills the table `things` with a value of every type in every row.
const INSERT: &str = "INSERT INTO public.things SELECT * FROM public.originals ORDER BY id";

/// A database whose table `things` has a column of every type.
async fn things() -> Database<'static> {
    let db = Database::new().await;
    db.run(
        r#"CREATE TYPE mood AS ENUM ('happy', 'it''s "odd"');
           CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
           CREATE DOMAIN scores AS int[];
           CREATE TYPE inner_part AS (a text, b int[], m money, r regtype);
           CREATE TYPE nested AS (n int, at timestamptz, i inner_part);
           CREATE TYPE spans AS RANGE (SUBTYPE = date);
           CREATE TABLE "Odd Name" ()"#,
    )
    .await;
    // Not every build of Postgres has XML.
    let has_xml = db.try_rows("SELECT '<a/>'::xml").await.is_ok();
    let types: Vec<_> = TYPES.iter().filter(|(kind, _)| has_xml || *kind != "xml").collect();
    let rows = types.iter().map(|(_, values)| values.len()).max().expect("types");
    let mut create = "CREATE TABLE originals (id int PRIMARY KEY".to_owned();
    for (n, (kind, _)) in types.iter().enumerate() {
        let _ = write!(create, ", c{n} {kind}");
    }
    let value = |row: usize| {
        let values = types
            .iter()
            .map(|(kind, values)| values.get(row).map_or("NULL".into(), |v| format!("({v})::{kind}")));
        format!("({row}, {})", values.collect::<Vec<_>>().join(", "))
    };
    let values: Vec<_> = (0..=rows).map(value).collect();
    db.run(&format!("{create}); INSERT INTO originals VALUES {}", values.join(", "))).await;
    db.run("CREATE TABLE things (LIKE originals INCLUDING ALL); SELECT webhook_watch('things', 'thing')")
        .await;
    db
}

async fn captured(session: &Session) -> Vec<String> {
    session.rows("SELECT data::text FROM webhook.events ORDER BY seq").await.concat()
}

#[tokio::test]
async fn a_row_of_every_type_is_what_row_to_json_says_under_pinned_settings() {
    let db = things().await;
    db.run(INSERT).await;
    let fresh = db.connect().await;
    fresh.run(PINNED).await;
    let golden = fresh.rows("SELECT row_to_json(t) FROM public.things t ORDER BY id").await.concat();
    for (captured, golden) in captured(&db).await.iter().zip(&golden) {
        assert_eq!(captured, golden);
    }
    assert_eq!(captured(&db).await.len(), golden.len());
}

#[tokio::test]
async fn no_setting_of_a_session_changes_a_byte() {
    let db = things().await;
    db.run(INSERT).await;
    let golden = captured(&db).await;
    for round in 0..50_usize {
        let session = db.connect().await;
        for (n, (name, values)) in SETTINGS.iter().enumerate() {
            // Every value of a setting meets other values of the others in every round.
            let value = values[(round * (n + 1) + round / values.len()) % values.len()];
            session.run(&format!("SELECT pg_catalog.set_config('{name}', '{value}', false)")).await;
        }
        let before = session.rows(ALL_SETTINGS).await;
        session.run(&format!("DELETE FROM public.things; TRUNCATE webhook.events; {INSERT}")).await;
        assert_eq!(session.rows(ALL_SETTINGS).await, before, "and they are as they were");
        assert_eq!(captured(&db).await, golden, "round {round}");
    }
}
