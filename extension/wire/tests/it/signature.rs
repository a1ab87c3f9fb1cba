use proptest::prelude::*;
use webhook_wire::{
    key::Key,
    secret::Secret,
    signature::{self, Scheme, hex_hmac, standard, verify_standard},
};

// The published example of Standard Webhooks.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIME: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn key() -> Key {
    Secret::new(SECRET).expect("a secret").standard_key().expect("a standard secret").clone()
}

fn sign(payload: &[u8], secret: &str, scheme: Scheme) -> Option<String> {
    signature::sign(payload, secret, scheme).expect("a secret")
}

fn verify(payload: &[u8], signature: &str, secret: &str, scheme: Scheme) -> bool {
    signature::verify(payload, signature, secret, scheme).expect("a secret")
}

#[test]
fn standard_webhooks_vector() {
    assert_eq!(standard(&key(), ID, TIME, BODY).as_deref(), Some(SIGNATURE));
    assert!(verify_standard(&key(), ID, TIME, BODY, SIGNATURE));
    let signed = [ID.as_bytes(), b".", TIME.to_string().as_bytes(), b".", BODY].concat();
    assert_eq!(sign(&signed, SECRET, Scheme::Standard).as_deref(), Some(SIGNATURE));
    assert!(verify(&signed, SIGNATURE, SECRET, Scheme::Standard));
}

#[test]
fn rfc_4231_vectors() {
    let cases: [(Vec<u8>, Vec<u8>, &str); 6] = [
        (
            vec![0x0b; 20],
            b"Hi There".to_vec(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            vec![0xaa; 20],
            vec![0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            (1..=25).collect(),
            vec![0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            vec![0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size data. The key needs \
              to be hashed before being used by the HMAC algorithm."
                .to_vec(),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (key, data, digest) in cases {
        assert_eq!(hex_hmac(&key, &data), digest);
    }
}

#[test]
fn the_secret_text_itself_is_the_key_of_the_plain_schemes() {
    let digest = hex_hmac(SECRET.as_bytes(), BODY);
    assert_eq!(sign(BODY, SECRET, Scheme::Hex), Some(digest.clone()));
    assert_eq!(sign(BODY, SECRET, Scheme::Sha256), Some(format!("sha256={digest}")));
    assert_eq!(sign(BODY, SECRET, Scheme::Static), None);
    assert_eq!(sign(BODY, SECRET, Scheme::None), None);
}

#[test]
fn forgeries_fail() {
    let digest = hex_hmac(SECRET.as_bytes(), BODY);
    let right = format!("sha256={digest}");
    assert!(verify(BODY, &right, SECRET, Scheme::Sha256));
    assert!(verify(BODY, &right.replace(&digest, &digest.to_uppercase()), SECRET, Scheme::Sha256));
    let wrong = [
        String::new(),
        "sha256=".to_owned(),
        digest.clone(),
        right[..right.len() - 2].to_owned(),
        format!("{right}00"),
        format!("sha1={digest}"),
        format!("SHA256={digest}"),
        format!(" {right}"),
        right.replace(&digest[..2], "zz"),
        right.replace(&digest[..2], "+1"),
        format!("sha256={}", "0".repeat(64)),
        format!("sha256={}", "é".repeat(32)),
    ];
    for forged in wrong {
        assert!(!verify(BODY, &forged, SECRET, Scheme::Sha256), "{forged}");
    }
    assert!(!verify(b"{}", &right, SECRET, Scheme::Sha256));
    assert!(!verify(BODY, &right, "another secret", Scheme::Sha256));
    assert!(!verify(BODY, &right, SECRET, Scheme::Hex));
    assert!(!verify(BODY, &right, SECRET, Scheme::None));
    assert!(verify(BODY, SECRET, SECRET, Scheme::Static));
    assert!(!verify(BODY, &SECRET[1..], SECRET, Scheme::Static));
}

#[test]
fn one_signature_of_a_list_is_enough() {
    let other = standard(&Key::Symmetric(b"another key".to_vec()), ID, TIME, BODY).expect("a signature");
    for list in
        [format!("{other} {SIGNATURE}"), format!("v1a,AAAA {SIGNATURE} nonsense"), SIGNATURE.to_owned()]
    {
        assert!(verify_standard(&key(), ID, TIME, BODY, &list), "{list}");
    }
    let truncated = &SIGNATURE[..SIGNATURE.len() - 4];
    for list in ["", " ", "v1,", &other, &SIGNATURE.replace("v1", "v2"), truncated, &SIGNATURE[3..]] {
        assert!(!verify_standard(&key(), ID, TIME, BODY, list), "{list}");
    }
    assert!(!verify_standard(&key(), ID, TIME + 1, BODY, SIGNATURE));
    assert!(!verify_standard(&key(), "msg_other", TIME, BODY, SIGNATURE));
    // What was signed is one text, so parts cannot be moved across its dots unnoticed: ids have none.
    assert!(!verify_standard(&key(), ID, TIME, b"", SIGNATURE));
}

#[test]
fn schemes_are_spelled_like_the_option() {
    for text in ["sha256", "hex", "standard", "static", "none"] {
        assert_eq!(Scheme::parse(text).map(Scheme::text), Ok(text));
    }
    let error = Scheme::parse("md5").expect_err("unknown");
    assert_eq!(error.to_string(), "unknown signature \"md5\"");
    assert_eq!(error.hint(), "Known signatures: sha256, hex, standard, static, none.");
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_nothing_else(body: Vec<u8>, secret in ".{8,40}", flip: usize) {
        for scheme in [Scheme::Sha256, Scheme::Hex, Scheme::Standard] {
            let signature = sign(&body, &secret, scheme).expect("a signature");
            prop_assert!(verify(&body, &signature, &secret, scheme));
            if !body.is_empty() {
                let mut changed = body.clone();
                changed[flip % body.len()] ^= 1;
                prop_assert!(!verify(&changed, &signature, &secret, scheme));
            }
        }
    }

    #[test]
    fn verify_never_panics(signature: String, secret: String) {
        for scheme in [Scheme::Sha256, Scheme::Hex, Scheme::Standard, Scheme::Static] {
            let _ = signature::verify(b"payload", &signature, &secret, scheme);
        }
    }
}
