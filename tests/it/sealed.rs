//! Secrets at rest: sealed with a key that the database never sees.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use memchr::memmem;
use webhook_tests::cluster::{Cluster, Stop};
use webhook_tests::database::Database;
use webhook_tests::keys::KeyFile;
use webhook_tests::pooler::Pooler;
use webhook_tests::receiver::{Receiver, Request};
use webhook_tests::relay::Relay;
use webhook_wire::key::Key;
use webhook_wire::signature;

/// TEST 1 of RFC 8032, as in the tests of asymmetric keys.
use crate::asymmetric::{PUBLIC, SEED};

const OWN: &str = "canary-of-a-secret";

/// A relay that has sealed whatever there was, with the first key of the file.
async fn sealing(db: &Database<'_>, keys: &KeyFile) -> Relay {
    let relay = Relay::start_with(&db.url(), &keys.arguments()).await;
    db.until("SELECT count(*) FILTER (WHERE status = 'current') || ' ' || count(*) FILTER (WHERE status = 'plain') FROM webhook_secret_keys()", "1 0").await;
    relay
}

async fn keys(db: &Database<'_>) -> Vec<Vec<String>> {
    db.rows("SELECT status, secrets, relays FROM webhook_secret_keys()").await
}

/// Whether a secret of the form `whsec_` or `whsk_` (then its public key) made one of the request's signatures.
fn verifies(request: &Request, secret: &str) -> bool {
    let key = Key::parse(secret).expect("a secret").expect("a key");
    let at = request.header("webhook-timestamp").parse().expect("a time");
    signature::verify_standard(
        &key,
        request.header("webhook-id"),
        at,
        &request.body,
        request.header("webhook-signature"),
    )
}

/// The files below a folder that hold one of these texts.
fn files_with(folder: &Path, texts: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map_while(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, texts));
        } else if let Ok(bytes) = std::fs::read(&path)
            && texts.iter().any(|text| memmem::find(&bytes, text).is_some())
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn a_rotation_that_is_not_committed_holds_up_its_own_secrets_alone() {
    let (db, receiver, keys) = (Database::new().await, Receiver::start(), KeyFile::new().await);
    let (rotated, _) = db.webhook("https://example.com/", "events => '{}'").await;
    db.webhook(&receiver.url("/hook"), "").await;
    let user = db.connect().await;
    user.run(&format!("BEGIN; SELECT webhook_rotate_secret('{rotated}')")).await;
    let relay = Relay::start_with(&db.url(), &keys.arguments()).await;
    db.emit("user.created", "{}").await;
    receiver.wait_for(1).await;
    let sealed = format!(
        "SELECT string_agg(s::text, ' ' ORDER BY s) FROM (SELECT webhook_id = '{rotated}', count(*) FROM webhook.secrets
         WHERE secret LIKE 'whsealed%' GROUP BY 1) s"
    );
    db.until(&sealed, "(f,1)").await;
    user.run("COMMIT").await;
    db.until(&sealed, "(f,1) (t,2)").await;
    assert!(relay.terminate().await.success());
}

