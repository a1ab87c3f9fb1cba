//! Ed25519 keys as secrets: `v1a` signatures, rotation from and to them, and what is shown of them.

use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

use crate::receivers::{Language, start};

/// RFC 8032, 7.1, TEST 1: the seed, seed and public key, and the public key.
pub const SEED: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const PAIR: &str =
    "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
pub const PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
/// TEST 2.
const OTHER: &str = "whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=";
pub const OTHER_PUBLIC: &str = "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";

const STANDARD: &str = r#"options => '{"signature": "standard", "retry_schedule": []}'"#;

#[tokio::test]
async fn the_private_key_is_shown_once_and_then_its_public_key() {
    let db = Database::new().await;
    for given in [SEED, PAIR] {
        let (id, secret) = db.webhook("https://example.com", &format!("secret => '{given}'")).await;
        assert_eq!(secret, given);
        for shown in [
            format!("webhook_get('{id}')"),
            format!("webhook_update('{id}', '{{\"signature\": \"standard\"}}')"),
            "webhook_list()".to_owned(),
        ] {
            assert_eq!(db.value(&format!("SELECT secret FROM {shown} WHERE id = '{id}'")).await, PUBLIC);
        }
        let rotated = format!("SELECT secret FROM webhook_rotate_secret('{id}', '{OTHER}')");
        assert_eq!(db.value(&rotated).await, OTHER);
        assert_eq!(db.value(&format!("SELECT secret FROM webhook_get('{id}')")).await, OTHER_PUBLIC);
    }
}

/// During the grace, receivers of the old secret and of the new one both accept.
#[tokio::test]
async fn rotation_from_a_symmetric_secret_to_a_private_key_and_back() {
    let db = Database::new().await;
    let _relay = Relay::start(&db.url()).await;
    let receiver = Receiver::start();
    let (webhook, old) = db.webhook(&receiver.url("/"), STANDARD).await;
    let update = async |port: &str| {
        let change = format!(r#"{{"url": "http://127.0.0.1:{port}/"}}"#);
        db.run(&format!("SELECT webhook_update('{webhook}', '{change}')")).await;
    };
    let rotate = async |secret: &str| {
        db.value(&format!("SELECT secret FROM webhook_rotate_secret('{webhook}', {secret})")).await
    };
    rotate(&format!("'{SEED}'")).await;
    db.emit("user.created", r#"{"name": "Ada"}"#).await;
    let list = receiver.wait_for(1).await[0].header("webhook-signature").to_owned();
    assert_eq!(kinds(&list), ["v1a", "v1"], "{list}");
    let delivery = "SELECT id FROM webhook.deliveries WHERE status = 'delivered'";
    db.until(&format!("SELECT count(*) FROM ({delivery}) d"), "1").await;
    let shown = format!("SELECT request_headers->>'webhook-signature' FROM webhook_attempts(({delivery}))");
    assert_eq!(db.value(&shown).await, "v1a,[redacted] v1,[redacted]");

    let by_library = start(Language::Node, "standard.js", None, &old).await;
    let by_public_key = start(Language::Node, "ed25519.js", None, PUBLIC).await;
    for port in [&by_library.port, &by_public_key.port] {
        update(port).await;
        let event = db.emit("user.created", r#"{"name": "Grace"}"#).await;
        let outcome = format!(
            "SELECT response_code FROM webhook.deliveries WHERE event_id = '{event}' AND status <> 'pending'"
        );
        db.until(&outcome, "200").await;
    }
    let new = rotate("NULL").await;
    assert!(new.starts_with("whsec_"), "{new}");
    update(receiver.url("").rsplit(':').next().expect("a port")).await;
    db.emit("user.created", "{}").await;
    let list = receiver.wait_for(2).await[1].header("webhook-signature").to_owned();
    assert_eq!(kinds(&list), ["v1", "v1a", "v1"], "{list}");
}

/// The versions of a list of signatures.
fn kinds(list: &str) -> Vec<&str> {
    list.split(' ').filter_map(|one| one.split(',').next()).collect()
}

#[tokio::test]
async fn render_shows_what_the_public_key_verifies() {
    let db = Database::new().await;
    let (webhook, _) = db.webhook("https://example.com", &format!("secret => '{SEED}'")).await;
    let event = db.emit("user.created", r#"{"name": "Grüße"}"#).await;
    let verified = |public: &str| {
        format!(
            "SELECT webhook_verify(body, headers->>'webhook-signature', '{public}', 'standard', headers->>'webhook-id',
                                   (headers->>'webhook-timestamp')::bigint),
                    webhook_verify(body, headers->>'X-Webhook-Signature', '{SEED}')
             FROM webhook_render('{event}', '{webhook}')"
        )
    };
    assert_eq!(db.rows(&verified(PUBLIC)).await, [["t", "t"].map(String::from)]);
    assert_eq!(db.rows(&verified(OTHER_PUBLIC)).await, [["f", "t"].map(String::from)]);
}
