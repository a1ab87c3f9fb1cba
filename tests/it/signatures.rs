//! `webhook_sign` and `webhook_verify`, against values made elsewhere.

use webhook_tests::database::Database;

use crate::asymmetric::{OTHER_PUBLIC, PUBLIC, SEED};

/// `printf '{"a":1}' | openssl dgst -sha256 -hmac 'my secret'`
const DIGEST: &str = "0beed520f6a17cee2ba3462061c09f68a56ddb78faa3705e1b57529e18dc3956";

#[tokio::test]
async fn sign_is_hmac_sha256_of_the_payload() {
    let db = Database::new().await;
    assert_eq!(db.value(r#"SELECT webhook_sign('{"a":1}', 'my secret')"#).await, format!("sha256={DIGEST}"));
    assert_eq!(db.value(r#"SELECT webhook_sign('{"a":1}', 'my secret', 'hex')"#).await, DIGEST);
}

#[tokio::test]
async fn verify_accepts_the_right_signature_only() {
    let db = Database::new().await;
    let verify = async |payload: &str, signature: &str, secret: &str, rest: &str| {
        db.value(&format!("SELECT webhook_verify('{payload}', '{signature}', '{secret}'{rest})")).await
    };
    let payload = r#"{"a":1}"#;
    assert_eq!(verify(payload, &format!("sha256={DIGEST}"), "my secret", "").await, "t");
    assert_eq!(verify(payload, DIGEST, "my secret", ", 'hex'").await, "t");
    assert_eq!(verify(payload, &format!("sha256={DIGEST}"), "my secrex", "").await, "f");
    assert_eq!(verify(r#"{"a":2}"#, &format!("sha256={DIGEST}"), "my secret", "").await, "f");
    assert_eq!(verify(payload, "", "my secret", "").await, "f");
    assert_eq!(verify(payload, "sha256=00", "my secret", "").await, "f");
}

/// The example of the Standard Webhooks specification's reference libraries.
#[tokio::test]
async fn verify_knows_standard_webhooks() {
    let db = Database::new().await;
    let verify = async |signature: &str| {
        let sql = format!(
            "SELECT webhook_verify('{{\"test\": 2432232314}}', '{signature}', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
                                   'standard', 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330)"
        );
        db.value(&sql).await
    };
    assert_eq!(verify("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=").await, "t");
    assert_eq!(verify("v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=").await, "t");
    assert_eq!(verify("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF=").await, "f");
}

/// By Python's cryptography, with TEST 1 of RFC 8032, 7.1.
#[tokio::test]
async fn sign_and_verify_know_ed25519() {
    const SIGNATURE: &str =
        "v1a,fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPsle0zV9jSeGlHFG2NVAw==";
    let db = Database::new().await;
    let signed = format!(
        "SELECT webhook_sign('msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{{\"test\": 2432232314}}', '{SEED}', 'standard')"
    );
    assert_eq!(db.value(&signed).await, SIGNATURE);
    for (key, right) in [(SEED, "t"), (PUBLIC, "t"), (OTHER_PUBLIC, "f"), ("whsec_MfKQ9r8GKYqr", "f")] {
        let sql = format!(
            "SELECT webhook_verify('{{\"test\": 2432232314}}', 'v1,AAAA {SIGNATURE}', '{key}', 'standard',
                                   'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330)"
        );
        assert_eq!(db.value(&sql).await, right, "{key}");
    }
    let plain = db.value(&format!("SELECT webhook_sign('payload', '{SEED}')")).await;
    assert!(plain.starts_with("sha256="), "the text as it is: {plain}");
}