#[tokio::test]
async fn what_signs_is_nowhere_in_the_database() {
    let cluster = Cluster::start(&["fsync=off", "max_wal_size=64MB"]).await;
    let (db, receiver, keys_) = (Database::on(&cluster).await, Receiver::start(), KeyFile::new().await);
    let (_, before) = db.webhook("https://example.com/", "events => '{}'").await;
    let _relay = sealing(&db, &keys_).await;
    let (id, generated) = db.webhook(&receiver.url("/generated"), "").await;
    let (_, own) = db.webhook(&receiver.url("/own"), &format!("secret => '{OWN}'")).await;
    let (_, private) = db.webhook(&receiver.url("/private"), &format!("secret => '{SEED}'")).await;
    assert_eq!((&*own, &*private), (OWN, SEED), "shown in full, once");
    let rotated = db.value(&format!("SELECT secret FROM webhook_rotate_secret('{id}')")).await;
    db.emit("user.created", r#"{"name": "Ada"}"#).await;

    let request = receiver.wait_for_path("/generated", 1).await.remove(0);
    assert!(verifies(&request, &rotated) && verifies(&request, &generated), "{request:?}");
    let plain = signature::prefixed_hmac(rotated.as_bytes(), &request.body);
    assert_eq!(request.header("x-webhook-signature"), plain, "the newest one");
    let request = receiver.wait_for_path("/own", 1).await.remove(0);
    assert_eq!(
        request.header("x-webhook-signature"),
        signature::prefixed_hmac(OWN.as_bytes(), &request.body)
    );
    assert!(verifies(&receiver.wait_for_path("/private", 1).await[0], PUBLIC));
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'", "3").await;

    // All that Postgres has on its disk: heaps, WAL, logs.
    let sealed = db.value("SELECT secret FROM webhook.secrets LIMIT 1").await;
    cluster.stop(Stop::Fast).await;
    let encoded = |secret: &str| secret.split_once('_').expect("a prefix").1.to_owned();
    let secrets = [&rotated, &generated, SEED].map(encoded);
    let raw = Key::parse(&rotated).expect("a secret");
    let Some(Key::Symmetric(raw)) = raw else { panic!("a generated secret is symmetric") };
    let texts: Vec<&[u8]> = secrets.iter().map(String::as_bytes).chain([OWN.as_bytes(), &*raw]).collect();
    assert_eq!(files_with(cluster.folder(), &texts), Vec::<String>::new());
    let mut found = files_with(cluster.folder(), &[sealed.as_bytes()]);
    assert!(
        found.iter().any(|path| path.contains("/base/"))
            && found.iter().any(|path| path.contains("/pg_wal/")),
        "{found:?}"
    );
    // What was plain before there was a key is found, so that the search is one.
    found = files_with(cluster.folder(), &[encoded(&before).as_bytes()]);
    assert!(found.iter().any(|path| path.contains("/pg_wal/")), "{found:?}");
}

#[tokio::test]
async fn it_is_shown_as_sealed_and_cannot_be_used_in_sql() {
    let (db, receiver, keys) = (Database::new().await, Receiver::start(), KeyFile::new().await);
    let _relay = sealing(&db, &keys).await;
    let (id, _) = db.webhook(&receiver.url("/"), "").await;
    let (own, _) = db.webhook(&receiver.url("/own"), &format!("secret => '{OWN}'")).await;
    let (public, _) =
        db.webhook("https://example.com/", &format!("events => '{{}}', secret => '{SEED}'")).await;
    let event = db.emit("user.created", "{}").await;
    for (webhook, shown) in [
        (&id, "whsec_\u{2022}\u{2022}\u{2022}\u{2022} (sealed)"),
        (&own, "\u{2022}\u{2022}\u{2022}\u{2022} (sealed)"),
        (&public, PUBLIC),
    ] {
        for function in [
            format!("webhook_get('{webhook}')"),
            "webhook_list()".into(),
            format!("webhook_update('{webhook}', '{{}}')"),
        ] {
            let sql = format!("SELECT secret FROM {function} WHERE id = '{webhook}'");
            assert_eq!(db.value(&sql).await, shown, "{function}");
        }
    }
    // What has to be known of it is known.
    let standard = |id: &str| format!(r#"SELECT webhook_update('{id}', '{{"signature": "standard"}}')"#);
    db.run(&standard(&id)).await;
    assert_eq!(db.refusal(&standard(&own)).await.code, "22023");
    db.until(
        &format!("SELECT count(*) FROM webhook_deliveries(event_id => '{event}', status => 'delivered')"),
        "2",
    )
    .await;
    let headers = |id: &str| {
        format!(
            "SELECT a.request_headers->>'webhook-signature' FROM webhook_deliveries('{id}') d, webhook_attempts(d.id) a"
        )
    };
    assert_eq!(db.value(&headers(&id)).await, "v1,[redacted]");
    assert_eq!(db.value(&headers(&own)).await, "");

    let refusal = db.refusal(&format!("SELECT * FROM webhook_render('{event}', '{id}')")).await;
    assert_eq!(
        (&*refusal.code, &refusal.message),
        ("55000", &format!("the secret of webhook \"{id}\" is sealed: its requests cannot be signed here"))
    );
    assert!(refusal.hint.contains("webhook_attempts()"), "{refusal:?}");
    db.run(&format!(r#"SELECT webhook_update('{id}', '{{"signature": "none"}}')"#)).await;
    assert_eq!(db.value(&format!("SELECT method FROM webhook_render('{event}', '{id}')")).await, "POST");

    let sealed = db.value(&format!("SELECT secret FROM webhook.secrets WHERE webhook_id = '{id}'")).await;
    for sql in [
        format!("SELECT webhook_create('https://example.com/', secret => '{sealed}')"),
        format!("SELECT webhook_rotate_secret('{id}', '{sealed}')"),
        format!("SELECT webhook_sign('{{}}', '{sealed}')"),
        format!("SELECT webhook_verify('{{}}', '', '{sealed}')"),
    ] {
        let refusal = db.refusal(&sql).await;
        assert_eq!(
            (&*refusal.code, &*refusal.message),
            ("22023", "the secret is sealed (whsealed_)"),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn the_key_is_replaced_and_the_old_one_can_go() {
    let (db, receiver, file) = (Database::new().await, Receiver::start(), KeyFile::new().await);
    let (first, secret) = db.webhook(&receiver.url("/first"), "").await;
    let relay = sealing(&db, &file).await;
    relay.logs().wait_for("secrets were sealed").await;
    assert_eq!(keys(&db).await, [["current", "1", "1"]]);
    assert!(relay.terminate().await.success());
    let (_, second_secret) = db.webhook(&receiver.url("/second"), "").await;

    file.add().await;
    let relay = sealing(&db, &file).await;
    relay.logs().wait_for("its line in --secret-key-file can go").await;
    assert_eq!(keys(&db).await, [["current", "2", "1"], ["unused", "0", "1"]]);
    assert!(relay.terminate().await.success());

    file.drop_old();
    let _relay = sealing(&db, &file).await;
    assert_eq!(keys(&db).await, [["current", "2", "1"], ["unused", "0", "0"]]);
    let third_secret = db.value(&format!("SELECT secret FROM webhook_rotate_secret('{first}')")).await;
    db.emit("user.created", "{}").await;
    let request = receiver.wait_for_path("/first", 1).await.remove(0);
    assert!(verifies(&request, &secret) && verifies(&request, &third_secret));
    assert!(verifies(&receiver.wait_for_path("/second", 1).await[0], &second_secret));
}

/// Another relay's first key does not come back while one is in use that replaced it, or the two would seal in turns.
#[tokio::test]
async fn relays_whose_keys_are_in_another_order_do_not_fight() {
    let (db, file) = (Database::new().await, KeyFile::new().await);
    db.webhook("https://example.com/", "").await;
    let old_first = Relay::start_with(&db.url(), &file.arguments()).await;
    old_first.logs().wait_for("secrets were sealed").await;
    let in_use = "SELECT id FROM webhook.secret_key";
    let old = db.value(in_use).await;
    file.add().await;
    let new_first = sealing(&db, &file).await;
    new_first.logs().wait_for("secrets were sealed").await;
    let new = db.value(in_use).await;
    assert_ne!(old, new);
    // The other one comes back with both keys, the old one first.
    let text = std::fs::read_to_string(file.path()).expect("the keys");
    let mut lines: Vec<_> = text.lines().filter(|line| line.starts_with("whsealkey_")).collect();
    lines.reverse();
    std::fs::write(file.path(), lines.join("\n")).expect("write the keys");
    assert!(old_first.terminate().await.success());
    let old_first = Relay::start_with(&db.url(), &file.arguments()).await;
    old_first.logs().wait_for("not with the first of --secret-key-file").await;
    assert_eq!(db.value(in_use).await, new);
    assert_eq!(db.value("SELECT webhook._key_of(secret) FROM webhook.secrets").await, new);
}

/// Nobody adds a secret under a key that another one has taken the place of.
#[tokio::test]
async fn a_key_is_replaced_when_nobody_is_sealing_with_it() {
    let (db, file) = (Database::new().await, KeyFile::new().await);
    assert!(sealing(&db, &file).await.terminate().await.success());
    let old = db.value("SELECT id FROM webhook.secret_key").await;
    let offer = format!("SELECT webhook._relay_secret_key('i', '{{0123456789abcdef,{old}}}', 'whsealpub_')");
    let other = db.connect().await;
    other.run("BEGIN; SELECT webhook_create('https://example.com/')").await;
    assert_eq!(db.value(&offer).await, old, "asked in vain, and not waited for");
    other.run("COMMIT").await;
    assert_eq!(db.value(&offer).await, "0123456789abcdef");
    let strange = "SELECT webhook._relay_secret_key('i', '{fedcba9876543210}', 'whsealpub_')";
    assert_eq!(db.value(strange).await, "0123456789abcdef", "who has not the key in use does not replace it");
    let back = format!("SELECT webhook._relay_secret_key('i', '{{{old},0123456789abcdef}}', 'whsealpub_')");
    assert_eq!(db.value(&back).await, "0123456789abcdef", "nor does one that was replaced");
    let reseal = |key: &str| {
        format!("SELECT webhook._relay_reseal(array_agg(webhook_id), array_agg(webhook._micros(created_at)), array_agg(webhook._key_of(secret)),
                                              array_agg('whsealed_{key}_'::text)) FROM webhook.secrets")
    };
    assert_eq!(db.value(&reseal(&old)).await, "0", "a relay that has not heard of it changes nothing");
    assert_eq!(db.value(&reseal("0123456789abcdef")).await, "1");
}

#[tokio::test]
async fn behind_a_pooler_as_well() {
    let (db, receiver, file) = (Database::new().await, Receiver::start(), KeyFile::new().await);
    let pooler = Pooler::start(db.cluster(), "transaction", 3).await;
    let (_, secret) = db.webhook(&receiver.url("/"), "").await;
    let relay = Relay::start_with(&pooler.url(db.name()), &file.arguments()).await;
    relay.logs().wait_for("secrets were sealed").await;
    assert_eq!(keys(&db).await, [["current", "1", "1"]]);
    db.emit("user.created", "{}").await;
    assert!(verifies(&receiver.wait_for(1).await[0], &secret));
}

#[tokio::test]
async fn without_the_key_exactly_what_needs_it_waits() {
    let (db, receiver, file) = (Database::new().await, Receiver::start(), KeyFile::new().await);
    assert!(sealing(&db, &file).await.terminate().await.success());
    let (sealed, secret) = db.webhook(&receiver.url("/sealed"), "").await;
    db.webhook(&receiver.url("/unsigned"), r#"options => '{"signature": "none"}'"#).await;
    let wrong = KeyFile::new().await;
    for arguments in [&[][..], &wrong.arguments()] {
        let relay = Relay::start_with(&db.url(), arguments).await;
        relay.logs().wait_for("which is not in --secret-key-file").await;
        let event = db.emit("user.created", "{}").await;
        db.until(
            &format!(
                "SELECT status FROM webhook_deliveries(event_id => '{event}') WHERE webhook_id <> '{sealed}'"
            ),
            "delivered",
        )
        .await;
        let waits = format!(
            "SELECT p.reason || ' ' || p.attempts || ' ' || p.lease FROM webhook.pending p WHERE p.event_id = '{event}'"
        );
        db.until(&waits, "secret 0 0").await;
        let why = db.value(&format!("SELECT result || ': ' || reason FROM webhook_explain('{event}') WHERE webhook_id = '{sealed}'")).await;
        assert!(
            why.starts_with("pending: ")
                && why.contains("its secret is sealed for key ")
                && why.ends_with(", which no running relay has"),
            "{why}"
        );
        assert!(relay.page("/metrics").await.contains("webhook_relay_webhooks_locked 1"));
        assert!(relay.terminate().await.success());
    }
    assert_eq!(receiver.requests_to("/sealed").len(), 0, "nothing goes unsigned");
    let url = db.url();
    let (code, said) = Relay::program(&["check", "--database-url", &url]).await;
    assert!(
        code == Some(1)
            && said.contains(&format!("PROBLEM  the secrets of 1 webhooks cannot be read: of {sealed}, ")),
        "{said}"
    );
    let check = [&["check", "--database-url", &*url], &file.arguments()[..]].concat();
    let (code, said) = Relay::program(&check).await;
    assert!(code == Some(0) && said.contains("secrets can be read (2 of them sealed)"), "{said}");

    // A relay with the key sends them, though the one without it may lead.
    let _without = Relay::start(&db.url()).await;
    let with = sealing(&db, &file).await;
    let last = db.emit("user.created", "{}").await;
    db.until("SELECT count(*) FROM webhook.deliveries WHERE status = 'delivered'", "6").await;
    let requests = receiver.wait_for_path("/sealed", 3).await;
    assert!(requests.iter().all(|request| verifies(request, &secret)));
    assert!(requests.iter().any(|request| request.header("webhook-id") == last));
    assert_eq!(requests.len(), 3, "each once");
    assert!(with.page("/metrics").await.contains("webhook_relay_webhooks_locked 0"));
}

#[tokio::test]
async fn a_lost_key_is_given_up() {
    let (db, receiver, lost) = (Database::new().await, Receiver::start(), KeyFile::new().await);
    assert!(sealing(&db, &lost).await.terminate().await.success());
    let (id, _) = db.webhook(&receiver.url("/"), "").await;
    let event = db.emit("user.created", "{}").await;
    let other = KeyFile::new().await;
    let relay = Relay::start_with(&db.url(), &other.arguments()).await;
    relay.logs().wait_for("deliveries wait").await;
    assert_eq!(
        db.value("SELECT count(*) FROM webhook_secret_keys() WHERE status = 'current' AND relays = 0").await,
        "1"
    );
    assert!(relay.terminate().await.success());
    db.run("SELECT webhook_forget_secret_key()").await;
    let relay = sealing(&db, &other).await;
    let secret = db.value(&format!("SELECT secret FROM webhook_rotate_secret('{id}', grace => '0')")).await;
    relay.logs().wait_for("all secrets can be read again").await;
    let request = receiver.wait_for(1).await.remove(0);
    assert!(verifies(&request, &secret) && request.header("webhook-id") == event);
}

#[tokio::test]
async fn a_key_file_that_others_can_read_is_refused() {
    let (db, file) = (Database::new().await, KeyFile::new().await);
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).expect("open it");
    let url = db.url();
    for command in ["run", "check"] {
        let arguments = [&[command, "--database-url", &*url], &file.arguments()[..]].concat();
        let (code, said) = Relay::program(&arguments).await;
        assert!(
            code == Some(78) && said.contains("others can read it (mode 0644): chmod 600 it"),
            "{code:?} {said}"
        );
    }
    let (code, said) =
        Relay::program(&["run", "--database-url", &db.url(), "--secret-key-file", "/nowhere"]).await;
    assert!(code == Some(78) && said.contains("--secret-key-file /nowhere"), "{code:?} {said}");
}
